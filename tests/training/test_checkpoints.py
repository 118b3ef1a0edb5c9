import multiprocessing

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from pipeline.errors import InputError
from pipeline.training.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "scratch" / "spg-0123")


@pytest.fixture
def prepared():
    """An accelerator that watches over one linear layer."""
    accelerator = Accelerator()
    network = nn.Linear(2, 2)
    return accelerator, accelerator.prepare(network)


def fill(network, value):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def test_without_a_checkpoint_training_begins_at_the_first_epoch(checkpoints, prepared):
    assert checkpoints.restore(prepared[0]) == (0, [])
    assert checkpoints.last is None


def test_the_last_state_comes_back(checkpoints, prepared):
    accelerator, network = prepared
    history = [{"epoch": 1.0, "loss": 0.1 + 0.2}]
    fill(network, 7)
    checkpoints.save(accelerator, history, epoch=0)
    fill(network, -1)
    assert checkpoints.restore(accelerator) == (1, history)
    assert torch.equal(network.weight, torch.full((2, 2), 7.0))


def test_only_the_last_checkpoint_is_kept(checkpoints, prepared):
    for epoch in (0, 1, 9, 10):
        checkpoints.save(prepared[0], [], epoch)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch-0010"]


def test_half_a_checkpoint_is_ignored(checkpoints, prepared):
    accelerator, network = prepared
    fill(network, 7)
    checkpoints.save(accelerator, [], epoch=3)
    half = checkpoints.folder / "part"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert checkpoints.restore(accelerator)[0] == 4
    checkpoints.save(accelerator, [], epoch=4)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch-0004"]


def test_a_finished_training_leaves_no_checkpoint(checkpoints, prepared):
    checkpoints.save(prepared[0], [], epoch=0)
    checkpoints.remove()
    assert not checkpoints.folder.exists()
    checkpoints.remove()


def locked_out(checkpoints, answers):
    """Put the error of a process that tries to train the same thing, or nothing."""
    try:
        with checkpoints.locked():
            answers.put("")
    except InputError as error:
        answers.put(str(error))


def other_process(checkpoints):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=locked_out, args=(checkpoints, answers))
    process.start()
    answer = answers.get(timeout=30)
    process.join()
    return answer


def test_a_second_process_is_refused_until_the_first_ends(checkpoints):
    with checkpoints.locked():
        assert "spg-0123.lock: another process runs this training" in other_process(checkpoints)
        elsewhere = Checkpoints(checkpoints.folder.with_name("spg-4567"))
        assert other_process(elsewhere) == ""
    assert other_process(checkpoints) == ""

import multiprocessing
import os

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from pipeline.errors import InputError
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.progress import Progress


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
    assert checkpoints.restore(prepared[0]) == Progress()
    assert checkpoints.last is None


def test_the_last_state_comes_back(checkpoints, prepared):
    accelerator, network = prepared
    progress = Progress([{"epoch": 1.0, "loss": 0.1 + 0.2}], 1, 7, {"loss": (0.1 + 0.7, 7)})
    fill(network, 7)
    checkpoints.save(accelerator, progress)
    fill(network, -1)
    assert checkpoints.restore(accelerator) == progress
    assert torch.equal(network.weight, torch.full((2, 2), 7.0))


def test_the_newest_two_checkpoints_are_kept(checkpoints, prepared):
    for epoch, step in ((0, 9), (0, 10), (1, 0), (9, 99), (9, 100)):
        checkpoints.save(prepared[0], Progress(epoch=epoch, step=step))
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == ["epoch-0010-step-000099", "epoch-0010-step-000100"]
    assert checkpoints.last == checkpoints.folder / names[1]


def test_a_state_that_is_there_is_not_saved_twice(checkpoints, prepared):
    for _ in range(2):
        checkpoints.save(prepared[0], Progress(epoch=3))
    assert [path.name for path in checkpoints.folder.iterdir()] == ["epoch-0004-step-000000"]


def test_half_a_checkpoint_is_ignored(checkpoints, prepared):
    accelerator, network = prepared
    fill(network, 7)
    checkpoints.save(accelerator, Progress(epoch=3))
    half = checkpoints.folder / "part"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert checkpoints.restore(accelerator).epoch == 3
    checkpoints.save(accelerator, Progress(epoch=4))
    assert not half.exists()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE = {
    "a bit of the weights": ("model.safetensors", flip_a_bit),
    "the end of the random states": ("random_states_0.pkl", cut),
    "the place": ("progress.json", flip_a_bit),
    "a file": ("model.safetensors", lambda path: path.unlink()),
    "the checksums": ("checksums.json", cut),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(
    checkpoints, prepared, capsys, name, damage
):
    accelerator, network = prepared
    for value in (1, 2):
        fill(network, value)
        checkpoints.save(accelerator, Progress(step=value))
    damaged = checkpoints.last
    damage(damaged / name)
    assert checkpoints.restore(accelerator).step == 1
    assert torch.equal(network.weight, torch.full((2, 2), 1.0))
    told = capsys.readouterr().err
    assert f"{damaged}: damaged checkpoint ({name}" in told and "step-000001" in told
    assert not damaged.exists()


def test_when_none_is_whole_training_starts_from_the_beginning(checkpoints, prepared, capsys):
    for step in (1, 2):
        checkpoints.save(prepared[0], Progress(step=step))
        cut(checkpoints.last / "progress.json")
    assert checkpoints.restore(prepared[0]) == Progress()
    told = capsys.readouterr().err
    assert told.count("damaged checkpoint") == 2
    assert f"{checkpoints.folder}: no whole checkpoint is left; training starts from" in told


def test_a_checkpoint_within_an_epoch_is_due_after_minutes_and_a_hundred_times_its_cost(
    checkpoints, prepared, monkeypatch
):
    now = 1000.0
    monkeypatch.setattr("pipeline.training.checkpoints.monotonic", lambda: now)
    checkpoints = Checkpoints(checkpoints.folder)
    assert not checkpoints.due()
    now += 599
    assert not checkpoints.due()
    now += 1
    assert checkpoints.due()
    monkeypatch.setenv("WSOL_CHECKPOINT_MINUTES", "30")
    assert not checkpoints.due()
    monkeypatch.delenv("WSOL_CHECKPOINT_MINUTES")
    save_state = prepared[0].save_state

    def slow(folder):
        nonlocal now
        now += 7
        save_state(folder)

    monkeypatch.setattr(prepared[0], "save_state", slow)
    checkpoints.save(prepared[0], Progress())
    now += 699
    assert not checkpoints.due()
    now += 1
    assert checkpoints.due()


def test_minutes_must_be_a_number(checkpoints, monkeypatch):
    monkeypatch.setenv("WSOL_CHECKPOINT_MINUTES", "often")
    with pytest.raises(InputError, match="WSOL_CHECKPOINT_MINUTES is 'often', no number"):
        checkpoints.due()


def test_a_finished_training_leaves_no_checkpoint(checkpoints, prepared):
    checkpoints.save(prepared[0], Progress())
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


def test_a_second_process_is_refused_until_the_first_ends(checkpoints, monkeypatch):
    monkeypatch.setattr("pipeline.locks.PATIENCE", 0)
    with checkpoints.locked():
        told = other_process(checkpoints)
        assert "spg-0123.lock: another process runs this training; wait for it or end it" in told
        assert f"(process {os.getpid()} on " in told
        elsewhere = Checkpoints(checkpoints.folder.with_name("spg-4567"))
        assert other_process(elsewhere) == ""
    assert other_process(checkpoints) == ""

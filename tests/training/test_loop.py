import math
import signal
from copy import deepcopy

import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.methods.bases.cam import ClassActivationNetwork
from pipeline.models.backbones import Backbone
from pipeline.models.losses import Classification
from pipeline.packed.pictures import ClassTargets
from pipeline.packed.store import PackedSplit
from pipeline.signals import Terminated
from pipeline.training import loop
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import learning_rates, train, unwatched
from pipeline.training.pause import NonFiniteLoss
from tests.parameters import changed


class Interrupted(Exception):
    """The training was killed."""


class Faulty(nn.Module):
    """The classification objective, but for one batch of one epoch (all counted from 0)."""

    def __init__(self, network, epoch, batch, fault):
        super().__init__()
        self.network = network
        self.epoch, self.batch, self.fault, self.calls = epoch, batch, fault, 0

    def forward(self, images, targets, epoch):
        terms = Classification(self.network)(images, targets, epoch)
        if epoch == self.epoch:
            if self.calls == self.batch:
                return self.fault(terms)
            self.calls += 1
        return terms


def kill(terms):
    raise Interrupted


@pytest.fixture
def slow(quick):
    """Three epochs of three batches, with dropout, the last epoch at a lower rate."""
    return changed(
        quick, spn__train_multi__epochs=3, spn__train_multi__decay_epochs=[2], spn__dropout=0.5
    )


@pytest.fixture
def network(slow):
    torch.manual_seed(0)
    return ClassActivationNetwork(Backbone(slow.backbone), 3, slow.spn)


@pytest.fixture
def run(slow, packed, tmp_path):
    """Train an objective on the single-label track, with checkpoints in a folder of that name."""

    def make(objective, folder="scratch", watch=unwatched):
        split = PackedSplit(packed / "single" / "train")
        checkpoints, targets = Checkpoints(tmp_path / folder), ClassTargets(split)
        schedule = slow.spn.train_multi
        return train(objective, split, slow.input, schedule, slow.seed, checkpoints, targets, watch)

    return make


def fresh(network):
    """Another network with the same weights."""
    return deepcopy(network)


def same_weights(one, other):
    expected = other.state_dict()
    return all(torch.equal(value, expected[name]) for name, value in one.state_dict().items())


def test_history_has_the_mean_of_each_term_per_epoch(run, network, monkeypatch):
    losses = []

    def recorded(logits, targets):
        loss = nn.functional.cross_entropy(logits, targets)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr("pipeline.models.losses.classification_loss", recorded)
    history = run(Classification(network))
    means = [sum(losses[i : i + 3]) / 3 for i in (0, 3, 6)]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for row, mean in zip(history, means, strict=True):
        assert row["loss"] == row["classification"] == pytest.approx(mean)


def test_a_training_that_is_watched_goes_as_if_nobody_looked(run, network):
    other, seen = fresh(network), []

    def watch(objective, epoch):
        seen.append(objective.training)
        return {"seen": float(len(seen)), "drawn": torch.rand(()).item()}

    plain = run(Classification(network))
    watched = run(Classification(other), "watched", watch)
    assert same_weights(network, other)
    assert [row.pop("seen") for row in watched] == [1, 2, 3]
    assert seen == [False] * 3
    assert [{k: v for k, v in row.items() if k != "drawn"} for row in watched] == plain


def test_the_loss_falls(slow, packed, tmp_path):
    calm = {"epochs": 10, "learning_rate": 0.002, "added_learning_rate": 0.02, "decay_epochs": []}
    chosen = changed(
        slow, spn__dropout=0.0, **{f"spn__train_multi__{k}": v for k, v in calm.items()}
    )
    torch.manual_seed(0)
    network = ClassActivationNetwork(Backbone(chosen.backbone), 3, chosen.spn)
    split = PackedSplit(packed / "single" / "train")
    checkpoints, targets = Checkpoints(tmp_path / "scratch"), ClassTargets(split)
    objective, schedule = Classification(network), chosen.spn.train_multi
    history = train(objective, split, chosen.input, schedule, 0, checkpoints, targets)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_the_same_seed_gives_the_same_weights_from_any_number_of_workers(run, network, monkeypatch):
    one, other = fresh(network), fresh(network)
    for workers, copied in ((0, one), (2, other)):
        monkeypatch.setattr("pipeline.packed.loading.workers", lambda n=workers, **_: n)
        run(Classification(copied), f"scratch-{workers}")
    assert same_weights(one, other)
    assert not same_weights(one, network)


@pytest.mark.parametrize(("epoch", "batch"), [(0, 1), (1, 0), (2, 2)])
def test_a_resumed_training_ends_with_the_same_weights(run, network, epoch, batch):
    whole, resumed = fresh(network), fresh(network)
    expected = run(Classification(whole), "whole")
    with pytest.raises(Interrupted):
        run(Faulty(fresh(network), epoch, batch, kill), "broken")
    history = run(Classification(resumed), "broken")
    assert same_weights(resumed, whole)
    assert history == expected


@pytest.mark.parametrize(("epoch", "batch", "workers"), [(0, 0, 0), (1, 1, 2), (2, 2, 0)])
def test_a_training_that_was_asked_to_end_goes_on_in_the_middle_of_an_epoch(
    run, network, epoch, batch, workers, monkeypatch
):
    """Dropout makes the random states matter, momentum the optimizer, the last epoch its rate."""
    monkeypatch.setattr("pipeline.packed.loading.workers", lambda **_: workers)
    whole, resumed = fresh(network), fresh(network)
    expected = run(Classification(whole), "whole")

    def ask(terms):
        signal.raise_signal(signal.SIGTERM)
        return terms

    with pytest.raises(Terminated, match=f"checkpoint of epoch {epoch + 1}, step {batch + 1}$"):
        run(Faulty(fresh(network), epoch, batch, ask), "broken")
    steps = Faulty(resumed, 9, 9, kill)
    calls = []
    steps.register_forward_pre_hook(lambda *_: calls.append(1))
    history = run(steps, "broken")
    assert len(calls) == 9 - (3 * epoch + batch + 1)
    assert same_weights(resumed, whole)
    assert history == expected


def test_losses_may_be_fetched_every_few_steps(run, network, monkeypatch):
    """As on a GPU: the means are the same, and the step that was not finite is named."""
    expected, other = run(Classification(fresh(network)), "each"), fresh(network)
    monkeypatch.setattr("pipeline.training.pause.steps_to_a_look", lambda device: 2)
    assert run(Classification(fresh(network)), "few") == expected

    def spoil(terms):
        return {"classification": terms["classification"] * math.nan}

    with pytest.raises(NonFiniteLoss, match=r"epoch 2, step 1 \(loss nan, classification nan\)"):
        run(Faulty(other, 1, 0, spoil), "spoilt")


def test_sigterm_may_come_twice(run, network):
    def ask_twice(terms):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        return terms

    with pytest.raises(Terminated, match="checkpoint of epoch 2, step 2$"):
        run(Faulty(network, 1, 1, ask_twice))


def test_a_second_ctrl_c_ends_at_once(run, network):
    def ask_twice(terms):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt, match="^$"):
        run(Faulty(network, 1, 1, ask_twice))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_complete_training_resumes_to_its_end_without_a_step(run, network):
    done, again = fresh(network), fresh(network)
    expected = run(Classification(done))
    assert run(Faulty(again, 0, 0, kill)) == expected
    assert same_weights(again, done)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_epoch_step_and_checkpoint(run, network, tmp_path, value):
    def fault(terms):
        return terms | {"b2": terms["classification"] * value}

    with pytest.raises(NonFiniteLoss) as caught:
        run(Faulty(network, 1, 2, fault))
    message = str(caught.value)
    assert "not finite at epoch 2, step 3" in message
    assert f"b2 {value}" in message
    assert f"last good checkpoint: epoch-0002-step-000000 in {tmp_path / 'scratch'}" in message
    assert isinstance(caught.value, InputError)


def test_a_loss_that_is_never_finite_has_no_checkpoint(run, network):
    def fault(terms):
        return {"classification": terms["classification"] * math.nan}

    with pytest.raises(NonFiniteLoss, match="epoch 1, step 1 .*last good checkpoint: none"):
        run(Faulty(network, 0, 0, fault))


def test_weights_spoilt_by_an_epoch_s_last_step_are_never_a_checkpoint(run, network, tmp_path):
    def fault(terms):
        # Finite itself, with a gradient that is not.
        return {"classification": terms["classification"] + (terms["classification"] * 0).sqrt()}

    with pytest.raises(
        NonFiniteLoss, match="epoch 2, .*weights.*last good checkpoint: epoch-0002-step-000000"
    ):
        run(Faulty(network, 1, 2, fault))


def test_the_rates_fall_after_the_decay_epochs(run, network, monkeypatch, slow):
    rates = []
    run_epoch = loop.run_epoch

    def recorded(accelerator, objective, optimizer, *rest):
        rates.append([group["lr"] for group in optimizer.param_groups])
        return run_epoch(accelerator, objective, optimizer, *rest)

    monkeypatch.setattr(loop, "run_epoch", recorded)
    run(Classification(network))
    schedule = slow.spn.train_multi
    first = [schedule.learning_rate] * 2 + [schedule.added_learning_rate] * 2
    last = [rate * schedule.decay_factor for rate in first]
    assert rates == [first, first, pytest.approx(last)]


def test_the_backbone_learns_at_its_own_rate(slow):
    chosen = changed(slow, backbone__frozen_stages=2)
    network = ClassActivationNetwork(Backbone(chosen.backbone), 3, chosen.spn)
    groups = learning_rates(Classification(network), chosen.spn.train_multi)
    schedule = chosen.spn.train_multi
    slow_rate, fast_rate = schedule.learning_rate, schedule.added_learning_rate
    assert [group["lr"] for group in groups] == [slow_rate, slow_rate, fast_rate, fast_rate]
    names = {id(p): name for name, p in network.named_parameters()}
    own = [p for group in groups[:2] for p in group["params"]]
    assert {names[id(p)].split(".")[0] for p in own} == {"backbone"}
    assert [[names[id(p)] for p in group["params"]] for group in groups[2:]] == [
        ["convolution.weight", "classifier.weight"],
        ["convolution.bias", "classifier.bias"],
    ]
    assert all(p.requires_grad for p in own)


def test_biases_learn_at_a_multiple_of_the_rate(slow):
    chosen = changed(slow, spn__train_multi__bias_rate=2.0).spn.train_multi
    network = ClassActivationNetwork(Backbone(slow.backbone), 3, slow.spn)
    rates = {
        parameter: group["lr"]
        for group in learning_rates(Classification(network), chosen)
        for parameter in group["params"]
    }
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert set(rates) == set(learning.values())
    for name, parameter in learning.items():
        own = name.startswith("backbone.")
        rate = chosen.learning_rate if own else chosen.added_learning_rate
        assert rates[parameter] == rate * (2 if name.endswith(".bias") else 1)


def test_nesterov_steps_by_gradient_and_decayed_momentum(slow, packed, tmp_path):
    """A first step with Nesterov is 1 + momentum times as long as one without."""

    def moved(nesterov):
        values = {"nesterov": nesterov, "epochs": 1, "batch_size": 16, "decay_epochs": []}
        chosen = changed(slow, **{f"spn__train_multi__{k}": v for k, v in values.items()})
        torch.manual_seed(0)
        network = ClassActivationNetwork(Backbone(chosen.backbone), 3, chosen.spn)
        before = network.classifier.weight.detach().clone()
        split = PackedSplit(packed / "single" / "train")
        checkpoints = Checkpoints(tmp_path / f"scratch-{nesterov}")
        schedule, targets = chosen.spn.train_multi, ClassTargets(split)
        train(Classification(network), split, chosen.input, schedule, 0, checkpoints, targets)
        return network.classifier.weight.detach() - before

    torch.testing.assert_close(moved(True), 1.9 * moved(False))


def test_a_last_batch_of_one_image_trains_under_batch_normalisation_of_one_cell(
    slow, packed, tmp_path
):
    """Batch normalisation after pooling has nothing to normalise of a single image."""
    chosen = changed(slow, spn__train_multi__batch_size=3)
    network = ClassActivationNetwork(Backbone(chosen.backbone), 3, chosen.spn)
    network.classifier = nn.Sequential(nn.BatchNorm1d(chosen.spn.channels), network.classifier)
    split = PackedSplit(packed / "single" / "train")
    checkpoints = Checkpoints(tmp_path / "scratch")
    schedule, objective = chosen.spn.train_multi, Classification(network)
    targets = ClassTargets(split)
    history = train(objective, split, chosen.input, schedule, 0, checkpoints, targets)
    assert len(history) == 3


def test_frozen_stages_do_not_move_in_training(slow, packed, tmp_path):
    chosen = changed(slow, backbone__frozen_stages=2)
    network = ClassActivationNetwork(Backbone(chosen.backbone), 3, chosen.spn)
    before = fresh(network).backbone.network.state_dict()
    split = PackedSplit(packed / "single" / "train")
    checkpoints, targets = Checkpoints(tmp_path / "scratch"), ClassTargets(split)
    objective, schedule = Classification(network), chosen.spn.train_multi
    train(objective, split, chosen.input, schedule, 0, checkpoints, targets)
    after = network.backbone.network.state_dict()
    still = {name for name, value in before.items() if torch.equal(value, after[name])}
    leading = {n for n in before if n.startswith(("conv_stem", "bn1", "blocks.0", "blocks.1"))}
    assert leading <= still
    assert not any(name.endswith("weight") for name in still - leading)

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import SGD

from pipeline.errors import InputError
from pipeline.training.accumulation import Accumulation


class Narrow(nn.Module):
    """The mean squared error of a linear layer, on a device with room for `most` images."""

    def __init__(self, most):
        super().__init__()
        self.layer, self.most, self.sizes = nn.Linear(3, 1), most, []

    def forward(self, images, targets, epoch):
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        error = self.layer(images)[:, 0] - targets
        return {"square": error.square().mean(), "absolute": error.abs().mean()}


@pytest.fixture
def gradients():
    """Loss terms and gradients of a batch of 7 on a device with room for so many images."""

    def take(most):
        torch.manual_seed(0)
        objective = Narrow(most)
        images, targets = torch.rand(7, 3), torch.rand(7)
        steps = Accumulation(Accelerator(cpu=True), objective, SGD(objective.parameters()))
        terms = steps.gradients(images, targets, 0, 1.0)
        again = steps.gradients(images, targets, 0, 1.0)
        assert again == terms
        return terms, [p.grad for p in objective.parameters()], objective.sizes

    return take


def test_parts_add_up_to_the_batch(gradients, capsys):
    whole, expected, sizes = gradients(7)
    assert sizes == [7, 7]
    assert whole["loss"] == whole["square"] + whole["absolute"]
    terms, found, sizes = gradients(2)
    # Halved until it fits, and kept at that.
    assert sizes == [7, 4, 2, 2, 2, 1, 2, 2, 2, 1]
    torch.testing.assert_close(terms, whole)
    torch.testing.assert_close(found, expected)
    told = capsys.readouterr().err
    assert "memory is short: batches are taken in 4 parts from now on" in told


def test_an_image_that_does_not_fit_is_the_end(gradients):
    with pytest.raises(InputError, match="memory does not suffice for 1 image"):
        gradients(0)

import pytest
import torch
import torch._dynamo
import torch._inductor.config
from torch import nn

from pipeline.errors import InputError
from pipeline.params import TrainParams
from pipeline.training import precision
from pipeline.training.precision import computing

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def schedule(params):
    def make(precision: str, compile: bool = False) -> TrainParams:
        update = {"precision": precision, "compile": compile}
        return params.spg.train.model_copy(update=update)

    return make


def test_a_backbone_in_bf16_gives_rounded_maps_in_float32_and_is_exact_again_afterwards(schedule):
    backbone, images = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)
    exact = backbone(images)
    with computing(backbone, schedule("bf16"), CPU):
        rounded = backbone(images)
        rounded.sum().backward()
    assert rounded.dtype == backbone.weight.grad.dtype == torch.float32
    assert torch.equal(rounded, rounded.bfloat16().float())
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
    assert not torch.equal(rounded, exact)
    assert torch.equal(backbone(images), exact)


@pytest.mark.parametrize(("name", "allowed"), [("fp32", False), ("tf32", True), ("bf16", True)])
def test_tf32_is_allowed_where_it_is_asked_for_and_nowhere_else(schedule, name, allowed):
    backbone = nn.Identity()
    with computing(backbone, schedule(name), CPU):
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == allowed
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_gpu_without_bf16_is_refused(schedule, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    monkeypatch.setattr(precision, "_has_bf16", lambda: False)
    with pytest.raises(InputError, match="Old GPU has no bfloat16; take fp32 or tf32"):
        computing(nn.Identity(), schedule("bf16"), GPU).__enter__()


def test_a_compiled_backbone_gives_the_same_maps_and_is_as_before_afterwards(schedule):
    backbone, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.rand(2, 3, 8, 8)
    plain = backbone(images)
    with computing(backbone, schedule("fp32", compile=True), CPU):
        compiled, count = backbone(images), graphs()
        compiled.sum().backward()
    torch.testing.assert_close(compiled, plain)
    assert backbone[0].weight.grad is not None
    assert torch.equal(backbone(images), plain)
    assert graphs() == count > 0


def graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_where_nothing_compiles_a_remedy_is_told(schedule, monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("none",))
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with (
        pytest.raises(
            InputError, match="^compile: torch.compile fails here .*set compile to false"
        ),
        computing(backbone, schedule("fp32", compile=True), CPU),
    ):
        backbone(torch.rand(2, 3, 8, 8))

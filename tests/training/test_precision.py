import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.training import precision
from pipeline.training.precision import computing

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_a_backbone_in_bf16_gives_rounded_maps_in_float32_and_is_exact_again_afterwards():
    backbone, images = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)
    exact = backbone(images)
    with computing(backbone, "bf16", CPU):
        rounded = backbone(images)
        rounded.sum().backward()
    assert rounded.dtype == backbone.weight.grad.dtype == torch.float32
    assert torch.equal(rounded, rounded.bfloat16().float())
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)
    assert not torch.equal(rounded, exact)
    assert torch.equal(backbone(images), exact)


@pytest.mark.parametrize(("name", "allowed"), [("fp32", False), ("tf32", True), ("bf16", True)])
def test_tf32_is_allowed_where_it_is_asked_for_and_nowhere_else(name, allowed):
    backbone = nn.Identity()
    with computing(backbone, name, CPU):
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == allowed
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_gpu_without_bf16_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    monkeypatch.setattr(precision, "_has_bf16", lambda: False)
    with pytest.raises(InputError, match="Old GPU has no bfloat16; take fp32 or tf32"):
        computing(nn.Identity(), "bf16", GPU).__enter__()

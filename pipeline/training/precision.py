"""How exactly a training computes: `precision` of its schedule."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate.utils import convert_outputs_to_fp32
from torch import nn

from pipeline.errors import InputError
from pipeline.params import Precision


@contextmanager
def computing(backbone: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """Let a training compute in `precision` while inside; afterwards all is float32 again.

    - fp32: 24 binary digits everywhere, on GPUs too.
    - tf32: GPUs round what convolutions and matrix products multiply to 11 binary digits.
    - bf16: besides, the backbone computes in bfloat16, 8 binary digits, by autocast. Its maps go on
      in float32 to the added layers, the Soft Proposal and the losses; so do all weights.

    Raises:
        InputError: bf16 on a GPU that has none.
    """
    if precision == "bf16" and device.type == "cuda" and not _has_bf16():
        raise InputError(
            f"precision: {torch.cuda.get_device_name(device)} has no bfloat16; take fp32 or tf32"
        )
    _allow_tf32(precision != "fp32")
    if precision == "bf16":
        in_bf16 = torch.autocast(device.type, torch.bfloat16)(backbone.forward)
        # Hides the method of the class.
        backbone.forward = convert_outputs_to_fp32(in_bf16)
    try:
        yield
    finally:
        backbone.__dict__.pop("forward", None)
        _allow_tf32(False)


def _has_bf16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed

"""How a training computes: `precision` and `compile` of its schedule."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from accelerate.utils import convert_outputs_to_fp32
from torch import nn

from pipeline.errors import InputError, first_line
from pipeline.params import TrainParams


@contextmanager
def computing(backbone: nn.Module, params: TrainParams, device: torch.device) -> Iterator[None]:
    """Let a training compute in its `precision` while inside; afterwards all is float32 again.

    - fp32: 24 binary digits everywhere, on GPUs too.
    - tf32: GPUs round what convolutions and matrix products multiply to 11 binary digits.
    - bf16: besides, the backbone computes in bfloat16, 8 binary digits, by autocast. Its maps go on
      in float32 to the added layers, the Soft Proposal and the losses; so do all weights.

    With `compile` the backbone is compiled when it is first used, and again for batches of another
    size.

    Raises:
        InputError: bf16 on a GPU that has none, or the backbone cannot be compiled here.
    """
    precision = params.precision
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
        with _compiled(backbone) if params.compile else nullcontext():
            yield
    finally:
        backbone.__dict__.pop("forward", None)
        _allow_tf32(False)


@contextmanager
def _compiled(module: nn.Module) -> Iterator[None]:
    from torch._dynamo.exc import TorchDynamoException  # takes a second

    module.compile()
    try:
        yield
    except TorchDynamoException as error:
        raise InputError(
            f"compile: torch.compile fails here ({first_line(error)}); install what it asks for (a "
            "C++ compiler on a CPU), or set compile to false"
        ) from error
    finally:
        module._compiled_call_impl = None


def _has_bf16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed

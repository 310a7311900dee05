"""How exactly a GPU computes: single precision throughout, unless a timing asks for less.

The library multiplies matrices in single precision, but lets cuDNN's recurrent and convolution kernels round their
inputs to TF32 (10 bits of mantissa): an LSTM would be compared, at half the digits, with an attention at all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

Precision = Literal["tf32", "bf16"]


def set_single() -> None:
    """Let products, convolutions and recurrent kernels of this process compute in single precision (IEEE)."""
    _set("ieee")


@contextmanager
def rounding(precision: Precision | None) -> Iterator[None]:
    """Within the block let products round their inputs to TF32, if that is the precision; afterwards none does."""
    _set("tf32" if precision == "tf32" else "ieee")
    try:
        yield
    finally:
        set_single()


def cast(call: Callable[[], object], precision: Precision | None, device: torch.device) -> Callable[[], object]:
    """Return a call whose products take and give bfloat16 where that is the precision, else the call as it is.

    Weights, sums and normalisations stay in single precision (`torch.autocast`), as is usual in training. Every call
    casts the weights anew: kept from call to call they would be those of before the optimiser's step.
    """
    if precision != "bf16":
        return call

    def in_bf16() -> object:
        with torch.autocast(device.type, torch.bfloat16):
            return call()

    return in_bf16


def rounds_to_tf32() -> bool:
    """Return whether any of this process's products would round its inputs to TF32."""
    return any(part.fp32_precision == "tf32" for part in _parts())


def _set(value: Literal["ieee", "tf32"]) -> None:
    for part in _parts():
        part.fp32_precision = value


def _parts() -> tuple[Any, ...]:
    backends: Any = torch.backends  # its stubs lack what stands below cudnn
    return backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn

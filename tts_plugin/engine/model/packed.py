"""A float32 network laid out for the CPU it runs on: the same numbers, in the order that oneDNN's kernels read them.

torch's plain matrix product of a few rows reads the weights once for every row, or nearly so; one over weights laid out
beforehand reads them once (measured in docs/performance.md). Elsewhere, and where torch was built without oneDNN, the
network stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tts_plugin.engine.model.layers import Linear

_ROWS = 8  # oneDNN is told to expect about so many; others work as well


class PackedLinear(nn.Module):
    """A Linear whose weight only oneDNN can read."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), _ROWS)
        self.bias = plain.bias

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return product


def pack(network: nn.Module) -> None:
    """Lays out the matrices of a float32 network on a CPU, one by one: none but the one at work is held twice."""
    if not _can_pack():
        return
    with torch.inference_mode():
        _pack(network)


def _can_pack() -> bool:
    """The operators are those that torch's own compiler calls; no release has to keep them, so they are asked for."""
    operators = torch.ops.mkldnn
    there = all(hasattr(operators, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
    return there and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _pack(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Linear) and _is_plain(child.weight):
            setattr(module, name, PackedLinear(child))
        else:
            _pack(child)


def _is_plain(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32

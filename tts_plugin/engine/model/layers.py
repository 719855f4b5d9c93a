"""The small layers that the parts share. None draws initial values: every number comes from a checkpoint.

(torch's own layers do, and on the meta device that alone imports sympy and torch._dynamo: 5 s of a start's CPU time.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    def reset_parameters(self) -> None:
        pass


class Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        pass


class RMSNorm(nn.Module):
    """Normalises the last dimension in float32, whatever the dtype of the input, then scales by `weight`."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return normalised(x, self.eps) * self.weight


def normalised(x: Tensor, eps: float) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)

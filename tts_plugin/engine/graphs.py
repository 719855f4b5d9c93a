"""How functions of tensors are called: as they are, or as CUDA graphs that were captured before anybody waited.

A graph replays ~3,000 kernels with one launch, but only for the shapes and the memory that it was captured with: its
inputs are copied into that memory first. Knows nothing of what is computed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

Function = Callable[..., tuple[Tensor, ...]]
_WARM_UPS = 2  # calls before a capture: kernels are loaded and workspaces taken


class Caller(Protocol):
    mode: str  # graphs, or eager and why

    def call(self, key: Hashable, function: Function, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs may lie in main memory. What is returned is good until the next call with this key."""
        ...


class Direct:
    """Calls functions as they are, on a device."""

    def __init__(self, device: torch.device, why: str = "") -> None:
        self.mode = f"eager ({why})" if why else "eager"
        self._device = device

    def call(self, key: Hashable, function: Function, *inputs: Tensor) -> tuple[Tensor, ...]:
        return function(*(given.to(self._device) for given in inputs))


class Captured(NamedTuple):
    """What is to be captured: inputs as large as every call's under this key will be, that change no state."""

    key: Hashable
    function: Function
    inputs: Sequence[Tensor]


@dataclass(slots=True)
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    staged: list[Tensor]  # pinned, as large as the inputs: a copy from there waits for nothing
    outputs: tuple[Tensor, ...]

    def replay(self, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
        for value, staged, ours in zip(given, self.staged, self.inputs, strict=True):
            if value.device.type == "cpu":
                staged.copy_(value)
                value = staged
            ours.copy_(value, non_blocking=True)
        self.graph.replay()
        return self.outputs


class CudaGraphs:
    """Replays what was captured; what was not is called as it is."""

    mode = "graphs"

    def __init__(self, device: torch.device) -> None:
        self._direct, self._device = Direct(device), device
        self._graphs: dict[Hashable, _Graph] = {}
        self._pool: Any = None  # of memory, shared by all: they never run at once
        self._beside: torch.cuda.Stream | None = None  # where functions are tried before
        self.replays = self.misses = 0

    def capture(self, wanted: Iterable[Captured]) -> None:
        """Captures in the order given, but for what there is no memory for. Raises RuntimeError when it cannot."""
        started, left_out = time.monotonic(), 0
        for one in wanted:
            try:
                with torch.cuda.device(self._device):
                    self._graphs[one.key] = self._capture(one)
            except torch.OutOfMemoryError:
                left_out += 1
        took = time.monotonic() - started
        logger.info("%d CUDA graphs captured in %.1f s, %d more did not fit", len(self._graphs), took, left_out)
        if not self._graphs:
            raise RuntimeError("no memory for a single CUDA graph")

    def call(self, key: Hashable, function: Function, *inputs: Tensor) -> tuple[Tensor, ...]:
        graph = self._graphs.get(key)
        if graph is None:
            self.misses += 1
            return self._direct.call(key, function, *inputs)
        self.replays += 1
        with torch.cuda.device(self._device):  # a thread begins on the first
            return graph.replay(inputs)

    def _capture(self, one: Captured) -> _Graph:
        inputs = [given.to(self._device).clone() for given in one.inputs]
        staged = [torch.empty(given.shape, dtype=given.dtype, pin_memory=True) for given in inputs]
        beside = self._beside = self._beside or torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                one.function(*inputs)
        torch.cuda.current_stream(self._device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = one.function(*inputs)
        self._pool = self._pool or graph.pool()
        return _Graph(graph, inputs, staged, outputs)

"""Opens graphs in ONNX Runtime. Making them is builder.py's: who only opens needs no onnx package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import onnxruntime

Precision = Literal["float32", "int8", "int4"]  # of weights
PRECISIONS: tuple[Precision, ...] = ("float32", "int8", "int4")
MOST_THREADS = 8  # more only wait for each other: the matrices are small


def precision_of(dtype: str) -> Precision:
    """Raises ValueError."""
    for precision in PRECISIONS:
        if precision == dtype:
            return precision
    raise ValueError(f"{dtype!r} is no precision of ONNX Runtime's; known: {', '.join(PRECISIONS)}")


def cores() -> int:
    """Threads to compute with: the cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_THREADS)


def open_session(model: bytes | Path, threads: int) -> onnxruntime.InferenceSession:
    """Threads that have nothing to do sleep at once: spinning would cost others on the same cores their time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # errors are raised, which is enough
    options.enable_mem_pattern = False  # it keeps a plan of memory for every shape it ever saw
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

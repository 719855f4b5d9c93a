"""What can go wrong when a model is converted. Importable without ONNX Runtime."""

from __future__ import annotations


class CannotKeep(RuntimeError):
    """The converted model cannot be written: where, why, and what to do."""

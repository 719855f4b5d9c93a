"""How busy the graphics card is, as its driver says. Where there is none, or no nvidia-ml-py, nothing is known."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


def utilisation_percent(device: str) -> float | None:
    """Of "cuda" or "cuda:n", of the last moment that the driver measured."""
    if not device.startswith("cuda"):
        return None
    found = _card(device)
    if found is None:
        return None
    nvml, card = found
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(card).gpu)
    except nvml.NVMLError:
        return None


@cache
def _card(device: str) -> tuple[Any, Any] | None:
    """By its UUID, because torch counts only the cards that it may see. Whoever runs on cuda has imported torch."""
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = sys.modules["torch"].cuda.get_device_properties(device).uuid
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except (ImportError, KeyError, AttributeError):
        return None
    except pynvml.NVMLError:
        return None

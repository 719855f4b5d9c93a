"""How an engine is set up. Frozen; worker/settings.py fills it, nothing here reads the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BackendName = Literal["auto", "vibevoice", "embedded"]
SolverChoice = Literal["dpmsolver++", "sde-dpmsolver++"]


@dataclass(frozen=True, slots=True)
class EngineConfig:
    backend: BackendName = "auto"
    model_name: str = "microsoft/VibeVoice-Realtime-0.5B"
    model_path: Path | None = None  # a folder with the files; None: huggingface's cache
    device: str = "auto"
    dtype: str = "auto"
    max_batch_size: int | None = None  # None: what calibration finds
    default_voice: str = "default"
    max_text_chars: int = 20_000  # per utterance
    starvation_timeout_s: float = 30.0  # an utterance that waits this long for text is ended
    ahead_s: float = 10.0  # how far a realtime utterance may run ahead of the listener
    # VibeVoice only
    solver: SolverChoice = "sde-dpmsolver++"  # as the model's authors' realtime demo
    solver_steps: int = 5
    cfg_scale: float = 1.5
    lead_s: float = 3.0  # as ahead_s: speech takes more computing here, and a barge-in wastes what lies ahead
    ttfa_target_s: float = 0.25  # what the capacity is calibrated for
    cpu_share: float = 1.0  # of the machine that is left for the engine while calls are under way; CPU only

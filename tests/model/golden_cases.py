"""The recorded runs of the reference implementation: where they are, what they hold, and the network of each.

GOLDEN_DIR names the folder; without it ../shared/golden beside the repository, else the copy of the small cases here.
A case is any JSON file that says what it speaks with; no name of a file means anything.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tts_plugin.engine.model.dpm_solver import Schedule, make_schedule
from tts_plugin.engine.model.load import load
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.reference import Line
from tts_plugin.engine.model.voice import Voice, load_voice

torch.set_num_threads(1)

CPU = torch.device("cpu")
HIDDEN_TOLERANCE = 1e-4  # absolute, float32: hidden states, latents, EOS logits
AUDIO_TOLERANCE = 1e-3  # absolute, float32; the recorded audio has an rms of 3 to 6
BFLOAT16_TOLERANCE = 5e-2  # relative


def golden_folder() -> Path:
    if given := os.environ.get("GOLDEN_DIR"):
        return Path(given)
    here = Path(__file__).parent
    shared = here.parents[2] / "shared" / "golden"
    return shared if shared.is_dir() else here / "golden"


@dataclass(frozen=True)
class Case:
    path: Path
    inputs: dict[str, Any]

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.inputs["dtype"])
        return dtype

    @cached_property
    def recorded(self) -> dict[str, Tensor]:
        return load_file(self.path.with_suffix(".safetensors"))

    @property
    def network(self) -> Network:
        """The case's network, with the case's EOS bias; shared by the cases, so not for keeping."""
        folder = self.path.parent
        network = _network(folder / self.inputs["config"], folder / self.inputs["weights"], self.dtype)
        network.eos.fc2.bias.fill_(self.inputs["eos_bias"])
        return network

    @cached_property
    def voice(self) -> Voice:
        return load_voice(self.path.parent / self.inputs["voice"], self.network.config, CPU, self.dtype)

    @property
    def schedule(self) -> Schedule:
        return make_schedule(self.inputs["solver"], self.inputs["ddpm_steps"])

    @property
    def line(self) -> Line:
        given = self.inputs
        return Line(given["text_ids"], given["cfg_scale"], given["max_new_tokens"], given["stop_after_iterations"])

    def start(self, index: int) -> Tensor:
        return self.recorded["noise_init"][index]

    def steps(self, index: int) -> Tensor | None:
        noise = self.recorded.get("noise_steps")
        return None if noise is None else noise[index]


def find_cases(dtype: str | None = None) -> list[Case]:
    found = []
    for path in sorted(golden_folder().glob("*.json")):
        inputs = json.loads(path.read_text(encoding="utf-8"))
        if "text_ids" in inputs and "solver" in inputs and dtype in (None, inputs["dtype"]):
            found.append(Case(path, inputs))
    return found


def find_schedules() -> dict[str, dict[str, list[float]]]:
    """Number of steps → timesteps, sigmas, alpha, sigma_vp."""
    found: dict[str, dict[str, list[float]]] = {}
    for path in sorted(golden_folder().glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if "alphas_cumprod_first" in content:
            found |= content["steps"]
    return found


def difference(ours: Tensor, recorded: Tensor) -> float:
    """Largest absolute difference; shapes must agree."""
    assert ours.shape == recorded.shape
    return float((ours.float() - recorded.float()).abs().max())


def relative(ours: Tensor, recorded: Tensor) -> float:
    """Size of the difference relative to the size of the recording, over the whole tensor."""
    assert ours.shape == recorded.shape
    return float((ours.float() - recorded.float()).norm() / recorded.float().norm())


@cache
def _network(config: Path, weights: Path, dtype: torch.dtype) -> Network:
    return load(config, weights, CPU, dtype)

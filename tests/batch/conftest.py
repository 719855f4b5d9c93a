"""A small VibeVoice of random weights, as a folder on disk, opened as a back-end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))  # for engine_events


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="the engine extra (torch) is not installed")
    import torch
    from small_model import write_model

    torch.set_num_threads(1)
    return write_model(tmp_path_factory.mktemp("vibevoice"))


@pytest.fixture(scope="module")
def make_backend(model_folder: Path) -> Iterator[Callable[..., object]]:
    from tts_plugin.engine.config import EngineConfig
    from tts_plugin.engine.create import open_backend

    made = []

    def make(**config: object) -> object:
        given = {
            "backend": "vibevoice",
            "model_path": model_folder,
            "device": "cpu",
            "dtype": "float32",
            "max_batch_size": 8,
            **config,
        }
        made.append(open_backend(EngineConfig(**given)))
        return made[-1]

    yield make
    for backend in made:
        backend.close()

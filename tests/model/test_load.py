"""From files to a network: the right numbers in the right places, nothing twice, nothing unused, or a clear refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import torch
from safetensors.torch import load_file, save_file

from tts_plugin.engine.model.acoustic_decoder import Upsampler
from tts_plugin.engine.model.config import WrongCheckpoint, read_config
from tts_plugin.engine.model.load import arrange, build, load, load_folder
from tts_plugin.engine.model.random_weights import SMALL, random_voice, random_weights, write_checkpoint
from tts_plugin.engine.model.tensor_file import open_tensors
from tts_plugin.engine.model.voice import load_voice
from tts_plugin.weights import NEVER_READ, expected_tensors, read_header

CPU = torch.device("cpu")
GOLDEN = Path(__file__).parent / "golden"
TINY = read_config(GOLDEN / "tiny.config.json")


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "tiny.weights.safetensors")


def load_tensors(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "weights.safetensors")
    load(GOLDEN / "tiny.config.json", folder / "weights.safetensors", CPU, torch.float32)


def test_every_parameter_but_the_unused_one_comes_from_the_file(tensors: dict[str, torch.Tensor]) -> None:
    network = load(GOLDEN / "tiny.config.json", GOLDEN / "tiny.weights.safetensors", CPU, torch.float32)
    held = sum(parameter.numel() for parameter in network.parameters())
    assert held == sum(tensor.numel() for name, tensor in tensors.items() if name != NEVER_READ)
    assert all(parameter.device == CPU and parameter.dtype == torch.float32 for parameter in network.parameters())
    assert torch.equal(network.embed_tokens.weight, tensors["model.language_model.embed_tokens.weight"].float())


def test_the_unused_embedding_is_never_asked_for() -> None:
    asked: list[str] = []

    def read(name: str) -> torch.Tensor:
        asked.append(name)
        return torch.zeros(expected_tensors(TINY)[name])

    build(TINY, read, CPU, torch.float32)
    assert sorted([*asked, NEVER_READ]) == sorted(expected_tensors(TINY))


def test_upsampler_equals_torchs_transposed_convolution() -> None:
    torch.manual_seed(0)
    kernel, bias, x = torch.randn(6, 3, 10), torch.randn(3), torch.randn(2, 4, 6)
    ours = Upsampler(6, 3, 5)
    name = "model.acoustic_tokenizer.decoder.upsample_layers.1.0.convtr.convtr.weight"
    ours.load_state_dict({"weight": arrange(name, kernel)[1], "bias": bias})
    with torch.inference_mode():
        out = ours(x, torch.zeros(2, 1, 6), [])
        expected = torch.nn.functional.conv_transpose1d(x.transpose(1, 2), kernel, bias, stride=5)[..., :-5]
    torch.testing.assert_close(out.transpose(1, 2), expected, atol=1e-5, rtol=0)


def test_bfloat16_network_holds_the_files_numbers_unchanged(tensors: dict[str, torch.Tensor]) -> None:
    network = load(GOLDEN / "tiny.config.json", GOLDEN / "tiny.weights.safetensors", CPU, torch.bfloat16)
    assert torch.equal(network.connector.fc1.weight, tensors["model.acoustic_connector.fc1.weight"])


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes((GOLDEN / "tiny.weights.safetensors").read_bytes())
    entries = read_header(path)
    with open_tensors(path, entries) as file:
        os.truncate(path, 100_000)
        last = max(expected_tensors(TINY), key=lambda name: entries[name].end)
        with pytest.raises(WrongCheckpoint, match="has changed while it was read"):
            file.read(last)


def test_a_missing_tensor_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    del tensors["tts_eos_classifier.fc2.bias"]
    with pytest.raises(WrongCheckpoint, match=r"1 missing \(tts_eos_classifier\.fc2\.bias\)"):
        load_tensors(tmp_path, tensors)


def test_scaling_factors_that_were_never_set_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.speech_scaling_factor"] = torch.tensor(float("nan")).bfloat16()
    with pytest.raises(WrongCheckpoint, match="speech scaling nan"):
        load_tensors(tmp_path, tensors)


def test_weights_in_several_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(json.loads((GOLDEN / "tiny.config.json").read_text())))
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(WrongCheckpoint, match=r"several files.*expected one model\.safetensors"):
        load_folder(tmp_path, CPU, torch.float32)


def test_written_random_checkpoint_loads_as_the_same_network(tmp_path: Path) -> None:
    config = replace(SMALL, language=replace(SMALL.language, vocabulary=100))
    write_checkpoint(tmp_path, config, seed=4)
    loaded, built = load_folder(tmp_path, CPU, torch.bfloat16), random_weights(config, 4, dtype=torch.bfloat16)
    for (name, ours), theirs in zip(loaded.state_dict().items(), built.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_random_weights_of_another_seed_are_others() -> None:
    config = replace(SMALL, language=replace(SMALL.language, vocabulary=100))
    first, second = random_weights(config, 1), random_weights(config, 2)
    assert not torch.equal(first.connector.fc1.weight, second.connector.fc1.weight)


PEAK = """
import resource, sys, torch
from pathlib import Path
from tts_plugin.engine.model.load import load_folder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
network = load_folder(Path(sys.argv[1]), torch.device("cpu"), torch.float32)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
print(grown / sum(p.numel() * p.element_size() for p in network.parameters()), "sympy" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux only")
def test_loading_never_holds_the_model_twice_nor_imports_torchs_compiler(tmp_path: Path) -> None:
    language = replace(SMALL.language, hidden=512, intermediate=2048, head_dim=128, layers=4, vocabulary=10_000)
    write_checkpoint(tmp_path, replace(SMALL, language=language, tts_layers=2))  # 84 MB in float32
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    out = subprocess.run([sys.executable, "-c", PEAK, tmp_path], env=env, capture_output=True, text=True, check=True)
    times_held, compiler = out.stdout.split()
    assert float(times_held) < 1.6  # the model, its largest tensor (a quarter), and what torch itself needs
    assert compiler == "False"  # it would cost 5 s of CPU time at every start


def test_a_voice_of_another_model_is_refused_with_both_shapes(tmp_path: Path) -> None:
    with pytest.raises(WrongCheckpoint, match=r"last_hidden_state is \(1, 13, 64\); expected \(1, positions, 128\)"):
        load_voice(
            GOLDEN / "tiny.voice_A.safetensors",
            replace(TINY, language=replace(TINY.language, hidden=128)),
            CPU,
            torch.float32,
        )


def test_a_voice_with_another_number_of_layers_is_refused() -> None:
    config = replace(TINY, tts_layers=3, language=replace(TINY.language, layers=5))
    with pytest.raises(WrongCheckpoint, match="tts_lm has 2 layers of keys; expected 3"):
        load_voice(GOLDEN / "tiny.voice_A.safetensors", config, CPU, torch.float32)


def test_a_random_voice_has_the_shapes_of_a_loaded_one() -> None:
    loaded = load_voice(GOLDEN / "tiny.voice_A.safetensors", TINY, CPU, torch.float32)
    made = random_voice(TINY, loaded.base.positions, loaded.tts.positions)
    for part in ("base", "tts", "negative"):
        assert getattr(made, part).keys.shape == getattr(loaded, part).keys.shape
    assert (made.hidden.shape, made.negative_hidden.shape) == (loaded.hidden.shape, loaded.negative_hidden.shape)

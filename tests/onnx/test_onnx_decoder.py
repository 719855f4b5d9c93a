"""The decoder on ONNX Runtime: the reference's sound, utterance by utterance, whoever shares the call."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the golden cases are read with torch")

from golden_cases import AUDIO_TOLERANCE, Case, find_cases

from tts_plugin.engine.model.config import read_config
from tts_plugin.engine.onnx import decoder_graph
from tts_plugin.engine.onnx.builder import PRECISIONS, Builder, Precision
from tts_plugin.engine.onnx.checkpoint import open_tensors
from tts_plugin.engine.onnx.decoder import Decoder
from tts_plugin.engine.onnx.decoder_graph import build_decoder, products

CASES = find_cases("float32")
LONG = max(CASES, key=lambda case: len(case.recorded["latents_scaled"]))
ROUNDED = {"int8": 0.025, "int4": 0.04}  # of the audio, relative, teacher-forced: 0.012 and 0.021 are measured
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
each_precision = pytest.mark.parametrize("precision", PRECISIONS)


@cache
def built(folder: Path, config: str, weights: str, precision: Precision):
    builder, shape = Builder(), read_config(folder / config)
    with open_tensors(folder / weights) as tensors:
        build_decoder(builder, tensors, shape, precision)
    return builder.session(), shape


def decoder(case: Case, precision: Precision = "float32", slots: int = 1) -> Decoder:
    session, config = built(case.path.parent, case.inputs["config"], case.inputs["weights"], precision)
    return Decoder(session, config, slots)


def latents_of(case: Case) -> np.ndarray:
    return np.asarray(case.recorded["latents_scaled"].numpy())


def spoken(decoder: Decoder, latents: np.ndarray, slot: int = 0) -> np.ndarray:
    decoder.open(slot)
    return np.concatenate([decoder.decode(latent[None], [slot]) for latent in latents])


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max())


@each_case
def test_golden_decoder_on_onnx(case: Case) -> None:
    assert apart(spoken(decoder(case), latents_of(case)), case.recorded["audio_frames"].numpy()) <= AUDIO_TOLERANCE


@pytest.mark.parametrize("precision", ["int8", "int4"])
@each_case
def test_golden_decoder_of_few_bits(case: Case, precision: Precision) -> None:
    recorded = case.recorded["audio_frames"].numpy()
    off = spoken(decoder(case, precision), latents_of(case)) - recorded
    assert 0 < np.linalg.norm(off) / np.linalg.norm(recorded) <= ROUNDED[precision]


@each_precision
def test_blocks_cut_into_tiles_sound_the_same(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    case = max(CASES, key=lambda case: case.recorded["audio_frames"].shape[1])  # the most columns
    latents, folder, given = latents_of(case)[:2], case.path.parent, case.inputs
    whole = spoken(decoder(case, precision), latents)
    monkeypatch.setattr(decoder_graph, "TILE", 2000)
    session, config = built.__wrapped__(folder, given["config"], given["weights"], precision)
    assert apart(spoken(Decoder(session, config, 1), latents), whole) <= 1e-5
    assert [decoder_graph._tiles(columns, 8000) for columns in (40, 6, 25)] == [4, 2, 1]


@each_precision
def test_utterances_join_and_leave_a_batch_of_decoders(precision: Precision) -> None:
    """In any order of slots; each sounds as it does alone."""
    lines = latents_of(LONG)[:12].reshape(3, 4, -1)
    alone = [spoken(decoder(LONG, precision), line) for line in lines]
    together = decoder(LONG, precision, slots=3)
    heard: dict[int, list[np.ndarray]] = {0: [], 1: [], 2: []}
    for line in heard:
        together.open(line)
    for order in ([2], [0, 2], [1, 0, 2], [2, 1, 0], [0, 1], [1]):
        latents = np.stack([lines[line][len(heard[line])] for line in order])
        for line, samples in zip(order, together.decode(latents, order), strict=True):
            heard[line].append(samples)
    for line, samples in heard.items():
        assert apart(np.stack(samples), alone[line][: len(samples)]) <= 1e-5


@each_precision
def test_an_outlier_beside_a_decoder_moves_nobody(precision: Precision) -> None:
    case = LONG
    beside = latents_of(case)[3:5] * np.float32(100)
    pair, alone = decoder(case, precision, slots=2), decoder(case, precision)
    for index, latent in enumerate(latents_of(case)[:2]):
        mixed = pair.decode(np.stack((latent, beside[index])), [0, 1])
        assert apart(mixed[0], alone.decode(latent[None], [0])[0]) <= 1e-5
        assert np.abs(mixed[1]).max() > 3 * np.abs(mixed[0]).max()


def test_a_slot_that_is_opened_again_has_no_past() -> None:
    used = decoder(CASES[0])
    first = spoken(used, latents_of(CASES[0])[:2])
    assert np.array_equal(spoken(used, latents_of(CASES[0])[:2]), first)


def test_without_opening_the_past_is_heard() -> None:
    used, latent = decoder(CASES[0]), latents_of(CASES[0])[:1]
    assert apart(used.decode(latent, [0]), used.decode(latent, [0])) > 0.01


def test_decoder_state_of_the_published_model_is_half_a_megabyte() -> None:
    from tts_plugin.engine.model.random_weights import REALTIME_05B
    from tts_plugin.engine.onnx.decoder import state_shapes

    shapes = state_shapes(REALTIME_05B)
    assert (len(shapes), sum(columns * channels for columns, channels in shapes)) == (34, 139_200)


def test_narrow_stages_stay_in_float32() -> None:
    from tts_plugin.engine.model.random_weights import REALTIME_05B

    assert products(REALTIME_05B, "int8")[-3:] == (("float32", "float32"),) * 3
    assert products(REALTIME_05B, "int4")[0][1] == "int4"
    assert set(products(REALTIME_05B, "float32")) == {("float32", "float32")}

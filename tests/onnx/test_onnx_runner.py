"""What the runner says when memory is short, and what it keeps to itself."""

from __future__ import annotations

import numpy as np
import pytest

from tts_plugin.engine.model.schedule import make_schedule
from tts_plugin.engine.model.shapes import SMALL
from tts_plugin.engine.onnx.builder import Builder
from tts_plugin.engine.onnx.network import build_network
from tts_plugin.engine.onnx.random_tensors import RandomTensors, random_voice
from tts_plugin.engine.onnx_runner import OnnxRunner, _runtime_errors
from tts_plugin.engine.pages import PAGE, OutOfPages
from tts_plugin.engine.runner import Opening, OutOfMemory, Row
from tts_plugin.engine.sizes import VoiceLengths, fit
from tts_plugin.engine.utterance import Work


def runner(free_bytes: int = 1 << 30, slots: int = 2) -> OnnxRunner:
    network = build_network(RandomTensors(SMALL), SMALL, make_schedule("dpmsolver++", 2), "int8", threads=1)
    sizes = fit(SMALL, [VoiceLengths(70, 130, 1)], slots, 4, free_bytes)
    return OnnxRunner(network, {"voice": random_voice(SMALL, 70, 130)}, sizes)


def test_memory_that_onnx_runtime_does_not_get_is_out_of_memory() -> None:
    builder = Builder()
    x = builder.input("x", "float32", [1])
    shape = builder.input("shape", "int64", [1])
    builder.output(builder.op("Expand", x, shape), "y", "float32", ["n"])
    session = builder.session()
    with pytest.raises(OutOfMemory), _runtime_errors():
        session.run(["y"], {"x": np.zeros(1, np.float32), "shape": np.array([1 << 50])})


def test_memory_that_numpy_does_not_get_is_out_of_memory() -> None:
    with pytest.raises(OutOfMemory), _runtime_errors():
        np.zeros(1 << 50, np.float64)


def test_another_fault_stays_what_it_is() -> None:
    with pytest.raises(IndexError), _runtime_errors():
        [][0]


def test_a_step_that_fails_can_be_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's positions are written again by the next try: the second gives what the first would have given."""
    first, second = runner(), runner()
    work = Work(0, False, (1, 2, 3), True)
    for one in (first, second):
        one.reserve(0)
        one.open(0, Opening("voice", 5, 1.5))
        one.prepare(Row(0, work))
    expected = [first.step([Row(0, work)])[0].samples, first.step([Row(0, Work(1, True, (), True))])[0].samples]
    decode = second._decoder.decode
    monkeypatch.setattr(second._decoder, "decode", lambda *_: np.zeros(1 << 50))
    with pytest.raises(OutOfMemory):
        second.step([Row(0, work)])
    monkeypatch.setattr(second._decoder, "decode", decode)
    again = [second.step([Row(0, work)])[0].samples, second.step([Row(0, Work(1, True, (), True))])[0].samples]
    assert np.array_equal(again, expected)


def test_an_utterance_that_outgrows_the_pages_is_told() -> None:
    small = runner()
    small.reserve(0)
    small.open(0, Opening("voice", 5, 1.5))
    latents = small.total_pages * PAGE
    with pytest.raises(OutOfPages):
        small.prepare(Row(0, Work(latents, True, (), True)))


def test_a_row_with_nothing_to_hear_still_speaks() -> None:
    """The first latent of an utterance whose text has no ids."""
    silent = runner()
    silent.reserve(0)
    silent.open(0, Opening("voice", 5, 1.5))
    (made,) = silent.step([Row(0, Work(0, False, (), True))])
    assert made.samples is not None
    assert np.isfinite(made.samples).all()

"""Shapes that can be captured: what pads them changes nothing, and nothing of a step is decided in Python."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import numpy as np
import torch
from batch_bench import Bench, Speech
from graph_speeches import BUCKETS, CONFIG, SLOTS, make, off, said, speeches
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tts_plugin.engine.graphs import Captured, Function
from tts_plugin.engine.layout import Buckets, empty
from tts_plugin.engine.runner import Opening, Row
from tts_plugin.engine.torch_runner import TorchRunner
from tts_plugin.engine.utterance import Progress

HEARD = 1e-6  # of full scale, float32, one step: kernels for more rows may add up in another order
MADE = 1e-5  # the same after the solver and the decoder, which magnify it
SAID = 1e-4  # the same after all steps of an utterance, each fed with what the one before made
ASKS_THE_DEVICE = {
    f"aten::{name}" for name in ("item", "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal")
}


@pytest.fixture(scope="module")
def plain() -> list[Speech]:
    return said(make())


@pytest.mark.parametrize("one_wait", [False, True], ids=["ends asked first", "one wait"])
def test_a_padded_batch_equals_an_unpadded_one(plain: list[Speech], one_wait: bool) -> None:
    padded = said(make(buckets=BUCKETS, one_wait=one_wait))
    for ours, theirs in zip(padded, plain, strict=True):
        assert ours.works == theirs.works  # the same control flow, ends included
        assert off(ours.audio, theirs.audio) <= SAID
    assert [speech.progress.end for speech in plain if speech.progress][:3] == ["eos", "eos", "max_length"]


def test_every_padded_step_equals_the_unpadded_one_from_the_same_state() -> None:
    plain, padded = Bench(make(), speeches(), cap=True), Bench(make(buckets=BUCKETS), speeches(), cap=True)
    for step in range(40):
        with torch.inference_mode():
            copy_state(plain.runner, padded.runner)
        plain.step(step)
        padded.step(step)
        kept = tensors(plain.runner)
        for name, ours in tensors(padded.runner).items():
            assert off(ours.numpy(), kept[name].numpy()) <= (HEARD if name.startswith("tts") else MADE), name
        for ours, theirs in zip(padded.speeches, plain.speeches, strict=True):
            assert not ours.latents or off(ours.latents[-1], theirs.latents[-1]) <= MADE


def test_a_row_is_bit_for_bit_the_same_beside_padding_and_beside_others() -> None:
    buckets = Buckets((SLOTS,), (7,))
    alone = Bench(make(buckets=buckets), speeches()[:1], cap=True).run().speeches[0]
    among = Bench(make(buckets=buckets), speeches(), cap=True).run().speeches[0]
    assert np.array_equal(alone.audio, among.audio)


def test_padding_leaves_all_state_untouched() -> None:
    runner = make(buckets=BUCKETS)
    bench = Bench(runner, speeches())
    for step in range(4):
        bench.step(step)
    before = state(runner)
    for one in runner._to_capture():
        with torch.inference_mode():
            one.function(*one.inputs)
    for name, (was, now) in {name: (before[name], kept) for name, kept in state(runner).items()}.items():
        assert torch.equal(was, now), name


def test_the_page_that_pads_is_never_written_to() -> None:
    runner = make(buckets=BUCKETS)
    Bench(runner, speeches()).run()
    for cache in (runner._base, runner._tts):
        assert not cache.keys[:, 0].any()
        assert not cache.values[:, 0].any()
        assert cache.keys[:, cache.scratch_page].any()  # padding was there, and wrote where it may


def test_an_ended_row_that_is_computed_on_leaves_its_neighbours_untouched() -> None:
    """The row's latent is made though it is done, as on a GPU; its neighbour goes on bit for bit as without it."""
    audio = []
    for ends in (True, False):
        runner = make(2, buckets=Buckets((2,), (7,)), one_wait=True)
        rows = seat(runner, 2)
        for step in range(8):
            work = [Row(slot, progress.next_work()) for slot, progress in rows.items()]
            for row in work:
                runner.prepare(row)
            if step == 3:
                logits = torch.tensor([1.0 if ends else -1.0, -1.0])
                with Ending(runner, logits):
                    made = runner.step(work)
                assert made[0].ended is ends
                assert (made[0].samples is None) is ends
            else:
                made = runner.step(work)
            for row in work:
                rows[row.slot].advance(row.work, ended=False)
            audio.append(made[1].samples)
    assert all(np.array_equal(one, other) for one, other in zip(audio[:8], audio[8:], strict=True))


def test_a_step_asks_the_device_nothing_and_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = make(4, buckets=BUCKETS, one_wait=True)
    rows, waits = seat(runner, 3), []
    cpu = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda self: waits.append(self.shape) or cpu(self))
    monkeypatch.setattr(Tensor, "tolist", lambda self: pytest.fail("a list was asked for"))
    for _ in range(8):  # with and without a text window
        work = [Row(slot, progress.next_work()) for slot, progress in rows.items()]
        for row in work:
            runner.prepare(row)
        waits.clear()
        with Watch() as watch:
            runner.step(work)
        assert waits == [(4, 1 + CONFIG.samples_per_latent)]
        assert not watch.seen & ASKS_THE_DEVICE
        for row in work:
            rows[row.slot].advance(row.work, ended=False)


@pytest.mark.timeout(180)  # torch imports its compiler for the tracer
def test_a_step_that_was_captured_once_is_replayed_without_python(plain: list[Speech]) -> None:
    """torch's tracer stands in for a CUDA graph: what it recorded of a padding step then computes every other step."""
    runner = make(buckets=Buckets((SLOTS,), (7,)), one_wait=True)
    traced = Traced()
    traced.capture(runner._to_capture())
    runner._caller = traced
    for ours, theirs in zip(said(runner), plain, strict=True):
        assert ours.works == theirs.works
        assert off(ours.audio, theirs.audio) <= SAID
    assert traced.replays > 50
    assert traced.misses == 0


def test_a_step_beyond_the_largest_shape_is_computed_as_it_is(plain: list[Speech]) -> None:
    few = said(make(buckets=Buckets((1, 2), (3,))))
    for ours, theirs in zip(few, plain, strict=True):
        assert ours.works == theirs.works
        assert off(ours.audio, theirs.audio) <= SAID


def test_after_the_end_nothing_more_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, decoded, heard = make(1), [], []
    decoder, tts = runner._compute.network.decoder, runner._compute.network.tts_model
    decode, hear = decoder.forward, tts.forward
    monkeypatch.setattr(decoder, "forward", lambda x, state: decoded.append(len(x)) or decode(x, state))
    monkeypatch.setattr(tts, "forward", lambda x, *rest: heard.append(len(x)) or hear(x, *rest))
    speech = speeches()[0]
    Bench(runner, [speech]).run()
    assert speech.progress is not None
    assert speech.progress.end == "eos"
    assert len(speech.latents) % 6  # in the middle of a window
    assert sum(decoded) == len(speech.latents)
    assert sum(heard) == speech.progress.ids_read + 2 * len(speech.latents)  # every latent in both branches
    assert speech.progress.text_left  # which would have been read


@pytest.mark.parametrize("slots", [1, 3, 8, 64])
def test_every_step_that_slots_allow_has_a_shape(slots: int) -> None:
    buckets = Buckets.of(slots, 8_192)
    assert buckets.rows[-1] == slots
    assert buckets.depths[-1] * 64 == 8_192
    assert len(buckets.shapes()) <= 100  # each takes some tens of milliseconds to capture
    assert len(set(buckets.shapes())) == len(buckets.shapes())


def test_a_shape_of_padding_alone_has_as_many_numbers_as_it_says() -> None:
    runner = make(buckets=BUCKETS)
    for shape in BUCKETS.shapes():
        assert len(empty(shape, runner._scratch)) == sum(shape.lengths)


def seat(runner: TorchRunner, count: int) -> dict[int, Progress]:
    rows = {}
    for slot in range(count):
        runner.reserve(slot)
        runner.open(slot, Opening("short", slot, 1.5))
        rows[slot] = Progress(20, 400, cap=False)
        rows[slot].add(range(5 + 5 * slot))
        rows[slot].end_text()
    return rows


def state(runner: TorchRunner) -> dict[str, Tensor]:
    return {name: kept.clone() for name, kept in tensors(runner).items()}


def tensors(runner: TorchRunner) -> dict[str, Tensor]:
    """Everything that utterances or voices have; not what padding has."""
    compute, kept = runner._compute, {}
    for name, cache in (("base", runner._base), ("tts", runner._tts)):
        kept[f"{name} keys"], kept[f"{name} values"] = cache.keys[:, :-1], cache.values[:, :-1]
    kept["latents"] = compute._latents[:-1]
    return kept | {f"decoder {n}": part[:-1] for n, part in enumerate(compute._decoder_state)}


def copy_state(source: TorchRunner, target: TorchRunner) -> None:
    for theirs, ours in zip(tensors(source).values(), tensors(target).values(), strict=True):
        ours.copy_(theirs)


class Ending:
    """In a step, the end is as likely as these logits say."""

    def __init__(self, runner: TorchRunner, logits: Tensor) -> None:
        self._runner, self._logits = runner, logits

    def __enter__(self) -> None:
        hear = self._runner._compute.hear
        self._runner._compute.hear = lambda *given: (hear(*given)[0], self._logits)  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        del self._runner._compute.hear


class Watch(TorchDispatchMode):
    """Which operators run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func._schema.name)
        return func(*args, **(kwargs or {}))


class Traced:
    mode = "traced"

    def __init__(self) -> None:
        self._recorded: dict[Hashable, Any] = {}
        self.replays = self.misses = 0

    def capture(self, wanted: Iterable[Captured]) -> None:
        from torch.fx.experimental.proxy_tensor import make_fx

        with torch.inference_mode():
            for one in wanted:
                self._recorded[one.key] = make_fx(one.function)(*one.inputs)

    def call(self, key: Hashable, function: Function, *inputs: Tensor) -> Sequence[Tensor]:
        if key not in self._recorded:
            self.misses += 1
            return function(*inputs)
        self.replays += 1
        return self._recorded[key](*inputs)

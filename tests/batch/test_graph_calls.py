"""How captured functions are called, and the golden cases through CUDA graphs where there is a CUDA device."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import torch
from batch_bench import Bench, sizes_for
from golden_cases import Case, find_cases
from graph_speeches import BUCKETS, CONFIG, SCHEDULE, VOICES, make, off, speeches
from test_golden_batched import check, other, speech_of
from torch import Tensor

from tts_plugin.engine.backend import Backend
from tts_plugin.engine.graphs import CudaGraphs, Direct, _Graph
from tts_plugin.engine.model.load import load
from tts_plugin.engine.model.random_weights import random_weights
from tts_plugin.engine.model.voice import Prefix, Voice, load_voice
from tts_plugin.engine.torch_runner import TorchRunner
from tts_plugin.server import create_app

CUDA = torch.device("cuda", 0)
on_cuda = [
    pytest.mark.cuda,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here; a GPU is no part of CI"),
]


class Recording:
    """Stands in for a device's graph: computes from the captured memory into the captured memory."""

    def __init__(self, inputs: list[Tensor], output: Tensor) -> None:
        self._inputs, self._output = inputs, output

    def replay(self) -> None:
        self._output.copy_(self._inputs[0] * 10 + self._inputs[1])


def test_a_replay_computes_with_what_it_is_given_in_the_memory_it_was_captured_with() -> None:
    inputs, output = [torch.zeros(3), torch.zeros(3)], torch.zeros(3)
    memory = [given.data_ptr() for given in inputs]
    graph = _Graph(Recording(inputs, output), inputs, [torch.zeros(3), torch.zeros(3)], (output,))  # type: ignore[arg-type]
    for one, two in ((1.0, 2.0), (3.0, 4.0)):
        assert graph.replay([torch.full((3,), one), torch.full((3,), two)])[0].tolist() == [one * 10 + two] * 3
    assert [given.data_ptr() for given in inputs] == memory


def test_inputs_of_another_size_than_captured_are_no_silent_broadcast() -> None:
    runner = make(2, buckets=BUCKETS)
    shapes = {one.key: [tuple(given.shape) for given in one.inputs] for one in runner._to_capture()}
    seen = []

    class Watched(Direct):
        def call(self, key, function, *inputs):  # type: ignore[no-untyped-def]
            seen.append((key, [tuple(given.shape) for given in inputs]))
            return super().call(key, function, *inputs)

    runner._one_wait, runner._caller = True, Watched(torch.device("cpu"))
    Bench(runner, speeches()[:2], cap=True).run()
    assert seen
    assert all(shapes[key] == given for key, given in seen)


@pytest.mark.skipif(torch.cuda.is_available(), reason="captures succeed here")
def test_where_nothing_can_be_captured_steps_are_eager_and_say_why(caplog: pytest.LogCaptureFixture) -> None:
    runner = make(1, buckets=BUCKETS)
    assert runner.mode == "eager"
    runner._caller = runner._captured(CUDA)  # which this machine has not
    assert isinstance(runner._caller, Direct)
    assert runner.mode.startswith("eager (")
    assert "no CUDA graphs" in caplog.text


async def test_health_says_how_steps_are_called(make_backend: Callable[..., Backend]) -> None:
    app = create_app(make_backend(dtype="float32"))
    told: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, object]) -> None:
        told.append(message)

    await app({"type": "http", "method": "GET", "path": "/health", "headers": [], "query_string": b""}, receive, send)
    health = json.loads(told[1]["body"])
    assert (health["device"], health["dtype"], health["mode"]) == ("cpu", "float32", "eager")


def on_device(case: Case) -> TorchRunner:
    folder, given = case.path.parent, case.inputs
    network = load(folder / given["config"], folder / given["weights"], CUDA, torch.float32)
    network.eos.fc2.bias.fill_(given["eos_bias"])
    voices = {"voice": load_voice(folder / given["voice"], network.config, CUDA, torch.float32)}
    return TorchRunner(network, voices, case.schedule, sizes_for(network, voices, 4))


class TestOnCuda:
    pytestmark = on_cuda

    @pytest.fixture(autouse=True)
    def full_precision(self) -> Iterator[None]:
        yield
        torch.cuda.empty_cache()

    @pytest.mark.parametrize("case", find_cases("float32"), ids=lambda case: case.path.stem)
    def test_golden_case_through_cuda_graphs_among_others(self, case: Case) -> None:
        runner = on_device(case)
        assert runner.mode == "graphs"
        said = speech_of(case, starts=2)
        others = [other(case, 1, 0), other(case, 2, 1), other(case, 3, 4)]
        Bench(runner, [others[0], said, *others[1:]]).run()
        check(case, said)
        assert isinstance(runner._caller, CudaGraphs)
        assert runner._caller.misses == 0
        assert runner._caller.replays > 0

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_graphs_say_what_the_same_shapes_say_without_them(self, dtype: torch.dtype) -> None:
        audio = []
        for graphs in (True, False):
            runner = self.random(dtype)
            if not graphs:
                runner._caller = Direct(CUDA)
            audio.append([speech.audio for speech in Bench(runner, speeches(), cap=True).run().speeches])
        limit = 1e-4 if dtype is torch.float32 else 5e-2
        for ours, theirs in zip(*audio, strict=True):
            assert off(ours, theirs) <= limit

    def test_padding_leaves_state_untouched(self) -> None:
        runner = self.random(torch.float32)
        bench = Bench(runner, speeches())
        for step in range(4):
            bench.step(step)
        before = runner._tts.keys[:, :-1].clone(), runner._compute._latents[:-1].clone()
        for one in runner._to_capture():
            runner._caller.call(one.key, one.function, *one.inputs)
        assert torch.equal(before[0], runner._tts.keys[:, :-1])
        assert torch.equal(before[1], runner._compute._latents[:-1])

    @staticmethod
    def random(dtype: torch.dtype) -> TorchRunner:
        network = random_weights(CONFIG, seed=3, device=CUDA, dtype=dtype, eos_bias=-1.0)
        voices = {name: moved(voice, dtype) for name, voice in VOICES.items()}
        return TorchRunner(network, voices, SCHEDULE, sizes_for(network, voices, 8))


def moved(voice: Voice, dtype: torch.dtype) -> Voice:
    def prefix(part: Prefix) -> Prefix:
        return Prefix(part.keys.to(CUDA, dtype), part.values.to(CUDA, dtype))

    return Voice(
        prefix(voice.base),
        prefix(voice.tts),
        prefix(voice.negative),
        voice.hidden.to(CUDA, dtype),
        voice.negative_hidden.to(CUDA, dtype),
    )

"""`tts-ops bench …` and `tts-ops load …`: what measures an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli_begin import begin

bench = typer.Typer(name="bench", help="Measure this installation, from the caller's side.", no_args_is_help=True)
load = typer.Typer(name="load", help="Many clients or callers at once, against what is running.", no_args_is_help=True)


@bench.command("call")
def bench_call(
    turns: Annotated[int, typer.Option(min=1, max=500, help="Spoken questions per scenario.")] = 20,
    json: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only these: voice, pauses, text, barge-in, start, memory.")
    ] = None,
) -> None:
    """Call the agent as a caller does and measure what the caller hears: p50, p95 and a waterfall per stage."""
    from worker.bench.call import run

    raise SystemExit(run(begin("bench"), turns=turns, json_path=json, scenarios=tuple(scenario or ())))


@bench.command("engine")
def bench_engine(
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="VibeVoice's arithmetic without its weights: nothing to download.")
    ] = False,
    size: Annotated[
        str, typer.Option(help="With random weights: real, small (for tests) or null (no model, the bookkeeping).")
    ] = "real",
    device: Annotated[str | None, typer.Option(help="auto, cuda, cuda:N, mps or cpu; left out: TTS_DEVICE.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Number format; left out: TTS_DTYPE.")] = None,
    batch: Annotated[str, typer.Option(help="How many utterances at once; several measurements as 1,4,16.")] = "1,4",
    frames: Annotated[int, typer.Option(min=4, max=200, help="Frames (133 ms) of each utterance.")] = 20,
    rate: Annotated[str, typer.Option(help="Requests a second that come when they like; several as 1,10,20.")] = "",
    duration: Annotated[float, typer.Option(min=1, max=3600, help="Seconds for each rate and seed.")] = 30.0,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each rate, with other arrivals.")] = 3,
    preset: Annotated[
        str | None, typer.Option(help="gpu or laptop: batches, rates and durations that take about five minutes.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures into this PNG.")] = None,
) -> None:
    """Measure the voice engine in this process: first audio alone and under load, steps against the roofline."""
    from worker.bench.engine import Wanted, run

    wanted = Wanted(random_weights, size, device, dtype, batch, frames, rate, duration, seeds, preset)
    raise SystemExit(run(begin("bench"), wanted, json_path=json, plot_path=plot))


@bench.command("rounding")
def bench_rounding(
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Without VibeVoice's weights.")] = False,
    size: Annotated[str, typer.Option(help="With random weights: real or small (for tests).")] = "real",
    dtype: Annotated[str, typer.Option(help="What is held against float32; several as int8,int4.")] = "int8,int4",
    latents: Annotated[int, typer.Option(min=2, max=400, help="Frames (133 ms) that are looked at.")] = 30,
) -> None:
    """What weights of few bits change: hidden states, latents and audio of VibeVoice on a CPU beside float32."""
    from worker.bench.rounding import run

    raise SystemExit(run(begin("bench"), random_weights=random_weights, size=size, dtypes=dtype, latents=latents))


@bench.command("transport")
def bench_transport(
    streams: Annotated[int, typer.Option(min=1, max=1024, help="Listeners in real time.")] = 256,
    sockets: Annotated[int, typer.Option(min=1, max=256, help="Sockets that they share, up to 64 on each.")] = 8,
    duration: Annotated[float, typer.Option(min=1, max=600, help="Seconds.")] = 20.0,
    step_ms: Annotated[float, typer.Option(min=0, max=133, help="How long a step of the absent model lasts.")] = 20.0,
    service: Annotated[bool, typer.Option("--service", help="Through /stream of the HTTP service.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
) -> None:
    """Measure the way from the engine's step to a client's socket, without a model: lateness, CPU, underruns."""
    from worker.bench.transport import run

    begin("bench")
    raise SystemExit(
        run(streams=streams, sockets=sockets, seconds=duration, step_ms=step_ms, json_path=json, service=service)
    )


@load.command("http")
def load_http(
    rps: Annotated[float, typer.Option(min=0.01, max=10_000, help="Requests a second.")] = 10.0,
    duration: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds.")] = 60.0,
    ws: Annotated[bool, typer.Option("--ws", help="Over WS /stream, the text word by word.")] = False,
    url: Annotated[str | None, typer.Option(help="Of the HTTP service; left out: HOST and HTTP_PORT.")] = None,
    key: Annotated[str | None, typer.Option(envvar="TTS_OPS_KEY", help="API key, where one is asked for.")] = None,
    voice: Annotated[str | None, typer.Option(help="Voice id; left out: the service's own.")] = None,
    constant: Annotated[bool, typer.Option("--constant", help="Equal gaps instead of Poisson's.")] = False,
    seed: Annotated[int, typer.Option(help="Other gaps.")] = 1,
    text_file: Annotated[Path | None, typer.Option(help="One text on each line; left out: our own sentences.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json and report.html.")] = None,
    fail_over: Annotated[list[str] | None, typer.Option(help="Such as p99=0.15: exit 1 beyond it. Repeat it.")] = None,
) -> None:
    """Ask for sound at a fixed rate, whatever becomes of it: first sound, lateness, refusals, errors."""
    from worker.bench.sentences import SENTENCES
    from worker.load.http import Wanted
    from worker.load.http_command import run

    settings = begin("load")
    texts = tuple(filter(None, text_file.read_text().splitlines())) if text_file else SENTENCES
    wanted = Wanted(
        (url or f"http://{settings.host}:{settings.http_port}").rstrip("/"),
        rps,
        duration,
        ws,
        key,
        voice,
        "constant" if constant else "poisson",
        seed,
        texts or SENTENCES,
    )
    raise SystemExit(run(wanted, out=out, bounds=tuple(fail_over or ())))


@load.command("calls")
def load_calls(
    rooms: Annotated[int, typer.Option(min=1, max=10_000, help="Callers.")] = 8,
    duration: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds that each stays.")] = 60.0,
    ramp: Annotated[float, typer.Option(min=0, max=86_400, help="Seconds within which all come.")] = 10.0,
    talk: Annotated[bool, typer.Option("--talk", help="Speak through a microphone; left out: type.")] = False,
    interrupt_every: Annotated[int, typer.Option(min=0, help="Break off each n-th answer; 0: none.")] = 0,
    url: Annotated[str | None, typer.Option(help="Of the HTTP service; left out: HOST and HTTP_PORT.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json and report.html.")] = None,
) -> None:
    """Call with many callers at once: join time, first sound, answers, concealed audio, cores and memory per call."""
    from worker.load.calls import Wanted
    from worker.load.calls_command import run

    settings = begin("load")
    address = (url or f"http://{settings.host}:{settings.http_port}").rstrip("/")
    wanted = Wanted(address, rooms, duration, ramp, "speech" if talk else "text", interrupt_every)
    raise SystemExit(run(wanted, out=out))

"""The command line `tts-ops`: one command per process of the product, and the tools around them.

Imports nothing heavy at the top: `tts-ops --help` is there at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="tts-ops",
    help="A self-hosted voice agent: a caller speaks in a LiveKit room and hears the answer while it is still being "
    "written.\n\n"
    "`tts-ops dev` starts everything on this machine and prints one URL. Every setting is an environment variable "
    "(or a line of .env): docs/settings.md lists them, `tts-ops doctor` says what is missing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)
bench = typer.Typer(name="bench", help="Measure this installation, from the caller's side.", no_args_is_help=True)
app.add_typer(bench)
keys = typer.Typer(name="keys", help="API keys of the HTTP service: hashes in API_KEYS_FILE.", no_args_is_help=True)
app.add_typer(keys)

load = typer.Typer(name="load", help="Many clients or callers at once, against what is running.", no_args_is_help=True)
app.add_typer(load)


def main() -> None:
    """Entry point: a wrong setting or a missing part ends in one line, not in a traceback."""
    from worker.settings import SettingsError

    try:
        app()
    except SettingsError as error:
        print(f"tts-ops: {error}", file=sys.stderr)
        raise SystemExit(2) from None


@app.command()
def dev() -> None:
    """Start a whole voice call on this machine: LiveKit, engine, models, worker, web page. Ctrl-C ends all of it."""
    from worker.dev import run

    raise SystemExit(run(_settings("dev")))


@app.command()
def engine() -> None:
    """The voice engine: the streaming protocol, /synthesize, /health and /metrics on ENGINE_PORT. One per GPU."""
    from tts_plugin.engine.create import EngineError
    from tts_plugin.server import run

    settings = _settings("engine")
    try:
        run(settings.engine, settings.host, settings.engine_port, drain_s=settings.drain_timeout)
    except EngineError as error:
        print(f"tts-ops engine: {error}", file=sys.stderr)
        raise SystemExit(1) from None


@app.command()
def models() -> None:
    """The embedded models: recogniser, small language model and standby voice on MODELS_PORT. No key, no GPU."""
    from worker.embedded.server import run

    run(_settings("models"))


@app.command()
def plan(
    calls: Annotated[int, typer.Option(help="Calls at once, at the peak.")],
    gpu: Annotated[str, typer.Option(help="Card of each node: L4, A10G, L40S, A100, H100.")] = "L4",
    slots: Annotated[int | None, typer.Option(help="Utterances at once of one engine, from its /health.")] = None,
    over_roofline: Annotated[
        float, typer.Option(help="Without --slots: how far the engine is over its roofline.")
    ] = 4.0,
    duty: Annotated[float, typer.Option(min=0.01, max=1, help="Part of a call that the agent speaks.")] = 0.35,
    cores: Annotated[int, typer.Option(help="Cores of a node for its calls.")] = 8,
    embedded_models: Annotated[bool, typer.Option(help="Recogniser and language model on the same node.")] = False,
    call_s: Annotated[float, typer.Option(min=1, help="Mean length of a call, seconds.")] = 180.0,
    ramp_min: Annotated[
        float, typer.Option(min=1, help="Minutes in which calls grow from a fifth to the peak.")
    ] = 60.0,
    cold_start_s: Annotated[int, typer.Option(min=1, help="From the autoscaler's decision to a ready worker.")] = 180,
    node_price: Annotated[float | None, typer.Option(help="Of a node hour, in any currency.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How many engines, workers and nodes a number of calls takes, with a simulated surge. docs/scaling.md."""
    from worker.plan.command import run
    from worker.plan.sizing import Question

    question = Question(
        calls, gpu, slots, over_roofline, duty, cores_per_node=cores, embedded_models=embedded_models, call_s=call_s,
        ramp_s=int(ramp_min * 60), cold_start_s=cold_start_s, node_price=node_price,
    )  # fmt: skip
    raise SystemExit(run(question, as_json=as_json))


@app.command()
def secrets(folder: Annotated[Path, typer.Argument(help="Folder for SECRETS_DIR.")]) -> None:
    """Make the secrets that the parts of an installation share, each once; an API key is printed when it is made."""
    from worker.secret_folder import make

    raise SystemExit(make(folder, livekit_api_key=_settings("secrets").livekit_api_key))


@app.command()
def worker() -> None:
    """The LiveKit worker: takes calls and runs the turn loop. /metrics, /fleet and health on METRICS_PORT."""
    from worker.agent_server import run

    raise SystemExit(run(_settings("worker")))


@app.command()
def serve() -> None:
    """The HTTP service: the call page, /token, /chat, /synthesize, /voices on HTTP_PORT."""
    from worker.api.app import run

    run(_settings("serve"))


@app.command()
def watch() -> None:
    """The watcher alone: every room that should have an agent has one. `tts-ops serve` then needs WATCH_ROOMS=false."""
    from worker.watch.alone import run

    run(_settings("watch"))


@app.command()
def say(
    text: Annotated[
        str | None, typer.Argument(help="What to say; left out or `-`: read from standard input as it comes.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", help="A .wav file to write, or `-` for WAV on standard output. Left out: play it."),
    ] = None,
    voice: Annotated[str, typer.Option(help="Voice id; `tts-ops voices` lists them.")] = "default",
    seed: Annotated[int | None, typer.Option(help="Same seed, same audio.")] = None,
) -> None:
    """Speak a text through the engine; without a running engine, with the embedded voice in this process."""
    from worker.say import run

    raise SystemExit(run(_settings("say"), text, out=out, voice=voice, seed=seed))


@app.command()
def pull(
    voice: Annotated[
        list[str] | None, typer.Option(help="A voice to fetch, by its id; may be given more than once. Left out: all.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="A folder to fill instead of the cache; TTS_MODEL_PATH names it, here or on another machine."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu: also convert it for ONNX Runtime, so that the first start is a quick one.")
    ] = None,
) -> None:
    """Fetch VibeVoice (2 GB) and its voices, verified; again: go on where it stopped, verify what is there."""
    from worker.pull import run

    raise SystemExit(run(_settings("pull"), voices=voice or (), to=to, device=device))


@app.command()
def voices(json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """Every voice: id, language, gender, licence, where it comes from, and whether it is there."""
    from worker.voice_list import run

    raise SystemExit(run(_settings("voices"), as_json=json))


@app.command()
def verify(
    voice: Annotated[
        list[str] | None, typer.Option(help="Only this voice, by id or alias; may be given more than once.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the sound.")] = Path("build/verify"),
    json: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    wer: Annotated[bool, typer.Option("--wer/--no-wer", help="Have an independent recogniser check the words.")] = True,
    recogniser: Annotated[
        Path | None, typer.Option(help="A Whisper model's folder; left out: the small English one.")
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, max=20, help="Only so many of the sentences.")] = 20,
) -> None:
    """Judge what is said here: words, speed, silence, clipping, clicks, early ends. Not within the limits: exit 1."""
    from worker.verify.verify import run

    settings = _settings("verify")
    raise SystemExit(
        run(settings, voices=voice or (), sentences=sentences, out=out, json_path=json, wer=wer, recogniser=recogniser)
    )


@app.command()
def doctor() -> None:
    """What this installation has, what it lacks, and the command that mends each."""
    from worker.doctor import run

    raise SystemExit(run(_settings("doctor")))


@keys.command("add")
def keys_add(name: Annotated[str, typer.Argument(help="Whose key it is.")]) -> None:
    """Make a key and show it: on standard output, this once."""
    from worker.keys_command import add

    raise SystemExit(add(_settings("keys"), name))


@keys.command("list")
def keys_list() -> None:
    """Every key: id, when it was made, name. Never the key itself."""
    from worker.keys_command import show

    raise SystemExit(show(_settings("keys")))


@keys.command("revoke")
def keys_revoke(which: Annotated[str, typer.Argument(help="Its id or name.")]) -> None:
    """Take a key away; a running service no longer takes it within a second."""
    from worker.keys_command import revoke

    raise SystemExit(revoke(_settings("keys"), which))


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

    raise SystemExit(run(_settings("bench"), turns=turns, json_path=json, scenarios=tuple(scenario or ())))


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
    raise SystemExit(run(_settings("bench"), wanted, json_path=json, plot_path=plot))


@bench.command("rounding")
def bench_rounding(
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Without VibeVoice's weights.")] = False,
    size: Annotated[str, typer.Option(help="With random weights: real or small (for tests).")] = "real",
    dtype: Annotated[str, typer.Option(help="What is held against float32; several as int8,int4.")] = "int8,int4",
    latents: Annotated[int, typer.Option(min=2, max=400, help="Frames (133 ms) that are looked at.")] = 30,
) -> None:
    """What weights of few bits change: hidden states, latents and audio of VibeVoice on a CPU beside float32."""
    from worker.bench.rounding import run

    raise SystemExit(run(_settings("bench"), random_weights=random_weights, size=size, dtypes=dtype, latents=latents))


@bench.command("transport")
def bench_transport(
    streams: Annotated[int, typer.Option(min=1, max=1024, help="Listeners in real time.")] = 256,
    sockets: Annotated[int, typer.Option(min=1, max=256, help="Sockets that they share, up to 64 on each.")] = 8,
    duration: Annotated[float, typer.Option(min=1, max=600, help="Seconds.")] = 20.0,
    step_ms: Annotated[float, typer.Option(min=0, max=133, help="How long a step of the absent model lasts.")] = 20.0,
    json: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
) -> None:
    """Measure the way from the engine's step to a client's socket, without a model: lateness, CPU, underruns."""
    from worker.bench.transport import run

    _settings("bench")
    raise SystemExit(run(streams=streams, sockets=sockets, seconds=duration, step_ms=step_ms, json_path=json))


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

    settings = _settings("load")
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


def _settings(process: str):  # type: ignore[no-untyped-def]
    from worker import logs
    from worker.settings import Settings

    settings = Settings()
    logs.configure(process, settings.log_level, settings.log_format)
    return settings


if __name__ == "__main__":
    main()

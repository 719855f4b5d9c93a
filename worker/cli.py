"""The command line `tts-ops`: one command per process of the product, and the tools around them.

Imports nothing heavy at the top: `tts-ops --help` is there at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from worker.cli_begin import begin
from worker.cli_measure import bench, load

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
app.add_typer(bench)
app.add_typer(load)
keys = typer.Typer(name="keys", help="API keys of the HTTP service: hashes in API_KEYS_FILE.", no_args_is_help=True)
app.add_typer(keys)
phone = typer.Typer(
    name="phone", help="Numbers that ring the agent, and calls out. docs/phone.md.", no_args_is_help=True
)
app.add_typer(phone)


def main() -> None:
    """Entry point: a wrong setting or a missing part ends in one line, not in a traceback."""
    from worker.settings import SettingsError

    try:
        app()
    except SettingsError as error:
        print(f"tts-ops: {error}", file=sys.stderr)
        raise SystemExit(2) from None


@app.command()
def dev(
    with_phone: Annotated[
        bool, typer.Option("--phone", help="Also redis and a SIP bridge: dial it with a softphone.")
    ] = False,
) -> None:
    """Start a whole voice call on this machine: LiveKit, engine, models, worker, web page. Ctrl-C ends all of it."""
    from worker.dev import run

    raise SystemExit(run(begin("dev"), phone=with_phone))


@app.command()
def engine() -> None:
    """The voice engine: the streaming protocol, /synthesize, /health and /metrics on ENGINE_PORT. One per GPU."""
    from tts_plugin.engine.create import EngineError
    from tts_plugin.server import run

    settings = begin("engine")
    try:
        run(settings.engine, settings.host, settings.engine_port, drain_s=settings.drain_timeout)
    except EngineError as error:
        print(f"tts-ops engine: {error}", file=sys.stderr)
        raise SystemExit(1) from None


@app.command()
def models() -> None:
    """The embedded models: recogniser, small language model and standby voice on MODELS_PORT. No key, no GPU."""
    from worker.embedded.server import run

    run(begin("models"))


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

    raise SystemExit(make(folder, livekit_api_key=begin("secrets").livekit_api_key))


@app.command()
def worker() -> None:
    """The LiveKit worker: takes calls and runs the turn loop. /metrics, /fleet and health on METRICS_PORT."""
    from worker.agent_server import run

    raise SystemExit(run(begin("worker")))


@app.command()
def serve() -> None:
    """The HTTP service: the call page, /token, /chat, /synthesize, /voices on HTTP_PORT."""
    from worker.api.app import run

    run(begin("serve"))


@app.command()
def watch() -> None:
    """The watcher alone: every room that should have an agent has one. `tts-ops serve` then needs WATCH_ROOMS=false."""
    from worker.watch.alone import run

    run(begin("watch"))


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

    raise SystemExit(run(begin("say"), text, out=out, voice=voice, seed=seed))


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

    raise SystemExit(run(begin("pull"), voices=voice or (), to=to, device=device))


@app.command()
def voices(json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False) -> None:
    """Every voice: id, language, gender, licence, where it comes from, and whether it is there."""
    from worker.voice_list import run

    raise SystemExit(run(begin("voices"), as_json=json))


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

    settings = begin("verify")
    raise SystemExit(
        run(settings, voices=voice or (), sentences=sentences, out=out, json_path=json, wer=wer, recogniser=recogniser)
    )


@app.command()
def doctor() -> None:
    """What this installation has, what it lacks, and the command that mends each."""
    from worker.doctor import run

    raise SystemExit(run(begin("doctor")))


@phone.command("setup")
def phone_setup(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Bring LiveKit's trunks and rule to what PHONE_NUMBERS, SIP_PROVIDER and SIP_USER say. Shows the plan first."""
    from worker.phone.command import setup

    raise SystemExit(setup(begin("phone"), yes=yes))


@phone.command("list")
def phone_list() -> None:
    """Every trunk and rule that LiveKit has, without passwords."""
    from worker.phone.command import show

    raise SystemExit(show(begin("phone")))


@phone.command("remove")
def phone_remove(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Take our trunks and our rule away. Those of others stay."""
    from worker.phone.command import remove

    raise SystemExit(remove(begin("phone"), yes=yes))


@phone.command("call")
def phone_call(
    number: Annotated[str, typer.Argument(help="Like +15550100.")],
    wait: Annotated[bool, typer.Option("--wait", help="Until the call is over.")] = False,
) -> None:
    """Call a number and let the agent talk. Exit code 0: answered; 10 busy, 11 nobody, 12 declined; docs/phone.md."""
    from worker.phone.outbound import run

    raise SystemExit(run(begin("phone"), number, wait=wait))


@keys.command("add")
def keys_add(name: Annotated[str, typer.Argument(help="Whose key it is.")]) -> None:
    """Make a key and show it: on standard output, this once."""
    from worker.keys_command import add

    raise SystemExit(add(begin("keys"), name))


@keys.command("list")
def keys_list() -> None:
    """Every key: id, when it was made, name. Never the key itself."""
    from worker.keys_command import show

    raise SystemExit(show(begin("keys")))


@keys.command("revoke")
def keys_revoke(which: Annotated[str, typer.Argument(help="Its id or name.")]) -> None:
    """Take a key away; a running service no longer takes it within a second."""
    from worker.keys_command import revoke

    raise SystemExit(revoke(begin("keys"), which))


if __name__ == "__main__":
    main()

"""`tts-ops verify`: every voice speaks, an independent recogniser listens, the sound is measured, the limits judge."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable
from worker.own_engine import engine_client
from worker.settings import Settings
from worker.verify.limits import Limits
from worker.verify.recogniser import NoRecogniser, Recogniser
from worker.verify.report import as_json, table
from worker.verify.sentences import ENGLISH
from worker.verify.spoken import Spoken, speak
from worker.verify.verdict import Sentence, Verdict, measure

OUT = Path("build/verify")
GOOD, BAD, WRONG_QUESTION, STOPPED = 0, 1, 2, 130


class VoiceUnknown(ValueError):
    """The engine has no such voice; the text lists those it has."""


class Asked(NamedTuple):
    id: str
    language: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done: `voices` empty is all of them; `recogniser` None where nobody listens to the words."""

    voices: tuple[str, ...]
    sentences: tuple[str, ...]
    out: Path
    recogniser: Recogniser | None


def run(
    settings: Settings,
    *,
    voices: Sequence[str] = (),
    sentences: int = len(ENGLISH),
    out: Path = OUT,
    json_path: Path | None = None,
    wer: bool = True,
    recogniser: Path | None = None,
    limits: Limits | None = None,
) -> int:
    """Prints the report. 0: within all limits; 1: not, or the engine failed; 2: no such voice, or no recogniser."""
    limits = limits or Limits()
    try:
        plan = Plan(tuple(voices), ENGLISH[:sentences], out, Recogniser(recogniser) if wer else None)
        engine, verdicts = asyncio.run(_verify(settings, plan))
    except (NoRecogniser, VoiceUnknown) as error:
        return _complain(error, WRONG_QUESTION)
    except (EngineFailed, EngineUnreachable, OSError) as error:
        return _complain(error, BAD)
    except KeyboardInterrupt:
        return STOPPED
    breaches = [breach for verdict in verdicts for breach in verdict.breaches(limits)]
    sys.stdout.write(_report(engine, verdicts, breaches, plan, limits))
    if json_path is not None:
        ear = plan.recogniser.name if plan.recogniser else None
        report = as_json(verdicts, limits, engine=engine, recogniser=ear, sentences=len(plan.sentences))
        json_path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return BAD if breaches else GOOD


async def _verify(settings: Settings, plan: Plan) -> tuple[str, list[Verdict]]:
    async with engine_client(settings) as client:
        asked = _asked(await client.voices(), plan.voices)
        return client.engine, [await _judge(client, voice, plan) for voice in asked]


def _asked(there: Sequence[dict[str, object]], wanted: Sequence[str]) -> list[Asked]:
    """By id or alias, each voice once; all when none is wanted."""
    voices = {str(v["id"]): Asked(str(v["id"]), str(v["language"])) for v in there}
    names = {str(alias): voices[str(v["id"])] for v in there for alias in v["aliases"]}  # type: ignore[attr-defined]
    if not voices:
        raise VoiceUnknown("this engine has no voice: tts-ops pull fetches them")
    found: dict[Asked, None] = {}
    for name in wanted or voices:
        voice = voices.get(name) or (voices | names).get(name.lower())
        if voice is None:
            raise VoiceUnknown(f"voice is {name!r:.80}; this engine has: {', '.join(sorted(voices | names))}")
        found[voice] = None
    return list(found)


async def _judge(client: EngineClient, voice: Asked, plan: Plan) -> Verdict:
    """A sentence that fails is told in the verdict; an engine that is gone ends everything."""
    measured: list[Sentence] = []
    failures: list[str] = []
    for number, text in enumerate(plan.sentences, 1):
        try:
            spoken = await speak(client, text, voice=voice.id, language=None, seed=number)
        except EngineFailed as error:
            failures.append(f"sentence {number} was not spoken: {error}")
            continue
        await asyncio.to_thread(spoken.write_wav, plan.out / voice.id / f"{number:02}.wav")
        measured.append(measure(spoken, await _hear(plan.recogniser, voice, spoken)))
        _progress(f"\r{voice.id}: {number} of {len(plan.sentences)}")
    _progress("\r\x1b[K")
    return Verdict(voice.id, voice.language, tuple(measured), tuple(failures))


async def _hear(recogniser: Recogniser | None, voice: Asked, spoken: Spoken) -> str | None:
    """What was heard; the sentences are English, so no other voice is judged by its words."""
    if recogniser is None or voice.language.partition("-")[0] != "en" or not spoken.pcm:
        return None
    return await asyncio.to_thread(recogniser.hear, spoken.samples, spoken.rate_hz)


def _report(engine: str, verdicts: Sequence[Verdict], breaches: Sequence[str], plan: Plan, limits: Limits) -> str:
    ear = f"heard by {plan.recogniser.name}" if plan.recogniser else "nobody checked the words"
    lines = [f"{engine}: {len(plan.sentences)} sentences a voice, {ear}; the sound is in {plan.out}", ""]
    lines += [table(verdicts, limits), ""]
    lines += [f"- {breach}" for breach in breaches] or ["Within all limits."]
    return "\n".join(lines) + "\n"


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"tts-ops verify: {error}\n")
    return code

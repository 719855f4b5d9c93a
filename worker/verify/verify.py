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
from worker.verify.sentences import COUNT, language_of, sentences_in
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
    sentences: int  # of each voice
    out: Path
    recogniser: Recogniser | None


def run(
    settings: Settings,
    *,
    voices: Sequence[str] = (),
    sentences: int = COUNT,
    out: Path = OUT,
    json_path: Path | None = None,
    wer: bool = True,
    recogniser: Path | None = None,
    limits: Limits | None = None,
) -> int:
    """Prints the report. 0: within all limits; 1: not, or the engine failed; 2: no such voice, or no recogniser."""
    limits = limits or Limits()
    try:
        plan = Plan(tuple(voices), sentences, out, Recogniser(recogniser) if wer else None)
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
        report = as_json(verdicts, limits, engine=engine, recogniser=ear, sentences=plan.sentences)
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
    language = language_of(voice.language)
    for number, text in enumerate(sentences_in(language)[: plan.sentences], 1):
        try:
            spoken = await speak(client, text, voice=voice.id, seed=number)
        except EngineFailed as error:
            failures.append(f"sentence {number} was not spoken: {error}")
            continue
        await asyncio.to_thread(spoken.write_wav, plan.out / voice.id / f"{number:02}.wav")
        measured.append(measure(spoken, await _hear(plan.recogniser, voice, language, spoken)))
        _progress(f"\r{voice.id}: {number} of {plan.sentences}")
    _progress("\r\x1b[K")
    return Verdict(voice.id, voice.language, tuple(measured), tuple(failures))


async def _hear(recogniser: Recogniser | None, voice: Asked, language: str, spoken: Spoken) -> str | None:
    """What was heard; None where nobody listens, or the voice speaks a language that is not its own."""
    if recogniser is None or not _can_hear(recogniser, voice.language):
        return None
    return await asyncio.to_thread(recogniser.hear, spoken.samples, spoken.rate_hz, language)


def _can_hear(recogniser: Recogniser, voice_language: str) -> bool:
    own = voice_language.partition("-")[0].lower()
    return language_of(own) == own and recogniser.understands(own)


def _report(engine: str, verdicts: Sequence[Verdict], breaches: Sequence[str], plan: Plan, limits: Limits) -> str:
    ear = f"heard by {plan.recogniser.name}" if plan.recogniser else "nobody checked the words"
    lines = [f"{engine}: {plan.sentences} sentences a voice, {ear}; the sound is in {plan.out}", ""]
    lines += [table(verdicts, limits), ""]
    unheard = [verdict.voice for verdict in verdicts if verdict.sentences and verdict.wer is None]
    if plan.recogniser and unheard:
        lines += [
            f"Nobody checked the words of {', '.join(unheard)}: the recogniser understands English only "
            "(--recogniser FOLDER names one that understands more), or there are no sentences in the voice's language.",
            "",
        ]
    lines += [f"- {breach}" for breach in breaches] or ["Within all limits."]
    return "\n".join(lines) + "\n"


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"tts-ops verify: {error}\n")
    return code

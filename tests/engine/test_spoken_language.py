from collections.abc import Callable

import pytest
from engine_events import Events

from tts_plugin.client import EngineClient
from tts_plugin.engine.backend import Refused, Voice
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.engine.language import spoken_language
from tts_plugin.handle import EngineFailed
from tts_plugin.protocol import Say


@pytest.mark.parametrize("language", [None, "en", "en-US", "EN_gb"])
def test_the_embedded_voice_speaks_english(backend: EmbeddedBackend, language: str | None) -> None:
    events = Events()
    utterance = backend.admit(Say("u", pace="fast", language=language), events)
    utterance.feed("It costs $5.")
    utterance.end()
    events.wait_done()
    assert [word.text for word in events.words] == ["It", "costs", "five", "dollars."]


def test_an_unknown_language_is_refused_and_the_known_ones_are_named(backend: EmbeddedBackend) -> None:
    with pytest.raises(Refused) as refused:
        backend.admit(Say("u", language="tlh"), Events())
    assert refused.value.code == "bad_message"
    assert not refused.value.retryable
    assert "'tlh'" in refused.value.message
    assert "en, de, fr, es" in refused.value.message
    assert backend.statistics().active == 0


def test_a_language_that_the_voice_does_not_speak_is_refused_by_name(backend: EmbeddedBackend) -> None:
    with pytest.raises(Refused, match="bad_message") as refused:
        backend.admit(Say("u", language="de-DE"), Events())
    assert "'de-DE'" in refused.value.message
    assert "heart speaks en" in refused.value.message


def test_without_a_language_a_voice_is_read_in_its_own() -> None:
    assert spoken_language(None, Voice("de-x", "de", "male", "")) == "de"
    assert spoken_language(None, Voice("it-x", "it", "male", "")) == "en"


async def test_the_socket_answers_bad_message(server_url: str) -> None:
    client = EngineClient(server_url)
    try:
        utterance = await client.say(language="tlh")
        with pytest.raises(EngineFailed) as failed:
            _ = [item async for item in utterance]
    finally:
        await client.aclose()
    assert failed.value.code == "bad_message"
    assert "tlh" in str(failed.value)


def test_a_number_is_spoken_before_the_text_goes_on(backend: EmbeddedBackend) -> None:
    events = Events()
    utterance = backend.admit(Say("u"), events)
    utterance.feed("It is 20°C outside, ")
    events.wait(lambda e: e.audio)
    utterance.cancel()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("The meeting is on March 3rd, 2026, at 5:30 pm.", "The meeting is on March 3rd, 2026, at 5.30 PM."),
        ("Write to Emma at example.com, or dial 555-123-4567.", "Write to Emma at example.com or dial 555-123-4567"),
    ],
)
def test_a_recogniser_hears_what_was_written(
    backend: EmbeddedBackend, word_error_rate: Callable[[str, bytes], float], written: str, spoken: str
) -> None:
    events = Events()
    utterance = backend.admit(Say("u", pace="fast", seed=1), events)
    utterance.feed(written)
    utterance.end()
    events.wait_done()
    silence = bytes(24_000)
    assert word_error_rate(spoken, silence + events.pcm + silence) <= 0.3

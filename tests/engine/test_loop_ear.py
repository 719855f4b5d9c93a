"""The ear for speech that goes round in circles: real speech is none, however much it lists and counts."""

from __future__ import annotations

import numpy as np
import pytest
from engine_events import Events, as_float

from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.engine.loops import ALIKE, EVERY, WINDOW_FRAMES, LoopEar, likeness
from tts_plugin.engine.sound import FRAME_SAMPLES, hear
from tts_plugin.protocol import Say

LATENT = 3_200
RATE_HZ = 24_000
SPEECH = {
    "talk": "The kitchen opens at seven, and the garden is closed today. Would you like a table by the window? "
    "We have one for four people at half past eight, and another at nine, with a view of the sea.",
    "no": "No no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no.",
    "numbers": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
    "hundreds": "One hundred one, one hundred two, one hundred three, one hundred four, one hundred five, "
    "one hundred six, one hundred seven, one hundred eight.",
    "telephone": "Call 555 555 5555, or 800 800 8000, or 212 212 2121.",
    "days": "Monday is closed, Tuesday is closed, Wednesday is closed, Thursday is closed, Friday is open.",
    "zeros": "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
}


@pytest.fixture(scope="module")
def spoken(hibari: object) -> dict[str, np.ndarray]:
    from tts_plugin.engine.config import EngineConfig

    backend = EmbeddedBackend(hibari, EngineConfig())  # type: ignore[arg-type]
    try:
        return {name: speech(backend, text) for name, text in SPEECH.items()}
    finally:
        backend.close()


def speech(backend: EmbeddedBackend, text: str) -> np.ndarray:
    events = Events()
    utterance = backend.admit(Say("u", pace="fast", seed=3), events)
    utterance.feed(text)
    utterance.end()
    events.wait_done()
    return as_float(events.pcm)


def motion(audio: np.ndarray) -> np.ndarray:
    whole = audio[: audio.size // LATENT * LATENT].reshape(-1, LATENT)
    return np.concatenate([sound.motion for sound in hear(list(whole))])


def most_alike(audio: np.ndarray) -> float:
    frames = motion(audio)
    return max(likeness(frames[at : at + WINDOW_FRAMES]) for at in range(0, len(frames) - WINDOW_FRAMES + 1, 8))


@pytest.mark.parametrize("name", SPEECH)
def test_real_speech_is_no_loop(spoken: dict[str, np.ndarray], name: str) -> None:
    """What is said again and again because it is written so is let pass for the text's sake, not the sound's."""
    audio = spoken[name]
    if audio.size < 6 * RATE_HZ:
        audio = np.concatenate((audio, spoken["talk"]))
    if name == "no":
        assert not fires(audio, SPEECH[name].split())
    else:
        print(f"{name}: {most_alike(audio):.2f}")
        assert most_alike(audio) < ALIKE - 0.1


@pytest.mark.parametrize("period_s", [0.2, 0.4, 0.8, 1.3, 1.9])
def test_a_piece_of_speech_again_and_again_is_a_loop(spoken: dict[str, np.ndarray], period_s: float) -> None:
    """Each time with other noise, louder or softer by 1 dB, and as much as 2 % longer or shorter."""
    rng, pieces = np.random.default_rng(1), list[np.ndarray]()
    while sum(piece.size for piece in pieces) < 14 * RATE_HZ:
        length = int(period_s * RATE_HZ * (1 + 0.02 * rng.uniform(-1, 1)))
        piece = spoken["talk"][RATE_HZ : RATE_HZ + length] * 10 ** (rng.uniform(-1, 1) / 20)
        pieces.append(piece + 0.003 * rng.standard_normal(length))
    assert fires(np.concatenate(pieces).astype(np.float32), SPEECH["talk"].split())


def test_a_steady_sound_is_no_loop() -> None:
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, 12 * RATE_HZ).astype(np.float32)
    assert not fires(noise, SPEECH["talk"].split())
    assert not fires(np.zeros(12 * RATE_HZ, np.float32), SPEECH["talk"].split())


def fires(audio: np.ndarray, words: list[str]) -> bool:
    ear = LoopEar()
    for word in words:
        ear.read(word)
    frames = motion(audio).reshape(-1, LATENT // FRAME_SAMPLES, 2)
    heard = [ear.hears_loop(one) for one in frames]
    assert len(heard) >= EVERY
    return any(heard)

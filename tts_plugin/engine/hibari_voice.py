"""The voice inside the package hibari-tts: a piece of text in, trimmed PCM and word times out.

24 kHz, mono, American English. Thread-safe. Knows nothing of utterances, sockets or time.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tts_plugin.engine.clauses import Piece

SAMPLE_RATE_HZ = 24_000

# hibari puts 0.3 s of silence before and 0.4 to 0.5 s after every text. 50 dB below the loudest 5 ms is silence.
_BLOCK_SAMPLES = 120
_SILENCE_RATIO = 10 ** (-50 / 20)
_LEAD_SAMPLES = 720  # kept before the first sound: the soft start of a consonant
_TAIL_SAMPLES = 1_200  # kept after the last one: the end of an s or an f
_CUT_LEAD_SAMPLES = 240
_CUT_TAIL_SAMPLES = 480
_FADE_SAMPLES = 120
_BETWEEN_SAMPLES = 3_600  # between two sentences that hibari finds in one piece
_GAIN = 1.7  # brings its speech to about -20 dBFS
_KNEE = 0.8  # of full scale: above it the limiter bends

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    pcm: NDArray[np.int16]  # [samples]
    word_edges: tuple[int, ...]  # sample where each word begins, and where the last one ends


class HibariVoice:
    """Loads the model and speaks once, because the first call is slow. Raises ImportError without hibari-tts."""

    def __init__(self) -> None:
        from hibari import Hibari

        started = time.perf_counter()
        self._hibari = Hibari(voice="heart", threads=1)
        self._hibari.sess = _session(self._hibari.model_path)
        self._text_lock = threading.Lock()  # the phonemiser keeps caches
        self._synthesise("Warm up, please. 12 Zorbleflux.", np.random.default_rng(0))
        self.load_s = time.perf_counter() - started

    def speak(self, piece: Piece, rng: np.random.Generator, at_once: bool = False) -> SpokenPiece:
        """`at_once`: no breath before the piece: the listener waits, or it goes on where the last one was cut.

        Word times are in proportion to the number of phonemes of each word within the piece: hibari tells no more.
        """
        lead = _CUT_LEAD_SAMPLES if at_once else _LEAD_SAMPLES
        tail = _CUT_TAIL_SAMPLES if piece.ending == "cut" else _TAIL_SAMPLES
        parts = [_trim(part, lead, tail) for part in self._synthesise(_with_ending(piece), rng)]
        audio = _join([part for part in parts if part.size])
        if not audio.size:
            return SpokenPiece(np.zeros(0, np.int16), (0,) * (len(piece.words) + 1))
        return SpokenPiece(_to_pcm(audio), self._edges(piece, lead, audio.size - tail))

    def _synthesise(self, text: str, rng: np.random.Generator) -> list[Samples]:
        with self._text_lock:
            phonemes = self._hibari.phonemize(text)
        return [self._hibari.from_ids(self._hibari.ids(ps), 1.0, rng) for ps in phonemes]

    def _edges(self, piece: Piece, start: int, end: int) -> tuple[int, ...]:
        with self._text_lock:
            weights = [max(1, len(self._hibari.g2p(word.text))) for word in piece.words]
        until = np.cumsum([0, *weights]) / sum(weights)
        return tuple(int(edge) for edge in start + until * max(0, end - start))


def _with_ending(piece: Piece) -> str:
    """The mark that tells the voice how to end: a list item has none, a dash was taken away."""
    text, last = piece.text, piece.text[-1]
    if piece.ending == "sentence" and (last.isalnum() or last in ",;:-—–"):
        return text.rstrip(",;:-—–") + "."
    return text + "," if piece.ending == "clause" and last.isalnum() else text


def _trim(audio: Samples, lead: int, tail: int) -> Samples:
    blocks = audio[: audio.size - audio.size % _BLOCK_SAMPLES].reshape(-1, _BLOCK_SAMPLES)
    if not blocks.size:
        return audio[:0]
    power = np.square(blocks).mean(axis=1)
    loud = np.flatnonzero(power > max(float(power.max()) * _SILENCE_RATIO**2, 1e-12))
    if not loud.size:
        return audio[:0]
    start = max(0, int(loud[0]) * _BLOCK_SAMPLES - lead)
    kept = audio[start : (int(loud[-1]) + 1) * _BLOCK_SAMPLES + tail].copy()
    ramp = np.linspace(0.0, 1.0, _FADE_SAMPLES, dtype=np.float32)
    kept[:_FADE_SAMPLES] *= ramp
    kept[-_FADE_SAMPLES:] *= ramp[::-1]
    return kept


def _join(parts: list[Samples]) -> Samples:
    gap = np.zeros(_BETWEEN_SAMPLES, np.float32)
    return np.concatenate([x for part in parts for x in (gap, part)][1:]) if parts else gap[:0]


def _session(model: str) -> ort.InferenceSession:
    """As hibari opens it, but giving memory back: ONNX Runtime's arena grows with every length of text it meets."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _to_pcm(audio: Samples) -> NDArray[np.int16]:
    loud = audio * _GAIN
    over = np.abs(loud) - _KNEE
    room = 1.0 - _KNEE
    limited = np.where(over > 0, np.sign(loud) * (_KNEE + room * np.tanh(over / room)), loud)
    return (limited * 32_767).astype("<i2")

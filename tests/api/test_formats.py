"""Every format at every sample rate: what was fed comes back out of FFmpeg's decoder, streamed or whole."""

from __future__ import annotations

import gc
import io
import struct
import wave
from collections.abc import Iterator

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from worker.api.formats.encoder import Stream, encode_into
from worker.api.formats.output import Output, OutputFormat

SPOKEN_HZ = 24_000
SECONDS = 2.0
TONE_HZ = 440.0
CODED: tuple[OutputFormat, ...] = ("mp3", "opus", "flac", "aac")
ALL: tuple[OutputFormat, ...] = ("wav", "pcm", "mulaw", *CODED)
OUTPUTS = [Output(name, rate) for name in ALL for rate in Output(name).allowed_hz]
RAW = {"pcm": "s16le", "mulaw": "mulaw"}


def tone(hz: float, seconds: float = SECONDS) -> bytes:
    t = np.arange(round(SPOKEN_HZ * seconds)) / SPOKEN_HZ
    return (np.sin(2 * np.pi * hz * t) * 12_000).astype("<i2").tobytes()


def pieces(pcm: bytes, size: int = 4_800) -> Iterator[bytes]:
    yield from (pcm[at : at + size] for at in range(0, len(pcm), size))


def streamed(output: Output, pcm: bytes) -> bytes:
    stream = Stream(output, SPOKEN_HZ)
    return b"".join([stream.feed(piece) for piece in pieces(pcm)]) + stream.finish()


def whole(output: Output, pcm: bytes) -> bytes:
    file = io.BytesIO()
    encoder = encode_into(file, output, SPOKEN_HZ)
    for piece in pieces(pcm):
        encoder.feed(piece)
    encoder.finish()
    return file.getvalue()


def decoded(body: bytes, output: Output) -> tuple[NDArray[np.float64], int]:
    """Samples and their rate, by FFmpeg, which is told the rate only where the format does not hold it."""
    raw = RAW.get(output.format)
    options = {"sample_rate": str(output.rate_hz(SPOKEN_HZ))} if raw else {}
    with av.open(io.BytesIO(body), format=raw, options=options) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("dbl", "mono")
        frames = [f for frame in container.decode(stream) for f in resampler.resample(frame)]
        return np.concatenate([f.to_ndarray().ravel() for f in frames]), stream.codec_context.sample_rate


def pitch_hz(samples: NDArray[np.float64], rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * rate_hz / samples.size)


@pytest.mark.parametrize("make", [streamed, whole])
@pytest.mark.parametrize("output", OUTPUTS, ids=lambda o: f"{o.format}-{o.sample_rate_hz}")
def test_the_sound_comes_back(output: Output, make: object) -> None:
    body = (streamed if make is streamed else whole)(output, tone(TONE_HZ))
    samples, rate_hz = decoded(body, output)
    assert rate_hz == (48_000 if output.format == "opus" else output.sample_rate_hz)
    assert SECONDS <= samples.size / rate_hz < SECONDS + 0.3  # encoders of frames fill the last one up
    assert pitch_hz(samples, rate_hz) == pytest.approx(TONE_HZ, abs=2)
    assert np.abs(samples[rate_hz // 2 : rate_hz]).max() == pytest.approx(12_000 / 32_768, rel=0.15)


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac"])
def test_a_whole_file_says_how_long_it_is(name: OutputFormat) -> None:
    with av.open(io.BytesIO(whole(Output(name), tone(TONE_HZ)))) as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(SECONDS, abs=0.01)


@pytest.mark.parametrize("name", ALL)
def test_a_stream_begins_with_the_first_pieces(name: OutputFormat) -> None:
    stream = Stream(Output(name), SPOKEN_HZ)
    first = b"".join(stream.feed(piece) for piece in pieces(tone(TONE_HZ, 0.3)))
    samples, rate_hz = decoded(first, Output(name))
    assert samples.size / rate_hz > 0.1


def test_what_a_lower_rate_cannot_hold_is_taken_out() -> None:
    samples, _ = decoded(streamed(Output("pcm", 8_000), tone(7_000)), Output("pcm", 8_000))
    assert np.abs(samples[800:-800]).max() < 12_000 / 32_768 / 300  # 50 dB


@pytest.mark.parametrize("make", [streamed, whole])
@pytest.mark.parametrize("name", ALL)
def test_a_text_without_a_sound_is_still_a_file(name: OutputFormat, make: object) -> None:
    body = (streamed if make is streamed else whole)(Output(name), b"")
    if name not in RAW and name != "wav":
        assert decoded(body, Output(name))[0].size >= 1
    else:
        assert len(body) in (0, 1, 44)


@pytest.mark.parametrize("name", CODED)
def test_a_file_that_is_given_up_does_no_harm(name: OutputFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", complaints.append)
    file = io.BytesIO()
    encoder = encode_into(file, Output(name), SPOKEN_HZ)
    encoder.feed(tone(TONE_HZ))
    file.close()
    del encoder
    gc.collect()
    assert not complaints


def test_telephones_get_8_khz() -> None:
    assert Output("mulaw").rate_hz(SPOKEN_HZ) == 8_000
    assert Output("mulaw").media_type(SPOKEN_HZ) == "audio/basic"
    assert Output("mulaw", 16_000).media_type(SPOKEN_HZ) == "audio/PCMU; rate=16000; channels=1"


@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_opus_has_no_such_rate(rate: int) -> None:
    assert not Output("opus", rate).possible


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
def test_a_whole_file_holds_nothing_that_the_voice_did_not_say(rate_hz: int) -> None:
    """One pitch goes in, near the edge of what the lower rate can hold; all else is 75 dB down."""
    hz = 0.9 * min(rate_hz, SPOKEN_HZ) / 2
    samples, _ = decoded(whole(Output("pcm", rate_hz), tone(hz)), Output("pcm", rate_hz))
    middle = samples[rate_hz // 4 : -rate_hz // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.blackman(middle.size)))
    frequencies = np.arange(spectrum.size) * rate_hz / middle.size
    assert spectrum[np.abs(frequencies - hz) > 60].max() < spectrum.max() * 10 ** (-75 / 20)


def test_a_stream_at_another_rate_waits_for_no_more_than_a_piece() -> None:
    for rate_hz in (8_000, 16_000, 22_050, 44_100, 48_000):
        sound = Stream(Output("pcm", rate_hz), SPOKEN_HZ).feed(tone(TONE_HZ, 0.02))
        assert len(sound) / 2 / rate_hz > 0.015


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 44_100])
def test_strict_readers_take_a_streamed_wav(rate_hz: int) -> None:
    """Python's reader believes the header's lengths, which nobody can know; all of the sound is there all the same."""
    body = streamed(Output("wav", rate_hz), tone(TONE_HZ))
    with wave.open(io.BytesIO(body)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (rate_hz, 1, 2)
        read = sound.readframes(sound.getnframes())
    assert read == body[44:]
    assert len(read) / 2 / rate_hz == pytest.approx(SECONDS, abs=0.01)
    riff, size, _, fmt = struct.unpack_from("<4sI4s4s", body)
    assert (riff, fmt) == (b"RIFF", b"fmt ")
    assert size >= len(body) - 8

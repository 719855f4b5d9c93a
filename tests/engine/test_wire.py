import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_plugin import protocol
from tts_plugin.protocol import Audio, Done, Failed, Hello, ProtocolError, Say, Started, Stats, Word, Words
from tts_plugin.wire import decode_audio, decode_down, decode_up, encode, encode_audio

IDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=16)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
COUNT = st.integers(0, 2**53)
UP = st.one_of(
    st.builds(Say, IDS, voice=TEXT, klass=st.sampled_from(["call", "interactive", "file"]), seed=st.none() | COUNT),
    st.builds(protocol.Text, IDS, TEXT),
    st.builds(protocol.Credit, IDS, COUNT),
    st.builds(protocol.Played, IDS, COUNT),
    st.builds(protocol.End, IDS),
    st.builds(protocol.Cancel, IDS),
    st.builds(Hello, protocol=COUNT),
)
SECONDS = st.floats(0, 1e6)
DOWN = st.one_of(
    st.builds(Started, IDS, COUNT, TEXT),
    st.builds(Words, IDS, st.lists(st.builds(Word, TEXT, SECONDS, SECONDS, COUNT, COUNT), max_size=3).map(tuple)),
    st.builds(Done, IDS, COUNT, st.booleans(), st.builds(Stats, SECONDS, st.none() | SECONDS, SECONDS, COUNT)),
    st.builds(Failed, IDS, st.just("at_capacity"), TEXT, st.booleans(), COUNT, st.none() | SECONDS),
    st.builds(Hello, COUNT, st.lists(TEXT, max_size=3).map(tuple), TEXT),
)


@given(UP)
def test_what_goes_up_comes_out_as_it_went_in(message: protocol.Up) -> None:
    assert decode_up(encode(message)) == message


@given(DOWN)
def test_what_goes_down_comes_out_as_it_went_in(message: protocol.Down) -> None:
    assert decode_down(encode(message)) == message


@given(IDS, COUNT, st.binary(max_size=64).map(lambda pcm: pcm[: len(pcm) // 2 * 2]))
def test_audio_comes_out_as_it_went_in(id: str, offset: int, pcm: bytes) -> None:
    assert decode_audio(encode_audio(Audio(id, offset, pcm))) == Audio(id, offset, pcm)


@given(st.binary(max_size=100) | TEXT)
def test_any_bytes_are_a_message_or_a_protocol_error(raw: bytes | str) -> None:
    for decode in (decode_up, decode_down):
        with contextlib.suppress(ProtocolError):
            decode(raw)


@given(st.binary(max_size=100))
def test_any_bytes_are_audio_or_a_protocol_error(raw: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert len(decode_audio(raw).pcm) % 2 == 0


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("x", "not JSON"),
        ("[" * 100_000, "at most|not JSON"),
        ("[" * 60_000, "not JSON"),
        ("[]", "JSON object, got list"),
        ('{"type":"shout"}', "'shout' is unknown; allowed: hello, say"),
        ('{"type":"say"}', "say lacks a field.*id"),
        ('{"type":"say","id":"a","pace":"slow"}', "say.pace is 'slow'; allowed: realtime, fast"),
        ('{"type":"say","id":"a","seed":"x"}', "say.seed must be int, got str"),
        ('{"type":"say","id":"a","seed":true}', "say.seed must be int, got bool"),
        ('{"type":"say","id":"a","colour":1}', "say has no field 'colour'"),
        ('{"type":"credit","id":"a","samples":-1}', "cannot be negative"),
        ('{"type":"end","id":"' + "x" * 65 + '"}', "at most 64 bytes"),
        ('{"type":"end","id":"\\ud800"}', "printable"),
        (" " * 65_537, "65537 bytes was given; at most 65536"),
    ],
)
def test_a_wrong_message_says_what_was_given_and_what_is_allowed(raw: str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        decode_up(raw)

"""Hostile voice files: nothing of them runs, they cost next to nothing, and the refusal says what was found."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preset_files import Preset, name, refused, text, tuple_

from tts_plugin.pickle_reader import MAX_PICKLE_BYTES, UnsafePickle, read_pickle
from tts_plugin.preset import WrongPreset, parse_preset


class Hostile:
    def __init__(self, call: Callable[..., object], *args: object) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call, self.args


MARKER = "hostile-voice-was-run"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("call", "argument"), [(os.system, f"touch {MARKER}"), (eval, f"open({MARKER!r}, 'w')")], ids=["system", "eval"]
)
def test_hostile_pickle_runs_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: int,
    nested: bool,
    call: Callable[..., object],
    argument: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile: object = Hostile(call, argument)
    data = Preset().packed(pickle.dumps({"lm": {"deep": [(hostile,)]}} if nested else hostile, protocol))
    refused(data, r"names|uses|broken")
    assert not (tmp_path / MARKER).exists()
    pickle.loads(pickle.dumps(Hostile(exec, f"open({MARKER!r}, 'w').close()")))  # the same trick on a reader that runs
    assert (tmp_path / MARKER).exists()


def test_hostile_call_inside_a_whole_preset_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Preset()
    made.models["tts_lm"] = name("os", "system") + tuple_(text(f"touch {MARKER}")) + b"R"
    refused(made.packed(), r"names 'os system'; allowed: collections OrderedDict")
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("transformers.cache_utils", "os"),
    ],
)
@pytest.mark.parametrize("opcode", ["GLOBAL", "STACK_GLOBAL"])
def test_no_other_name_is_taken(module: str, attribute: str, opcode: str) -> None:
    named = name(module, attribute) if opcode == "GLOBAL" else text(module) + text(attribute) + b"\x93"
    with pytest.raises(UnsafePickle, match=f"names '{module} "):
        read_pickle(b"\x80\x04" + named + b".")


@pytest.mark.parametrize(
    "opcode",
    [b"i" + b"os\nsystem\n", b"o", b"\x92", b"\x82\x01", b"\x84\x01\0\0\0", b"\x97", b"\x8e" + b"\1" * 8, b"I1\n"],
)
def test_opcodes_that_no_voice_needs_are_refused(opcode: bytes) -> None:
    with pytest.raises(UnsafePickle, match=r"no voice needs|broken"):
        read_pickle(b"\x80\x04(" + text("os") + opcode + b".")


def test_allowed_names_are_inert_too() -> None:
    made = read_pickle(b"\x80\x02" + name("collections", "OrderedDict") + b")R.")
    assert type(made).__name__ == "Record"


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02t.",
        b"\x80\x02R.",
        b"\x80\x02h\x05.",
        b"\x80\x02N)R.",
        b"\x80\x02Na.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02}))s.",
        b"\x80\x02}NNs.",
        b"\x80\x02]}b.",
        b"\x80\x02r\xff\xff\xff\xff.",
        b"\x80\x02X\xff\xff\xff\x7fab.",
    ],
)
def test_a_broken_pickle_is_refused(pickled: bytes) -> None:
    with pytest.raises(UnsafePickle):
        read_pickle(pickled)


def test_a_memo_of_four_billion_costs_nothing() -> None:
    # pickle.Unpickler would allocate a table for every index below
    assert read_pickle(b"\x80\x02Nr\xff\xff\xff\xff.") is None


def test_a_tower_of_shared_tuples_costs_nothing() -> None:
    doubled = b"\x80\x02)" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
    with pytest.raises(UnsafePickle, match="a tuple as a key"):
        read_pickle(doubled + b"q\xfe}h\xfeNs.")


def test_a_pickle_of_a_megabyte_is_refused() -> None:
    with pytest.raises(UnsafePickle, match=f"allowed: {MAX_PICKLE_BYTES}"):
        read_pickle(b"\x80\x02" + b"N" * MAX_PICKLE_BYTES + b".")


def test_a_zip_bomb_is_refused_unopened() -> None:
    made = Preset(entries={"a/data/bomb": bytes(200_000_000)})
    data = made.packed(compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 1_000_000
    refused(data, "is compressed")


def test_entries_that_overlap_are_refused() -> None:
    data = bytearray(Preset(entries={"a/data/big": bytes(100_000)}).packed())
    size = struct.pack("<II", 100_000, 100_000)
    grown = struct.pack("<II", 2_000_000_000, 2_000_000_000)
    refused(bytes(data.replace(size, grown)), r"entries of \d+ bytes in a file of")


def test_a_directory_of_many_entries_is_refused_before_it_is_read() -> None:
    refused(Preset(entries={f"a/{i}": b"" for i in range(1_001)}).packed(), "more than 1000 entries")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused() -> None:
    file = io.BytesIO(Preset().packed())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("a/data.pkl", b"N.")
    refused(file.getvalue(), "two entries of the same name")


@pytest.mark.parametrize("entry", ["../evil", "/etc/evil", "b/evil", "evil"])
def test_entries_outside_the_one_folder_are_refused(entry: str, tmp_path: Path) -> None:
    refused(Preset(entries={entry: b"x"}).packed(), "do not lie in one folder")


def test_big_endian_numbers_are_refused() -> None:
    refused(Preset(entries={"a/byteorder": b"big"}).packed(), "not little-endian")


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x02}.", b"PK\x05\x06" + bytes(18), bytes(1000)])
def test_what_is_not_a_torch_file_is_refused(data: bytes) -> None:
    refused(data, r"not the zip file|one folder")


def test_a_file_cut_short_is_refused() -> None:
    data = Preset().packed()
    for length in range(0, len(data) - 1, 97):
        refused(data[:length], "voice.pt is not a usable voice preset")


WHOLE = Preset().packed()
PICKLED = Preset().pickled()
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4)


def changed(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    bent = bytearray(data)
    for place, value in changes:
        bent[int(place * len(bent))] = value
    return bytes(bent)


@given(changes=CHANGES)
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_of_a_file_gives_a_preset_or_a_clear_refusal(changes: list[tuple[float, int]]) -> None:
    with contextlib.suppress(WrongPreset):
        parse_preset(changed(WHOLE, changes), "voice.pt")


@given(changes=CHANGES)
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_of_the_pickle_gives_a_preset_or_a_clear_refusal(changes: list[tuple[float, int]]) -> None:
    made = Preset()
    made.pickled()  # makes the storages
    with contextlib.suppress(WrongPreset):
        parse_preset(made.packed(changed(PICKLED, changes)), "voice.pt")


@given(pickled=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_as_a_pickle_give_plain_data_or_a_refusal(pickled: bytes) -> None:
    with contextlib.suppress(UnsafePickle):
        read_pickle(b"\x80\x02" + pickled)

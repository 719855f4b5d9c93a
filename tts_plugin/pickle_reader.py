"""Reads the pickle inside a torch file without ever running it. Knows nothing of what the data is for.

An interpreter of the few opcodes that torch.save writes. It makes only text, numbers, lists, tuples, dicts and inert
records of ours; a name or an opcode that is not listed here ends the reading. Nothing is imported and nothing called,
so there is nothing for a hostile file to reach. (pickle.Unpickler is not used: it allocates what the file asks for.)
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

MAX_PICKLE_BYTES = 1 << 20  # a published voice has 10 to 20 kB
MODEL_OUTPUT = "transformers.modeling_outputs BaseModelOutputWithPast"
CACHE = "transformers.cache_utils DynamicCache"
TENSOR = "torch._utils _rebuild_tensor_v2"
BFLOAT16 = "torch BFloat16Storage"
ALLOWED_NAMES = frozenset({MODEL_OUTPUT, CACHE, TENSOR, BFLOAT16, "collections OrderedDict"})


class UnsafePickle(ValueError):
    """The pickle holds something that a voice does not need. Nothing of it was run."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the file names. Only its name."""

    text: str


@dataclass(slots=True)
class Record:
    """What the file wanted made by a name: the ingredients, never the thing."""

    name: str
    args: tuple[object, ...]
    items: dict[str, object] = field(default_factory=dict)
    state: object = None


@dataclass(frozen=True, slots=True)
class Storage:
    """A reference to a block of numbers elsewhere in the file."""

    reference: object


def read_pickle(data: bytes) -> object:
    """Raises UnsafePickle for anything that is not plain data around the allowed names."""
    if len(data) > MAX_PICKLE_BYTES:
        raise UnsafePickle(f"a pickle of {len(data)} bytes; allowed: {MAX_PICKLE_BYTES}")
    reader = _Reader()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return reader.pop()
            reader.take(opcode.name, argument)
    except UnsafePickle:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UnsafePickle(f"a broken pickle ({type(error).__name__})") from error
    raise UnsafePickle("a pickle without an end")


class _Reader:
    def __init__(self) -> None:
        self.stack: list[object] = []
        self.outer: list[list[object]] = []  # the stacks below each open mark
        self.memo: dict[int, object] = {}

    def pop(self) -> object:
        return self.stack.pop()

    def take(self, opcode: str, argument: object) -> None:
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                self.stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                self.stack.append(opcode == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE" | "SHORT_BINUNICODE":
                self.stack.append(argument)
            case "EMPTY_TUPLE":
                self.stack.append(())
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_DICT":
                self.stack.append({})
            case "MARK":
                self.outer.append(self.stack)
                self.stack = []
            case "TUPLE":
                marked = tuple(self.since_mark())
                self.stack.append(marked)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(self.last(int(opcode[-1]))))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[cast(int, argument)] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[cast(int, argument)])
            case _:
                self.take_structure(opcode, argument)

    def take_structure(self, opcode: str, argument: object) -> None:
        match opcode:
            case "APPEND":
                self.extend(self.last(1))
            case "APPENDS":
                self.extend(self.since_mark())
            case "SETITEM":
                self.set_items(self.last(2))
            case "SETITEMS":
                self.set_items(self.since_mark())
            case "GLOBAL":
                self.stack.append(_allowed(cast(str, argument)))
            case "STACK_GLOBAL":
                self.stack.append(_allowed(" ".join(str(part) for part in self.last(2))))
            case "REDUCE" | "NEWOBJ":
                self.stack.append(_record(*self.last(2)))
            case "BUILD":
                state = self.pop()
                self.record_on_top(opcode).state = state
            case "BINPERSID":
                self.stack.append(Storage(self.pop()))
            case _:
                raise UnsafePickle(f"the pickle uses {opcode}, which no voice needs")

    def last(self, count: int) -> list[object]:
        if len(self.stack) < count:
            raise IndexError
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def since_mark(self) -> list[object]:
        taken, self.stack = self.stack, self.outer.pop()
        return taken

    def extend(self, values: Iterable[object]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise UnsafePickle(f"the pickle appends to {type(target).__name__}")
        target.extend(values)

    def set_items(self, flat: list[object]) -> None:
        target = self.stack[-1]
        items = target if type(target) is dict else self.record_on_top("SETITEMS").items
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if type(key) is not str:  # text only: the hash of a crafted tuple can take for ever
                raise UnsafePickle(f"the pickle has a {type(key).__name__} as a key")
            items[key] = value

    def record_on_top(self, opcode: str) -> Record:
        target = self.stack[-1]
        if type(target) is not Record:
            raise UnsafePickle(f"the pickle uses {opcode} on {type(target).__name__}")
        return target


def _allowed(name: str) -> Name:
    if name not in ALLOWED_NAMES:
        raise UnsafePickle(f"the pickle names {name!r:.100}; allowed: {', '.join(sorted(ALLOWED_NAMES))}")
    return Name(name)


def _record(name: object, args: object) -> Record:
    if type(name) is not Name or type(args) is not tuple:
        raise UnsafePickle(f"the pickle makes something of {type(name).__name__} and {type(args).__name__}")
    return Record(name.text, args)

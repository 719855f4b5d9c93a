"""Keys that a caller presses become one input, for whoever asked for it or for the conversation."""

import asyncio

import pytest

from worker.phone.keypad import MAX_KEYS, Keypad

SHORT_S = 0.02


@pytest.fixture
def taken() -> list[str]:
    return []


async def test_keys_are_one_input_once_the_caller_pauses(taken):
    pad = Keypad(taken.append, pause_s=SHORT_S)
    for key in "123":
        pad.press(key)
    assert taken == []
    await asyncio.sleep(10 * SHORT_S)
    assert taken == ["123"]


async def test_the_hash_key_ends_an_input_at_once_and_is_no_part_of_it(taken):
    pad = Keypad(taken.append, pause_s=60)
    for key in "42#7#":
        pad.press(key)
    assert taken == ["42", "7"]


async def test_the_first_key_of_an_input_is_told_once(taken):
    first: list[int] = []
    pad = Keypad(taken.append, pressed=lambda: first.append(1), pause_s=60)
    for key in "12#3":
        pad.press(key)
    assert len(first) == 2
    pad.close()


async def test_what_is_no_key_is_dropped(taken):
    pad = Keypad(taken.append, pause_s=60)
    for key in ("1", "x", "", "12", "#"):
        pad.press(key)
    assert taken == ["1"]


async def test_an_input_without_end_is_cut(taken):
    pad = Keypad(taken.append, pause_s=60)
    for _ in range(MAX_KEYS + 3):
        pad.press("9")
    assert taken == ["9" * MAX_KEYS]
    pad.close()


async def collected(pad: Keypad, keys: str, **how: float) -> str:
    asking = asyncio.create_task(pad.collect(**{"most": 8, "first_s": 5.0, "pause_s": 5.0, **how}))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    for key in keys:
        pad.press(key)
    return await asking


async def test_who_collects_gets_the_keys_and_the_conversation_does_not(taken):
    pad = Keypad(taken.append, pause_s=SHORT_S)
    assert await collected(pad, "4711#") == "4711"
    await asyncio.sleep(5 * SHORT_S)
    assert taken == []


async def test_as_many_keys_as_were_asked_for_are_enough():
    assert await collected(Keypad(lambda _: None), "12345", most=3) == "123"


async def test_a_caller_who_presses_nothing_is_not_waited_for_for_ever():
    assert await collected(Keypad(lambda _: None), "", first_s=SHORT_S) == ""


async def test_a_pause_ends_what_is_collected():
    assert await collected(Keypad(lambda _: None), "12", pause_s=SHORT_S) == "12"


async def test_keys_that_came_just_before_the_question_belong_to_it(taken):
    pad = Keypad(taken.append, pause_s=60)
    pad.press("1")
    assert await collected(pad, "2#") == "12"
    assert taken == []


async def test_two_cannot_collect_at_once():
    pad = Keypad(lambda _: None)
    asking = asyncio.create_task(pad.collect(most=1, first_s=5.0, pause_s=5.0))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already"):
        await pad.collect(most=1, first_s=5.0, pause_s=5.0)
    pad.press("1")
    assert await asking == "1"


async def test_a_closed_keypad_tells_nothing(taken):
    pad = Keypad(taken.append, pause_s=SHORT_S)
    pad.press("1")
    pad.close()
    await asyncio.sleep(5 * SHORT_S)
    assert taken == []

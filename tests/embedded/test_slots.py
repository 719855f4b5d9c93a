"""Which conversation gets which slot of the language model."""

from __future__ import annotations

from worker.embedded.slots import Slots


def test_a_conversation_comes_back_to_its_slot() -> None:
    slots = Slots(3)
    first, second = slots.take("a"), slots.take("b")
    slots.give_back(first)
    slots.give_back(second)
    assert first != second
    assert slots.take("a") == first


def test_a_new_conversation_takes_an_empty_slot_before_anybodys() -> None:
    slots = Slots(2)
    slots.give_back(slots.take("a"))
    assert slots.take("b") != slots.take("a")


def test_the_slot_that_rested_longest_is_given_up() -> None:
    slots = Slots(2)
    a, b = slots.take("a"), slots.take("b")
    slots.give_back(a)
    slots.give_back(b)
    slots.give_back(slots.take("a"))
    assert slots.take("c") == b


def test_a_busy_slot_is_given_up_last() -> None:
    slots = Slots(2)
    slots.take("a")
    b = slots.take("b")
    slots.give_back(b)
    assert slots.take("c") == b

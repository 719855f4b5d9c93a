import pytest

from worker.turn_taking import DELAYS, OTHER_LANGUAGES, Reading, delays, read

COMPLETE = """
What is the capital of France?
How many days are there in one week?
Can you tell me a short joke?
What is two plus three?
When does the summer begin?
Where do penguins live
Do you have a table for two?
And what about Sunday?
Yes.
No, thank you.
Okay.
Hello.
Stop.
It is open on Sunday?
"""
OPEN = """
I would like to book a table.
I need to speak to somebody.
My phone is broken.
The reason is that it rained.
When I came home, the door was open.
"""
UNFINISHED = """
When I came home yesterday.
If it rains tomorrow
Because the shop was closed.
Before I pay for this.
The reason why I am calling.
I was thinking about
Could you please tell me
My order number is four seven two nine.
My number is 555 01
I would like to
Um
I want the red one and
Well, it depends,
"""


def lines(block: str) -> list[str]:
    return block.strip().splitlines()


@pytest.mark.parametrize("words", lines(COMPLETE))
def test_a_question_or_a_short_reply_is_complete(words):
    assert read(words) is Reading.COMPLETE


@pytest.mark.parametrize("words", lines(OPEN))
def test_a_statement_may_go_on(words):
    assert read(words) is Reading.OPEN


@pytest.mark.parametrize("words", lines(UNFINISHED))
def test_what_stops_where_no_sentence_ends_is_unfinished(words):
    assert read(words) is Reading.UNFINISHED


@pytest.mark.parametrize("words", ["", "…", "?!", "ééé 日本"])
def test_no_words_are_no_verdict(words):
    assert read(words) is not Reading.COMPLETE


def test_the_less_is_said_the_longer_the_wait():
    assert DELAYS[Reading.COMPLETE] < DELAYS[Reading.OPEN] < DELAYS[Reading.UNFINISHED]


def test_other_languages_wait_a_middle_time():
    assert delays("Wo ist der Bahnhof?", "de") == OTHER_LANGUAGES

"""Numbers and signs do not make the first piece of speech come later than when the back-end read them itself."""

import pytest

from tts_plugin.engine.clauses import Clauses
from tts_plugin.text import Normaliser

# How many words had been fed when the first piece was cut, before numbers were made words.
SENTENCES = [
    ("The capital of France is Paris, and it is lovely. Would you like to hear more about it?", 6),
    ("Sure, your total comes to $45.20 for 3 items, and it ships on March 3, 2026.", 8),
    ("I have 20 people on the list, so we need 26 chairs by 5:30 pm on Friday.", 7),
    ("On 3 March 2026 the price was $5 million, which is a lot of money.", 8),
    ("It is 20°C outside, with wind of 15 km/h from the north today.", 4),
    ("You can call 555-123-4567 or write to me@example.com at any time.", 8),
    ("Dr. Smith said no. 5 is the best of the 12 options we have.", 8),
    ("There are 8 planets in the solar system, and Earth is the 3rd one from the sun.", 8),
    ("It was founded in 1998 by two people, and now has 10,000 employees.", 8),
    ("Yes. There are 2 ways to do it, and I like the first one.", 1),
]


@pytest.mark.parametrize(("sentence", "words_before"), SENTENCES)
def test_the_first_piece_comes_no_later(sentence: str, words_before: int) -> None:
    normaliser, clauses = Normaliser(), Clauses()
    for fed, word in enumerate(sentence.split(), 1):
        if clauses.feed(normaliser.feed(f"{word} ")):
            assert fed <= words_before
            return
    pytest.fail("there was no piece before the end")

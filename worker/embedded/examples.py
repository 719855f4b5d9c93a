"""What keeps the small model's answers short, English and speakable: answered questions, a grammar, a short memory.

Without them it drifts into French or repeats itself after a few turns, whatever the instructions say; with them, at
temperature 0, most simple questions of one conversation get a sensible sentence. Other models never see this.
"""

from __future__ import annotations

from typing import Final

# GBNF. Letters, digits and plain punctuation: no lists, no emoji, no markdown, no accents (its way into French).
SPEAKABLE: Final = "root ::= [A-Za-z0-9 ,.?!';:-]+"

# The model takes its own earlier answers for a pattern, so that one bad answer spoils all that follow.
MAX_MESSAGES: Final = 7  # of the conversation, the newest

_ANSWERED = (
    ("Hello, how are you?", "I am fine, thank you. What can I do for you?"),
    ("Who are you?", "I am an AI assistant, and I can answer simple questions."),
    ("What is the capital of Spain?", "The capital of Spain is Madrid."),
    ("How many months are there in a year?", "There are twelve months in a year."),
    ("Tell me something about cats.", "Cats are small animals that many people keep at home."),
    ("Thank you, goodbye.", "Thank you for calling. Goodbye!"),
)


def with_examples(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Instructions, examples, the newest of the conversation: in this order they stay in the prompt cache."""
    start = next((i for i, message in enumerate(messages) if message["role"] != "system"), len(messages))
    return messages[:start] + _MESSAGES + messages[start:][-MAX_MESSAGES:]


_MESSAGES = [
    {"role": role, "content": text}
    for pair in _ANSWERED
    for role, text in zip(("user", "assistant"), pair, strict=True)
]

"""docs/speakable.md says what is said."""

import re
from pathlib import Path

import pytest
from speaking import said

from tts_plugin.text import LANGUAGES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "speakable.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| [^|]+ \| (`+) ?(.+?) ?\1 \| (.*) \|$")


def rows() -> list[tuple[str, str, str]]:
    found = []
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        language = re.match(r"\w+ \(`(\w\w)`\)", section)
        matches = map(_ROW.match, section.splitlines())
        found += [(language[1], match[2], match[3]) for match in matches if match and language]
    return found


def test_every_language_has_its_table() -> None:
    assert {language for language, _, _ in rows()} == set(LANGUAGES)
    assert len(rows()) > 100


@pytest.mark.parametrize(("language", "written", "expected"), rows())
def test_the_page_says_what_is_said(language: str, written: str, expected: str) -> None:
    assert said(written, language) == expected

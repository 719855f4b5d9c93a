"""The tables cases_*.tsv: what is written, and what is said."""

from pathlib import Path

import pytest
from speaking import said, words_of


def cases() -> list[tuple[str, str, str]]:
    rows = []
    for file in sorted(Path(__file__).parent.glob("cases_*.tsv")):
        for line in file.read_text().splitlines():
            if not line.startswith("#"):
                written, expected = line.split("\t")
                rows.append((file.stem.removeprefix("cases_"), written.replace("\\n", "\n"), expected))
    return rows


CASES = cases()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 300
    assert {language for language, _, _ in CASES} == {"en", "de", "fr", "es"}


@pytest.mark.parametrize(("language", "written", "expected"), CASES)
def test_what_is_written_is_said_so(language: str, written: str, expected: str) -> None:
    assert said(written, language) == expected


@pytest.mark.parametrize(("language", "written", "expected"), CASES)
def test_letter_by_letter_it_is_said_alike(language: str, written: str, expected: str) -> None:
    assert words_of(written, language) == words_of([written], language)


@pytest.mark.parametrize(("language", "written", "expected"), CASES)
def test_what_is_said_is_said_again_alike(language: str, written: str, expected: str) -> None:
    """Words go through unchanged; only a German number of more than 32 letters is cut."""
    assert said(expected, language).replace(" ", "") == expected.replace(" ", "")

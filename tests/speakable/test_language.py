import subprocess
import sys

import pytest
from speaking import said

from tts_plugin.text import LANGUAGES, Normaliser, UnknownLanguage


@pytest.mark.parametrize(
    ("language", "spoken"),
    [
        (None, "five euros"),
        ("en", "five euros"),
        ("en-US", "five euros"),
        ("EN_gb", "five euros"),
        ("de-AT", "fünf Euro"),
        ("fr", "cinq euros"),
        ("es-MX", "cinco euros"),
    ],
)
def test_the_language_may_have_a_region(language: str | None, spoken: str) -> None:
    assert said("5 €", language) == spoken


@pytest.mark.parametrize("language", ["it", "ja-JP", "", "english", "xx", "e" * 1000])
def test_an_unknown_language_is_refused_and_the_known_ones_are_named(language: str) -> None:
    with pytest.raises(UnknownLanguage) as refused:
        Normaliser(language)
    assert all(known in str(refused.value) for known in LANGUAGES)
    assert repr(language)[:40] in str(refused.value)
    assert len(str(refused.value)) < 120


def test_the_number_library_is_loaded_with_the_first_number_only() -> None:
    code = (
        "import sys; from tts_plugin.text import Normaliser; Normaliser().feed('words only. ');"
        "assert 'num2words' not in sys.modules; Normaliser().feed('20, '); assert 'num2words' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)

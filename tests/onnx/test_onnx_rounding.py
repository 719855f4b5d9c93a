"""`tts-ops bench rounding`: a table of what weights of few bits change."""

from __future__ import annotations

import pytest

from worker.bench.rounding import run
from worker.settings import Settings


def rows(printed: str) -> dict[tuple[str, str], float]:
    """(weights, part) → relative error."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if "dB" in line]
    return {(weights, part): float(error) for weights, part, error, *_ in cells}


def test_errors_are_told_part_by_part_and_grow_with_fewer_bits(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert run(settings, random_weights=True, size="small", dtypes="int8,int4", latents=4) == 0
    errors = rows(capsys.readouterr().out)
    assert len(errors) == 8
    assert 0 < errors["int8", "hidden states"] < 0.05 < errors["int4", "hidden states"] < 0.5
    assert all(0 < errors["int8", part] < 0.1 for part in ("latents", "audio", "latents from own hidden states"))


@pytest.mark.parametrize(("dtypes", "size"), [("int3", "real"), ("int8", "huge")])
def test_what_cannot_be_measured_is_refused(dtypes: str, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings(_env_file=None), random_weights=True, size=size, dtypes=dtypes, latents=4) == 2  # type: ignore[call-arg]
    assert "allowed: int8, int4; real, small" in capsys.readouterr().err

"""Percentiles and the tables that go into the documentation."""

import pytest

from worker.bench.figures import Figure, Result, percentile, table, waterfall


@pytest.mark.parametrize(
    ("count", "percent", "rank"), [(20, 95, 19), (20, 50, 10), (10, 95, 10), (1, 50, 1), (19, 95, 19), (100, 95, 95)]
)
def test_a_percentile_is_the_nearest_rank(count: int, percent: float, rank: int) -> None:
    assert percentile([float(n) for n in range(count, 0, -1)], percent) == rank


def test_no_sample_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no sample"):
        percentile([], 50)


def test_a_row_shows_short_times_in_milliseconds() -> None:
    assert Figure("silence", (0.061, 0.072), "≤ 80 ms").row == "| silence | 61 ms | 72 ms | 72 ms | 2 | ≤ 80 ms |"


def test_a_figure_without_samples_is_shown_as_not_measured() -> None:
    assert "| – | – | – | 0 |" in Figure("silence", (), "≤ 80 ms").row


def test_the_table_holds_a_row_for_each_figure_of_each_result() -> None:
    results = [Result("a", [Figure("one", (1.0,), "")]), Result("b", [Figure("two", (2.0,), "")])]
    assert [line.split(" | ")[0] for line in table(results).splitlines()[2:]] == ["| one", "| two"]


def test_the_waterfall_is_in_order_of_time_with_the_step_since_the_stage_before() -> None:
    rows = waterfall({"heard": [0.9, 1.0, 1.1], "transcript": [0.5, 0.6, 0.7], "nothing": []}).splitlines()[2:]
    assert rows == ["| transcript | 0.60 | +0.60 | 0.70 | 3 |", "| heard | 1.00 | +0.40 | 1.10 | 3 |"]

"""The statistics of the benchmarks and their table, on fixed figures: nothing is measured here."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Pair, Unit, percentile, take_pairs
from benchmarks.pipelines import long, many_jobs, one_job
from benchmarks.table import BEGIN, END, markdown, plain_table, write_between_markers
from runner.lint import lint
from runner.parse import parse
from runner.source import load

PAIRS = (Pair(2.0, 1.0), Pair(9.0, 3.0), Pair(4.0, 4.0))


def test_a_ratio_is_the_median_of_the_pairs_ratios() -> None:
    figure = Figure("x", "s", PAIRS)
    assert (figure.ours, figure.baseline, figure.ratio) == (4.0, 3.0, 2.0)
    assert figure.spread == (1.0, 3.0)


def test_without_a_baseline_there_is_no_ratio() -> None:
    figure = Figure("x", "ms", (Pair(5.0), Pair(7.0)))
    assert (figure.ours, figure.baseline, figure.ratio) == (6.0, None, None)
    assert figure.spread == (5.0, 7.0)


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        (None, ""),
        (Bound(1.9), "MISSED"),
        (Bound(2.0), "yes"),
        (Bound(3.0, goal=1.9), "yes"),
        (Bound(3.0, goal=2.0), "goal"),
        (Bound(3.9, of="ours"), "MISSED"),
        (Bound(4.0, of="ours"), "yes"),
    ],
)
def test_a_bound_is_kept_up_to_its_limit(bound: Bound | None, verdict: str) -> None:
    assert Figure("x", "s", PAIRS, bound=bound).verdict == verdict


def test_a_bound_of_a_ratio_that_was_not_measured_is_missed() -> None:
    assert Figure("x", "s", (Pair(1.0),), bound=Bound(2)).verdict == "MISSED"


def test_pairs_alternate_after_a_warm_up() -> None:
    order: list[str] = []

    def record(side: str, value: float) -> float:
        order.append(side)
        return value

    pairs = take_pairs(lambda: record("A", 3), lambda: record("B", 2), 2)
    assert pairs == (Pair(3, 2), Pair(3, 2))
    assert "".join(order) == "ABABAB"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 51, 3.0),
        (range(1, 101), 95, 95),
        (range(1, 101), 100, 100),
        (range(1, 101), 0, 1),
    ],
)
def test_percentile(values: Sequence[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_effort_scales_sizes_and_counts_pairs() -> None:
    assert (Effort().pairs(5), Effort(runs=2).pairs(5)) == (5, 2)
    assert (Effort().sized(200), Effort(scale=0.2).sized(200)) == (200, 40)
    assert Effort(scale=0.001).sized(200) == 2


def figure(name: str, unit: Unit, bound: Bound | None) -> Figure:
    return Figure(name, unit, PAIRS, "docker", bound)


FIGURES = [
    figure("step", "ms", Bound(1 / 10, goal=1 / 16)),
    figure("one-job", "s", Bound(2.5)),
    Figure("output, memory", "MB", (Pair(151.4),), bound=Bound(150, of="ours")),
]
PLAIN = """\
name            ours    baseline  ratio  min to max  bound              met     against
step            4 ms    3 ms      2      1 to 3      0.1 (goal 0.0625)  MISSED  docker
one-job         4 s     3 s       2      1 to 3      2.5                yes     docker
output, memory  151 MB                   151 to 151  150 MB             MISSED
"""
MARKDOWN = """\
- kernel: 6.1

| name | ours | baseline | ratio | min to max | bound | met | against |
| --- | --- | --- | --- | --- | --- | --- | --- |
| one-job | 4 s | 3 s | 2 | 1 to 3 | 2.5 | yes | docker |
"""


def test_plain_table() -> None:
    assert plain_table(FIGURES) == PLAIN


def test_the_table_in_a_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write_between_markers(page, markdown({"kernel": "6.1"}, FIGURES[1:2]))
        assert page.read_text() == f"before\n{BEGIN}\n{MARKDOWN}{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_markers_is_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="figures: begin"):
        write_between_markers(page, "new")
    assert page.read_text() == text


def test_the_page_of_the_project_has_the_markers(tmp_path: Path) -> None:
    project = Path(__file__).parent.parent
    page = tmp_path / "page.md"
    page.write_text((project / "docs" / "performance.md").read_text())
    write_between_markers(page, "new\n")
    assert f"{BEGIN}\nnew\n{END}" in page.read_text()


def test_figures_for_programs_hold_each_pair() -> None:
    data = FIGURES[1].to_json()
    assert data["pairs"] == [[2.0, 1.0], [9.0, 3.0], [4.0, 4.0]]
    assert (data["ratio"], data["limit"], data["met"]) == (2.0, 2.5, True)


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        (one_job([":", 'echo "a: b"'], legs=3), 1),
        (long(100), 3),
        (many_jobs(25), 25),
    ],
)
def test_what_is_measured_is_valid(text: str, jobs: int) -> None:
    document = load(text, "pipeline.yaml")
    pipeline = parse(document)
    assert lint(pipeline, document) == []
    assert len(pipeline.jobs) == jobs


def test_a_long_pipeline_is_about_as_long_as_asked_for() -> None:
    assert 9_900 <= len(long(10_000).splitlines()) <= 10_000

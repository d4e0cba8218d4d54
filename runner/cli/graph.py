"""`pipe graph`: which job waits for which, as text, as a Mermaid chart or as a picture."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.permissions import permissions
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner.model import Job, Pipeline
    from runner.source import Document

#: More of a condition than this makes a picture unreadable.
LONGEST_CONDITION = 60


@click.command("graph")
@click.argument("file")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "svg"]),
    default="text",
    show_default=True,
    help="Text for a terminal, a Mermaid flowchart for a document, or an SVG picture.",
)
def command(file: str, form: str) -> None:
    """Show the jobs of FILE in the order in which they can start.

    FILE is a path, or the bare name of a pipeline in pipelines/ or .github/workflows/.
    """
    from runner.parse import parse
    from runner.project import find_pipeline
    from runner.source import read

    path = find_pipeline(file, Path())
    document = read(path, str(path))
    pipeline = parse(document)
    _refuse_broken(pipeline, document)
    shown = {"text": text, "mermaid": mermaid, "svg": svg}[form]
    click.echo(shown(pipeline, document))


def text(pipeline: "Pipeline", document: "Document") -> str:
    """A title, then a line a job; jobs under the same number can run side by side."""
    from runner.lint.needs import edges

    needs = edges(pipeline)
    rows = []
    for number, stage in enumerate(stages(needs), 1):
        marks = [str(number), *[""] * (len(stage) - 1)]
        cells = [_cells(pipeline.jobs[job], needs[job], document) for job in stage]
        rows += [(mark, *row) for mark, row in zip(marks, cells, strict=True)]
    columns = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in columns]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in zip(*columns, strict=True)]
    granted = permissions(document.data)
    head = [_title(pipeline), *([granted] if granted else [])]
    return "\n".join([*head, "", *(f"  {line}" for line in lines)])


def svg(pipeline: "Pipeline", document: "Document") -> str:
    """A picture: a box a job, from left to right, an arrow a need."""
    from runner.cli.drawing import Box, draw
    from runner.lint.needs import edges

    needs = edges(pipeline)
    boxes = {}
    for job in pipeline.jobs.values():
        _, _, *notes = _cells(job, (), document)
        boxes[job.id] = Box(_name(job), tuple(filter(None, notes)), bool(_call(job, document)))
    return draw(_title(pipeline), boxes, stages(needs), needs)


def mermaid(pipeline: "Pipeline", document: "Document") -> str:
    """A Mermaid `flowchart LR`: a box a job, an arrow a need."""
    from runner.lint.needs import edges

    # A job's id may be a word of Mermaid's own (`end`, `style`), so a box gets a number.
    boxes = {job: f"j{number}" for number, job in enumerate(pipeline.jobs, 1)}
    lines = ["flowchart LR"]
    for job in pipeline.jobs.values():
        parts = (_name(job), _condition(job), _call(job, document))
        label = "<br/>".join(map(_escape, filter(None, parts)))
        lines.append(f'    {boxes[job.id]}["{label}"]')
    for id_, needs in edges(pipeline).items():
        lines += [f"    {boxes[need]} --> {boxes[id_]}" for need in needs]
    return "\n".join(lines)


def stages(needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Job ids by the length of the longest chain of `needs` before them; there is no circle."""
    from graphlib import TopologicalSorter

    written = {job: number for number, job in enumerate(needs)}
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    found = []
    while sorter.is_active():
        found.append(sorted(sorter.get_ready(), key=written.__getitem__))
        sorter.done(*found[-1])
    return found


def _refuse_broken(pipeline: "Pipeline", document: "Document") -> None:
    from runner.lint import matrix, needs

    found = [*needs.check(pipeline, document), *matrix.check(pipeline, document)]
    problems = [problem for problem in found if problem.severity == "error"]
    if problems:
        raise InvalidInputError(f"{pipeline.file} cannot be drawn", problems=problems)


def _title(pipeline: "Pipeline") -> str:
    events = f" (on {', '.join(pipeline.on)})" if pipeline.on else ""
    return f"{pipeline.name or pipeline.file}{events}"


def _cells(job: "Job", needs: tuple[str, ...], document: "Document") -> tuple[str, ...]:
    after = f"after {', '.join(needs)}" if needs else ""
    granted = permissions(document.data["jobs"][job.id])
    return _name(job), after, _condition(job), _call(job, document), granted


def _call(job: "Job", document: "Document") -> str:
    called = document.data["jobs"][job.id].get("uses")
    return f"calls {called}" if called else ""


def _name(job: "Job") -> str:
    from runner.lint.matrix import is_static
    from runner.matrix import expand

    matrix = job.strategy if isinstance(job.strategy, str | None) else job.strategy.matrix
    if matrix is None:
        return job.id
    return f"{job.id} ×{len(expand(matrix)) if is_static(matrix) else '?'}"


def _condition(job: "Job") -> str:
    if job.condition is None:
        return ""
    condition = " ".join(str(job.condition).split())
    if condition.startswith("${{") and condition.endswith("}}") and condition.count("${{") == 1:
        condition = condition[3:-2].strip()
    cut = condition[: LONGEST_CONDITION - 1] + "…"
    return f"if {condition if len(condition) <= LONGEST_CONDITION else cut}"


def _escape(label: str) -> str:
    for letter, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        label = label.replace(letter, code)
    return label

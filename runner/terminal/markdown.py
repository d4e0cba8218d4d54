"""Summaries in Markdown, as lines for a terminal."""

from collections.abc import Sequence

from runner.terminal.words import visible_lines

#: Columns where nobody knows how many there are.
WIDTH = 80
#: Of longer texts the lines are shown as they are: to lay them out would take seconds.
LONGEST = 64 * 1024


def rendered(text: str, *, colour: bool, width: int) -> Sequence[str]:
    """The text laid out in `width` columns; nothing in it reaches the terminal but what we draw."""
    lines = visible_lines(text)
    if not any(lines) or len(text) > LONGEST or _has_html(lines):
        return lines
    from io import StringIO

    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(
        file=StringIO(),
        force_terminal=colour,
        color_system="standard" if colour else None,
        # Two of the columns are the indentation that the report adds.
        width=max(width - 2, 20),
        legacy_windows=False,
    )
    with console.capture() as capture:
        # A link shall show where it leads.
        console.print(Markdown("\n".join(lines), hyperlinks=False))
    return [line.rstrip() for line in capture.get().strip("\n").split("\n")]


def _has_html(lines: Sequence[str]) -> bool:
    """Whether there are blocks of HTML, which would be left out."""
    return any(line.lstrip().startswith("<") for line in lines)

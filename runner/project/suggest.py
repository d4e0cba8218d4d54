"""What a misspelt name most likely meant."""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the known word closest to `name`, or "" when none is close."""
    import difflib

    close = difflib.get_close_matches(name, tuple(known), n=1)
    return f"did you mean `{close[0]}`?" if close else ""

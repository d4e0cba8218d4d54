"""Where a worker says what it does beside running jobs."""

from typing import Any, Literal, Protocol

Level = Literal["debug", "info", "warning", "error"]


class Log(Protocol):
    """Takes lines from several threads; `more` is for programs that read them."""

    def say(
        self, level: Level, message: str, *, run: int = 0, job: str = "", **more: Any
    ) -> None: ...

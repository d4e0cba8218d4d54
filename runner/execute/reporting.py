"""What a step says by workflow commands: annotations, groups, masks, outputs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from runner.errors import InvalidInputError
from runner.events import Annotation, Emit, Level
from runner.execute.command_files import check_environment
from runner.execute.commands import COMMANDS, Command
from runner.execute.matchers import Issue, Matchers, level_of, owners_in, place_of
from runner.execute.task import JobTask
from runner.secrets import Masker

MOST_DIGITS = 9
_UNSECURE = "ACTIONS_ALLOW_UNSECURE_COMMANDS"


@dataclass(slots=True)
class CommandState:
    """What commands leave behind for the rest of the job: `stop-commands` lasts until its token."""

    stopped_by: str = ""
    echo: bool = False
    matchers: Matchers = field(default_factory=Matchers)

    def apart(self) -> "CommandState":
        """For a step that runs beside others, whose output is not theirs."""
        return CommandState(echo=self.echo, matchers=self.matchers)


@dataclass(slots=True)
class Reporter:
    """Carries out one step's commands; what it gives back is printed in place of the line."""

    task: JobTask
    number: int
    emit: Emit
    masker: Masker
    state: CommandState
    env: Mapping[str, str]
    #: Reads a file of the box, relative to the workspace; raises InvalidInputError.
    read: Callable[[str], bytes]
    workspace: str
    outputs: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    #: Why the step fails although its process may not have.
    failure: str = ""

    def annotate(
        self, level: Level, message: str, properties: Mapping[str, str] | None = None
    ) -> None:
        """Report a finding; it also shows in the table at the end of the run."""
        known = properties or {}
        self.emit(
            Annotation(
                **self.task.where(),
                step=self.number,
                level=level,
                message=message,
                title=known.get("title", ""),
                file=known.get("file", ""),
                line=_number(known.get("line")),
                end_line=_number(known.get("endline")),
                column=_number(known.get("col")),
                end_column=_number(known.get("endcolumn")),
            )
        )

    def fail(self, message: str) -> None:
        """The step fails for this reason, unless it has failed for an earlier one."""
        self.failure = self.failure or message
        self.annotate("error", message)

    def names(self) -> Collection[str]:
        """The commands that count now: between `stop-commands` and its token only that token."""
        return {self.state.stopped_by} if self.state.stopped_by else COMMANDS

    def handle(self, command: Command) -> bytes | None:
        """Carry out a command; gives what to print instead of it, None for nothing."""
        if self.state.stopped_by:
            self.state.stopped_by = ""
            return None
        echoes = self.state.echo and command.name != "add-mask"
        shown = _HANDLERS[command.name](self, command)
        if shown is None and echoes:
            return command.raw
        return shown

    def report(self, issue: Issue) -> None:
        """Report what a problem matcher found."""
        level = level_of(issue)
        if level:
            self.annotate(level, issue["message"], place_of(issue, self.workspace))

    def add_variables(self, pairs: Mapping[str, str]) -> None:
        """Variables for later steps; those that may not be set are reported and left out."""
        self.variables |= check_environment(pairs, lambda why: self.annotate("error", why))


def _number(text: str | None) -> int:
    """A line or column; nothing that a step writes may be larger than what a store can hold."""
    return int(text) if text and text.isdecimal() and len(text) <= MOST_DIGITS else 0


def _add_mask(reporter: Reporter, command: Command) -> None:
    if command.data.strip():
        reporter.masker.add(command.data)
    else:
        reporter.annotate("warning", "`add-mask` without a value masks nothing")


def _debug(reporter: Reporter, command: Command) -> bytes | None:
    return f"##[debug]{command.data}".encode() if reporter.task.policy.debug else None


def _annotation(level: Level) -> Callable[[Reporter, Command], bytes]:
    def annotate(reporter: Reporter, command: Command) -> bytes:
        reporter.annotate(level, command.data, command.properties)
        return f"##[{level}]{command.data}".encode()

    return annotate


def _group(reporter: Reporter, command: Command) -> bytes:  # noqa: ARG001 - one shape for all
    return f"##[group]{command.data}".encode()


def _end_group(reporter: Reporter, command: Command) -> bytes:  # noqa: ARG001 - one shape for all
    return b"##[endgroup]"


def _echo(reporter: Reporter, command: Command) -> None:
    choice = command.data.strip().lower()
    if choice in ("on", "off"):
        reporter.state.echo = choice == "on"
    else:
        reporter.annotate("warning", f"`::echo::` takes `on` or `off`, not `{command.data}`")


def _stop(reporter: Reporter, command: Command) -> None:
    token = command.data
    if not token or token.lower() == "pause-logging" or token.lower() in _HANDLERS:
        reporter.fail(f"`::stop-commands::` needs a token of its own, not `{token}`")
        return
    reporter.state.stopped_by = token
    if len(token) > 6:
        reporter.masker.add(token)


def _set_output(reporter: Reporter, command: Command) -> None:
    name = command.properties.get("name", "")
    if not name:
        reporter.fail("`::set-output::` needs a name")
        return
    reporter.outputs[name] = command.data
    reporter.annotate(
        "warning", f'`::set-output::` is deprecated: echo "{name}=..." >> "$GITHUB_OUTPUT"'
    )


def _save_state(reporter: Reporter, command: Command) -> None:
    reporter.states[command.properties.get("name", "")] = command.data


def _set_env(reporter: Reporter, command: Command) -> None:
    if _unsecure_commands_allowed(reporter, command):
        reporter.add_variables({command.properties.get("name", ""): command.data})


def _add_path(reporter: Reporter, command: Command) -> None:
    if _unsecure_commands_allowed(reporter, command):
        reporter.path.append(command.data)


def _unsecure_commands_allowed(reporter: Reporter, command: Command) -> bool:
    if reporter.env.get(_UNSECURE, "").lower() == "true":
        return True
    file = "GITHUB_ENV" if command.name == "set-env" else "GITHUB_PATH"
    reporter.fail(
        f"the command `{command.name}` is disabled, because untrusted output could use it: "
        f'write to the file "${file}" instead'
    )
    return False


def _add_matcher(reporter: Reporter, command: Command) -> None:
    try:
        reporter.state.matchers.add(reporter.read(command.data), command.data)
    except InvalidInputError as error:
        reporter.annotate("warning", f"`add-matcher`: {error.message}")


def _remove_matcher(reporter: Reporter, command: Command) -> None:
    owner = command.properties.get("owner")
    try:
        owners = [owner] if owner else owners_in(reporter.read(command.data), command.data)
    except InvalidInputError as error:
        reporter.annotate("warning", f"`remove-matcher`: {error.message}")
        return
    for each in owners:
        reporter.state.matchers.remove(each)


_Handler = Callable[[Reporter, Command], bytes | None]

_HANDLERS: Mapping[str, _Handler] = {
    "add-mask": _add_mask,
    "debug": _debug,
    "notice": _annotation("notice"),
    "warning": _annotation("warning"),
    "error": _annotation("error"),
    "group": _group,
    "endgroup": _end_group,
    "echo": _echo,
    "stop-commands": _stop,
    "set-output": _set_output,
    "save-state": _save_state,
    "set-env": _set_env,
    "add-path": _add_path,
    "add-matcher": _add_matcher,
    "remove-matcher": _remove_matcher,
}

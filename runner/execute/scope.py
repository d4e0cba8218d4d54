"""What the expressions of one step see, and what they come to."""

from collections.abc import Mapping
from typing import Any

from runner.engines.hash_files import hash_files
from runner.events import Result
from runner.execute.around import Surroundings
from runner.execute.contexts import command_files, status_functions, step_contexts
from runner.execute.evaluation import seconds, text, text_map
from runner.execute.frame import Frame
from runner.expressions import (
    CaseSensitive,
    Functions,
    parse_condition,
    resolve,
    to_string,
    truthy,
)
from runner.model import Step


class Scope:
    """Every method raises InvalidInputError when an expression cannot be evaluated."""

    def __init__(self, around: Surroundings, step: Step, frame: Frame) -> None:
        self._around = around
        self._step = step
        self._frame = frame
        self._functions: Functions = {"hashfiles": self._hash_files}
        contexts = step_contexts(around.task, around.box.facts, around.state, frame)
        contexts["github"]["action"] = step.id
        own = text_map(step.env, contexts, self._functions)
        contexts["env"] = CaseSensitive({**contexts["env"], **own})
        #: the step's own variables
        self.own_env = own
        self.contexts: Mapping[str, Any] = contexts

    def tell_whose(self, repository: str, ref: str) -> None:
        """From now on `github` names the action that the step uses."""
        self.contexts["github"].update(action_repository=repository, action_ref=ref)

    def tell_where(self, folder: str) -> None:
        """From now on `github` knows the command files of the process that is to run."""
        self.contexts["github"].update(command_files(folder))

    def value(self, written: Any) -> Any:
        """The value, of whatever type."""
        return resolve(written, self.contexts, self._functions)

    def value_with(self, written: Any, contexts: Mapping[str, Any]) -> Any:
        """As `value`, where these contexts are known besides."""
        return resolve(written, {**self.contexts, **contexts}, self._functions)

    def text(self, written: Any) -> str:
        """The value as text."""
        return text(written, self.contexts, self._functions)

    def seconds(self, minutes: Any) -> float | None:
        """A time limit; None when there is none."""
        return seconds(minutes, self.contexts, self._functions)

    def holds(self, status: Result, *, cancelled: bool) -> bool:
        """Whether the step's condition lets it run; `status` is that of the steps before it, and
        `cancelled` says how it is with the job."""
        functions = {**self._functions, **status_functions(status, cancelled=cancelled)}
        return truthy(parse_condition(self._step.condition).evaluate(self.contexts, functions))

    def _hash_files(self, *patterns: Any) -> str:
        box = self._around.box
        return hash_files(box, box.facts.workspace, [to_string(each) for each in patterns])

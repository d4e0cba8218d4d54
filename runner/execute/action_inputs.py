"""What an action is given: the step's `with`, and the defaults of the action itself."""

import re
from collections.abc import Mapping
from typing import Any

from runner.actions.definition import Action
from runner.errors import did_you_mean
from runner.execute.trying import Try
from runner.expressions import to_string

#: Inputs that every action may be given.
_OF_DOCKER = ("entrypoint", "args")


def action_inputs(trying: Try, action: Action) -> dict[str, str]:
    """The values of all inputs by name as declared; what is not declared is there as well."""
    declared = {name.lower(): each for name, each in action.inputs.items()}
    found: dict[str, Any] = trying.scope.value(trying.step.with_) or {}
    given = {name.lower(): to_string(value) for name, value in found.items()}
    defaults = {
        each.name: trying.scope.text(each.default)
        for key, each in declared.items()
        if key not in given and each.default is not None
    }
    values = {declared[key].name if key in declared else key: value for key, value in given.items()}
    return {**dict.fromkeys(action.inputs, ""), **defaults, **values}


def complain_of_inputs(trying: Try, action: Action) -> None:
    """Warn of inputs that the action does not have, or not for long."""
    declared = {name.lower(): each for name, each in action.inputs.items()}
    given = {name.lower() for name in trying.step.with_}
    unknown = [name for name in sorted(given) if name not in declared and name not in _OF_DOCKER]
    for name in unknown:
        hint = did_you_mean(name, declared) or f"its inputs: {', '.join(declared) or 'none'}"
        trying.reporter.annotate("warning", f"the action has no input `{name}` ({hint})")
    for name in sorted(given & declared.keys()):
        if declared[name].deprecated:
            why = declared[name].deprecated
            trying.reporter.annotate("warning", f"the input `{name}` is deprecated: {why}")


def as_variables(inputs: Mapping[str, str]) -> dict[str, str]:
    """Inputs as JavaScript and Docker actions get them: `INPUT_` and the name in capitals."""
    return {f"INPUT_{re.sub(' ', '_', name).upper()}": value for name, value in inputs.items()}

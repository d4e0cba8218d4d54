"""Every code that a finding can have: how bad it is, what it means, and how to set it right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rule:
    """What stands behind a code; a `strict` one is advice, and only given when it is asked for."""

    severity: Literal["error", "warning"]
    means: str
    advice: str
    strict: bool = False


def _error(means: str, advice: str) -> Rule:
    return Rule("error", means, advice)


def _warning(means: str, advice: str) -> Rule:
    return Rule("warning", means, advice)


def _advice(means: str, advice: str) -> Rule:
    return Rule("warning", means, advice, strict=True)


#: What the checks in this room find.
RULES: Mapping[str, Rule] = {
    "always-true": _warning(
        "a condition that holds whatever happens",
        "put all of it into one `${{ }}`; use `&&` where every part has to hold",
    ),
    "constant-condition": _advice(
        "a job or step that `if: true` or `if: false` switches by hand",
        "take the condition out, or the job or step that never runs",
    ),
    "deprecated-command": _warning(
        "a script prints a command that GitHub has given up",
        "append to the file that `$GITHUB_OUTPUT`, `$GITHUB_STATE`, `$GITHUB_ENV` or "
        "`$GITHUB_PATH` names",
    ),
    "duplicate-need": _warning("a job needs the same job twice", "write it once"),
    "duplicate-value": _warning(
        "a list of a matrix has the same value twice, so the same leg runs twice", "write it once"
    ),
    "expression": _error(
        "an expression cannot be read", "correct it; text stands in single quotes"
    ),
    "impossible-value": _warning(
        "a condition compares with what cannot be: a misspelt result, an event that does not "
        "start this pipeline, a `github.ref` without `refs/`",
        "write one of the values that the finding names",
    ),
    "input-default": _error(
        "the default of an input does not fit its type", "write a value of that type"
    ),
    "input-options": _error("an input that is no choice has options", "write `type: choice`"),
    "input-type": _error(
        "a call passes an input of another type",
        "pass a value of the declared type; one expression alone keeps its type",
    ),
    "invalid-cron": _error("a schedule that is no cron expression", "write five fields"),
    "invalid-matrix": _error("a matrix that makes no jobs", "correct it as the finding says"),
    "invalid-shell": _error(
        "a shell that nothing can start", "name a known one, or a command with `{0}`"
    ),
    "missing-action-input": _warning(
        "an action needs an input that the step does not give", "give it under `with`"
    ),
    "missing-input": _error(
        "a call lacks an input that the called pipeline needs", "pass it under `with`"
    ),
    "missing-on": _error("no event starts the pipeline", "write `on`"),
    "missing-permissions": _advice(
        "GitHub's token has whatever the repository grants by default",
        "write `permissions`, such as `contents: read`, at the top or in every job",
    ),
    "missing-secret": _error(
        "a call lacks a secret that the called pipeline needs",
        "pass it under `secrets`, or all of them: `secrets: inherit`",
    ),
    "needs-cycle": _error("jobs wait for each other in a circle", "take one `needs` away"),
    "never-matches": _warning(
        "a filter of an event that nothing passes", "put `'**'` first, or use the `-ignore` form"
    ),
    "never-runs": _warning(
        "a condition that nothing satisfies",
        "use `||` where one of several may hold; ask for failures behind `always() &&`",
    ),
    "no-environment": _error(
        "a step deploys from a job that belongs to no environment",
        "write `environment` at the job",
    ),
    "no-start": _error("every job needs another one", "take `needs` from the first one"),
    "not-available": _error(
        "a context or function that does not exist at this place", "use one that the finding names"
    ),
    "not-callable": _error(
        "a call of a pipeline that no other may call", "add `workflow_call` to the `on` of that"
    ),
    "outdated-action": _warning(
        "a version of an action that GitHub refuses to run", "use the newest one"
    ),
    "printed-secret": _warning(
        "a script prints a secret; masking does not know what a script makes of it",
        "take it out, or pipe it into the program that needs it",
    ),
    "queue-and-cancel": _error(
        "a concurrency group is to keep all that wait, and to cancel for the next",
        "leave out one of the two",
    ),
    "script-injection": _warning(
        "text that a stranger chose becomes part of a script",
        "pass it through `env`, and use the variable in quotes",
    ),
    "secret-in-script": _warning(
        "a secret becomes part of a script, and so of a command line that others can list",
        "pass it through `env`, and use the variable",
    ),
    "self-need": _error("a job needs itself", "take it away"),
    "undeclared-input": _error(
        "a call passes an input that the called pipeline does not have",
        "declare it there under `on.workflow_call.inputs`, or take it away",
    ),
    "undeclared-secret": _error(
        "a call passes a secret that the called pipeline does not have",
        "declare it there under `on.workflow_call.secrets`, or take it away",
    ),
    "unknown-action-input": _warning(
        "an action is given an input that it does not have, and ignores it", "correct its name"
    ),
    "unknown-background": _error(
        "`wait` or `cancel` names a step that does not run in the background above it",
        "give that step an `id` and `background: true`",
    ),
    "unknown-check": _error(
        "a check that no plugin brings", "install the plugin, or correct the name"
    ),
    "unknown-environment": _warning(
        "a job names an environment that `pipe.yaml`, which has others, does not know",
        "write one that is known, or add it",
    ),
    "unknown-input": _error("an input that is not declared", "declare it, or correct its name"),
    "unknown-job": _error("a job that does not exist", "correct its name"),
    "unknown-matrix-key": _error("a key that the matrix does not have", "correct its name"),
    "unknown-need": _error("a job that is not among the `needs`", "add it there"),
    "unknown-notifier": _error(
        "a notifier that no plugin brings", "install the plugin, or correct the name"
    ),
    "unknown-output": _error("an output that the job does not declare", "declare it there"),
    "unknown-property": _warning("a context has no such property", "correct its name"),
    "unknown-snapshot": _error(
        "a snapshot that no plugin brings", "install the plugin, or correct the name"
    ),
    "unknown-step": _error(
        "a bare name in `uses` that no plugin brings", "install the plugin, or correct the name"
    ),
    "unknown-step-id": _error(
        "no step above has this id", "give the step an `id`, or correct the name"
    ),
    "unknown-switch": _error(
        "a switch that no plugin brings", "install the plugin, or correct the name"
    ),
    "unknown-target": _error(
        "a target that no plugin brings", "install the plugin, or correct the name"
    ),
    "unknown-trigger": _error(
        "`rollback.on` names what neither happens nor is a check of the step", "correct its name"
    ),
    "unpinned-action": _warning(
        "an action is taken from a branch: whoever can write there decides what runs",
        "name a version or, safer, a full commit",
    ),
    "unpinned-version": _advice(
        "an action is taken from a tag, which can be moved", "name the full commit of that version"
    ),
    "untrusted-checkout": _warning(
        "code of a stranger's pull request is checked out where secrets are at hand",
        "use the event `pull_request`, or run nothing of what was checked out",
    ),
    "untrusted-environment": _warning(
        "text that a stranger chose is written to `$GITHUB_ENV` or `$GITHUB_PATH`, and sets "
        "variables such as `LD_PRELOAD` for all later steps",
        "write it to `$GITHUB_OUTPUT`, or reduce it to harmless letters first",
    ),
    "unused-input": _warning("nothing uses this input", "use it, or take it away"),
    "write-all": _warning(
        "GitHub's token may do everything", "list what is needed, such as `contents: read`"
    ),
    "written-credentials": _warning(
        "a password or a key is written in the file", "make it a secret, and give it a new value"
    ),
}
#: What is found before, in the text and by the schema; such a file is no pipeline.
FILE_RULES: Mapping[str, Rule] = {
    "alias-bomb": _error("aliases make the file immensely large", "repeat less"),
    "bad-character": _error("a character that YAML or text cannot hold", "take it out"),
    "bad-duration": _error("a duration that is none", "write it as `90s`, `5m` or `1h30m`"),
    "bad-encoding": _error("a file that is not UTF-8", "save it as UTF-8"),
    "bad-id": _error(
        "an id with other characters than letters, digits, `_` and `-`", "choose another"
    ),
    "bad-tag": _error("a value that is not of the type that its tag says", "take the tag away"),
    "bad-value": _error("a value that is not possible here", "use one that the finding names"),
    "call-circle": _error(
        "pipelines that call each other in a circle", "take one of the calls away"
    ),
    "calls-too-deep": _error(
        "calls within calls within calls: more than ten levels", "call it from further up"
    ),
    "complex-key": _error("a key that is a list or a mapping", "write it as text"),
    "duplicate-anchor": _error("an anchor that exists already", "give it another name"),
    "duplicate-id": _error("two steps of a job have one id", "give one of them another id"),
    "duplicate-key": _error("a key that stands twice in one mapping", "take one of them away"),
    "empty": _error("a key without a value", "give it one, or take it away"),
    "empty-file": _error("a file with nothing in it", "write a pipeline"),
    "foreign-tag": _error("a tag that is not part of YAML", "take it away"),
    "merge-key": _error("`<<`, which the language does not have", "repeat the keys"),
    "missing-key": _error("a key that has to be there is not", "add it"),
    "not-together": _error("two keys that exclude each other", "take one of them away"),
    "out-of-range": _error("a number that is too small or too large", "change it"),
    "recursive-alias": _error("an alias of what is around it", "repeat the value"),
    "run-and-uses": _error("a step has both `run` and `uses`", "make it two steps"),
    "several-documents": _error("`---` begins a second document", "move it to its own file"),
    "tab": _error("a tab at the start of a line", "indent with spaces"),
    "too-deep": _error("values within values within values", "nest less"),
    "too-large": _error("a file that is too large", "split it"),
    "too-many-calls": _error(
        "a run that consists of more than 50 pipelines", "put some of them together"
    ),
    "unclosed": _error("a quote or a bracket without its end", "close it"),
    "unknown-alias": _error("an alias whose anchor does not exist", "correct its name"),
    "unknown-key": _error("a key that the language does not have here", "correct its name"),
    "unknown-pipeline": _error(
        "a call of a file that cannot be had",
        "correct its path; it starts at the top of the project",
    ),
    "unreadable-file": _error("a file that cannot be read", "check its path and its permissions"),
    "wrong-type": _error("a value of another kind than is needed", "write it as the finding says"),
    "yaml-syntax": _error("a file that is no YAML", "correct it where the finding points"),
}

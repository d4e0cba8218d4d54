"""What `lint` says about whole files (`cases/lint`), and how it looks when it is printed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runner.actions.table import NATIVE_ACTIONS
from runner.cli.called import Reader
from runner.cli.problems import render
from runner.errors import Problem, did_you_mean
from runner.expressions import CONTEXTS
from runner.lint import (
    FILE_RULES,
    MOST_FINDINGS,
    RULES,
    ActionInputs,
    Brought,
    lint,
    review,
    review_all,
)
from runner.lint.findings import by_position
from runner.lint.known_actions import KNOWN
from runner.parse import parse
from runner.parse.gather import gather
from runner.source import load, read

ROOT = Path(__file__).parents[1]
CASES = sorted((Path(__file__).parent / "cases" / "lint").glob("*.yaml"))


def _settings(**types: str) -> dict[str, Any]:
    properties = {name: {"type": each} for name, each in types.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


STEPS: dict[str, dict[str, Any]] = {
    "template": {
        "type": "object",
        "required": ["source"],
        "additionalProperties": False,
        "properties": {
            "source": {"type": "string"},
            "target": {"type": "string"},
            "mode": {"type": "string"},
        },
    }
}
BROUGHT = Brought(
    STEPS,
    targets={"docker": _settings(image="string")},
    switches={"proxy": _settings(listen="integer")},
    checks={"ping": _settings(path="string")},
    snapshots={"files": _settings(machine="string")},
    notifiers={"chat": _settings(url="string")},
)


PIPELINE = """\
on: push
{top}
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{{run: make}}]
  test:
    needs: build
    runs-on: ubuntu-latest
    {job}
    steps:
      - id: first
        run: make
      - {step}
        {more}
"""


def problems(text: str) -> list[Problem]:
    document = load(text, "p.yaml")
    return lint(parse(document), document, BROUGHT)


def codes(top: str = "", job: str = "", step: str = "name: x", more: str = "run: make") -> set[str]:
    """The codes found in a small pipeline with these lines in it."""
    return {found.code for found in problems(PIPELINE.format(**locals()))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path) -> None:
    document = read(case, case.name)
    gathered = gather(document, case.name, Reader(case.parent, None))
    documents = {"": document, **gathered.documents}
    reports = review_all(
        documents,
        BROUGHT,
        strict=case.stem.startswith("strict"),
        environments=["production", "staging"] if case.stem == "environments" else (),
    ).values()
    found = [*gathered.problems, *(problem for report in reports for problem in report.problems)]
    texts = {each.file: each.text for each in documents.values()}
    shown = render(sorted(found, key=by_position), texts, color=False)
    assert shown == case.with_suffix(".out").read_text(encoding="utf-8").removesuffix("\n")


def test_every_code_has_a_case() -> None:
    shown = "".join(case.with_suffix(".out").read_text(encoding="utf-8") for case in CASES)
    for code, rule in RULES.items():
        assert f"{rule.severity}[{code}]" in shown


AT_JOB = {"github", "inputs", "vars", "needs", "strategy", "matrix"}
AT_STEP = AT_JOB | {"secrets", "env", "job", "runner", "steps"}


@pytest.mark.parametrize(
    ("place", "line", "contexts"),
    [
        ("top", "run-name: {}", {"github", "inputs", "vars"}),
        ("top", "concurrency: {}", {"github", "inputs", "vars"}),
        ("top", "env: {{A: '{}'}}", {"github", "inputs", "vars", "secrets"}),
        ("top", "name: {}", set()),
        ("job", "if: {}", {"github", "inputs", "vars", "needs"}),
        ("job", "strategy: {{max-parallel: '{}'}}", {"github", "inputs", "vars", "needs"}),
        ("job", "strategy: {}", {"github", "inputs", "vars", "needs"}),
        ("job", "name: {}", AT_JOB),
        ("job", "timeout-minutes: {}", AT_JOB),
        ("job", "concurrency: {{group: '{}'}}", AT_JOB),
        ("job", "environment: {}", AT_JOB),
        ("job", "environment: {{name: x, url: '{}'}}", AT_STEP - {"secrets"}),
        ("job", "env: {{A: '{}'}}", AT_JOB | {"secrets"}),
        ("job", "defaults: {{run: {{working-directory: '{}'}}}}", AT_JOB | {"env"}),
        ("job", "container: {}", AT_JOB),
        ("job", "container: {{image: x, env: {{A: '{}'}}}}", AT_STEP - {"steps"}),
        ("job", "services: {{db: {{image: '{}'}}}}", AT_JOB),
        ("job", "outputs: {{a: '{}'}}", AT_STEP),
        ("step", "if: {}", AT_STEP - {"secrets"}),
        ("step", "env: {{A: '{}'}}", AT_STEP),
        ("step", "working-directory: {}", AT_STEP),
        ("step", "image: {}", AT_STEP),
        ("step", "shell: {}", set()),
    ],
)
def test_contexts_are_available_where_github_has_them(
    place: str, line: str, contexts: set[str]
) -> None:
    def is_available(context: str) -> bool:
        return "not-available" not in codes(**{place: line.format(f"${{{{ {context} }}}}")})

    assert {context for context in CONTEXTS if is_available(context)} == contexts


@pytest.mark.parametrize(
    ("call", "place", "line", "expected"),
    [
        ("always()", "job", "if: {}", set()),
        ("success('build')", "job", "if: {}", set()),
        ("hashFiles('x')", "job", "if: {}", {"not-available"}),
        ("failure()", "step", "if: {}", set()),
        ("hashFiles('x')", "step", "if: {}", set()),
        ("hashFiles('x')", "step", "env: {{A: '{}'}}", set()),
        ("hashFiles('x')", "job", "outputs: {{a: '{}'}}", {"not-available"}),
        ("cancelled()", "step", "env: {{A: '{}'}}", {"not-available"}),
        ("toJSON(1, 2)", "step", "env: {{A: '{}'}}", {"expression"}),
        ("false && nope()", "step", "if: {}", {"expression"}),
    ],
)
def test_functions_are_available_where_github_has_them(
    call: str, place: str, line: str, expected: set[str]
) -> None:
    written = f"${{{{ {call} }}}}"
    if "'" in line:
        written = written.replace("'", "''")
    assert codes(**{place: line.format(written)}) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("needs.build.result == 'failure'", {"never-runs"}),
        ("'cancelled' == needs.build.result", {"never-runs"}),
        ("github.actor == 'x' && needs['build'].result == 'skipped'", {"never-runs"}),
        ("contains(needs.*.result, 'failure')", {"never-runs"}),
        ("contains(needs.*.result, 'failure') || needs.build.result == 'skipped'", {"never-runs"}),
        ("needs.build.result != 'SUCCESS'", {"never-runs"}),
        ("needs.build.result == 'failure' || github.actor == 'x'", set()),
        ("needs.build.result == 'success'", set()),
        ("needs.build.result != 'failure'", set()),
        ("!contains(needs.*.result, 'failure')", set()),
        ("always() && needs.build.result == 'failure'", set()),
        ("(github.actor == 'x' && failure()) || needs.build.result == 'failure'", set()),
        ("${{ github.actor == 'x' }}", set()),
        ("${{ github.ref }} == 'x'", {"always-true"}),
        ("${{ github.actor == 'x' }} && ${{ github.sha == 'x' }}", {"always-true"}),
        ("x ${{ true }}", {"always-true"}),
    ],
)
def test_conditions(condition: str, expected: set[str]) -> None:
    assert codes(job=f'if: "{condition}"') == expected


@pytest.mark.parametrize(
    ("expression", "is_risky"),
    [
        ("github.event.issue.title", True),
        ("GitHub.Event.Issue.Title", True),
        ("github['event']['issue']['title']", True),
        ("github.event.pull_request.head.ref", True),
        ("github.head_ref", True),
        ("github.event.commits[0].message", True),
        ("github.event.commits.*.author.name", True),
        ("join(github.event.commits.*.message)", True),
        ("github.ref || github.head_ref", True),
        ("toJSON(github)", True),
        ("github.event.issue.number", False),
        ("github.event.issue.title == 'x'", False),
        ("startsWith(github.head_ref, 'x')", False),
        ("!github.head_ref", False),
        ("toJSON(github.event.issue.number)", False),
        ("github.event", False),
        ("inputs.title", False),
    ],
)
def test_script_injection(expression: str, is_risky: bool) -> None:
    found = codes(step=f'run: "echo ${{{{ {expression} }}}}"', more="shell: bash")
    assert found == ({"script-injection"} if is_risky else set())
    assert codes(step=f'env: {{A: "${{{{ {expression} }}}}"}}') == set()


@pytest.mark.parametrize(
    ("shell", "is_known"),
    [
        ("bash", True),
        ("pwsh", True),
        ("perl {0}", True),
        ("bash -x {0}", True),
        ("bash -x", False),
        ("BASH", False),
        ("zsh", False),
    ],
)
def test_shells(shell: str, is_known: bool) -> None:
    found = set() if is_known else {"invalid-shell"}
    assert codes(step=f"shell: {shell}") == found
    assert codes(job=f"defaults: {{run: {{shell: '{shell}'}}}}") == found
    assert codes(top=f"defaults: {{run: {{shell: '{shell}'}}}}") == found


@pytest.mark.parametrize(
    ("matrix", "name", "expected"),
    [
        ("{os: [a]}", "os", set()),
        ("{os: [a]}", "OS", set()),
        ("{os: [a]}", "so", {"unknown-matrix-key"}),
        ("{include: [{os: a}, {arch: b}]}", "arch", set()),
        ("{os: [a], include: '${{ fromJSON(vars.MORE) }}'}", "arch", set()),
        ("{os: '${{ fromJSON(vars.SYSTEMS) }}'}", "arch", {"unknown-matrix-key"}),
        ("'${{ fromJSON(vars.MATRIX) }}'", "arch", set()),
        ("{os: [{name: a}]}", "os.anything", set()),
    ],
)
def test_keys_of_a_matrix(matrix: str, name: str, expected: set[str]) -> None:
    strategy = f"strategy: {{matrix: {matrix}}}"
    assert codes(job=strategy, step=f"name: ${{{{ matrix.{name} }}}}") == expected


def test_only_the_run_knows_the_keys_of_a_strategy_from_an_expression() -> None:
    strategy = "strategy: ${{ fromJSON(vars.STRATEGY) }}"
    assert codes(job=strategy, step="name: ${{ matrix.anything }}") == set()


def test_a_called_pipeline_declares_its_outputs_itself() -> None:
    found = problems(
        "on: push\njobs:\n"
        "  call: {uses: ./.github/workflows/other.yml}\n"
        "  after:\n    needs: call\n    runs-on: x\n"
        "    steps: [{run: 'echo ${{ needs.call.outputs.anything }}'}]\n"
    )
    assert found == []


def test_a_step_sees_those_of_a_group_above_it() -> None:
    steps = "parallel: [{id: inner, run: make}]"
    assert codes(step=steps, more="name: x\n      - run: echo ${{ steps.inner.outcome }}") == set()


def test_many_names_give_no_hint_rather_than_a_long_wait() -> None:
    names = [f"name-{number}" for number in range(1000)]
    assert did_you_mean("nmae-1", names[:10]) == "did you mean `name-1`?"
    assert did_you_mean("nmae-1", names) == ""


def test_a_check_stops_when_it_has_found_more_than_anybody_reads() -> None:
    needs = ", ".join(f"no-job-{number}" for number in range(1000))
    found = problems(
        f"on: push\njobs: {{a: {{runs-on: x, needs: [{needs}], steps: [{{run: x}}]}}}}"
    )
    assert [problem.code for problem in found] == ["unknown-job"] * MOST_FINDINGS


def test_what_is_wrong_from_top_to_bottom_is_not_checked_further() -> None:
    keys = "".join(f"  job{number}: {{key{number}: x, needs: nobody}}\n" for number in range(150))
    found = review(load(f"on: push\njobs:\n{keys}", "p.yaml")).problems
    assert {problem.code for problem in found} == {"unknown-key", "missing-key"}
    assert len(found) == 200


def test_of_two_steps_with_one_id_the_first_counts() -> None:
    steps = ["{id: a, run: x}", "{run: 'echo ${{ steps.a.outcome }}'}", "{id: a, run: x}"]
    text = f"on: push\njobs: {{a: {{runs-on: x, steps: [{', '.join(steps)}]}}}}"
    assert [problem.code for problem in review(load(text, "p.yaml")).problems] == ["duplicate-id"]


def test_what_an_alias_repeats_is_told_once() -> None:
    job = "{runs-on: x, steps: [{run: make, shell: bsh, timeout-minutes: 0}]}"
    found = review(load(f"on: push\njobs: {{a: &job {job}, b: *job}}", "p.yaml")).problems
    assert [problem.code for problem in found] == ["invalid-shell", "out-of-range"]


def test_errors_in_one_text_are_all_told_up_to_a_limit() -> None:
    wrong = [f"${{{{ nope{number}() }}}}" for number in range(100)]
    found = problems(PIPELINE.format(top="", job="", step=f"run: {' '.join(wrong[:3])}", more=""))
    assert [problem.message for problem in found] == [
        f"unknown function `nope{i}`" for i in range(3)
    ]
    assert codes(step=f"name: {' '.join(wrong)}") == {"expression"}


def test_the_page_of_codes_says_what_the_rules_say() -> None:
    page = (ROOT / "docs" / "lint.md").read_text("utf-8")
    page = page.replace("\\|", "\0")
    found = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    rows = [tuple(cell.replace("\0", "|") for cell in row) for row in found]
    assert rows == [
        (code, "strict" if rule.strict else rule.severity, rule.means, rule.advice)
        for rules in (RULES, FILE_RULES)
        for code, rule in sorted(rules.items())
    ]


def test_every_code_of_a_refused_file_has_a_rule() -> None:
    written = "".join(
        path.read_text("utf-8")
        for room in ("parse", "source")
        for path in (ROOT / "runner" / room).glob("*.py")
    )
    codes = set(re.findall(r"(?:Problem|_report)\(\s*\"([\w-]+)\"", written))
    assert codes <= FILE_RULES.keys()
    unused = {code for code in FILE_RULES if f'"{code}"' not in written}
    assert (len(codes) > 20, unused) == (True, set())


ORDINARY = [case for case in CASES if case.stem.startswith("ordinary-")]


@pytest.mark.parametrize("case", ORDINARY, ids=lambda case: case.stem)
def test_ordinary_pipelines_have_no_findings(case: Path) -> None:
    assert review(read(case, case.name), BROUGHT).problems == ()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("github.event_name == 'push' && github.event_name == 'PUSH'", set()),
        ("github.actor == 'a' && github.actor == 'b'", {"never-runs"}),
        ("github.actor == 'a' && 'b' == github.actor", {"never-runs"}),
        ("github.actor == 'a' && github['actor'] != 'A'", {"never-runs"}),
        ("(github.actor == 'a' || github.actor == 'b') && github.actor == 'c'", {"never-runs"}),
        ("(github.actor == 'a' || github.job == 'b') && github.actor == 'c'", set()),
        ("always() && github.actor == 'a' && !(github.actor == 'a')", {"never-runs"}),
        ("github.actor != 'a' || github.actor != 'b'", {"always-true"}),
        ("github.actor != 'a' && github.actor != 'b'", set()),
        ("github.actor == 'a' || github.actor != 'a'", {"always-true"}),
        ("github.actor == '1' && github.actor == '2'", set()),
        ("github.actor == '' && github.actor == 'a'", set()),
        ("github.run_number == 1 || github.run_number != 1", set()),
        ("github[github.actor] == 'a' && github[github.actor] == 'b'", set()),
        ("'a' == 'b'", {"never-runs"}),
        ("true || github.actor", {"always-true"}),
        ("github.actor && false", {"never-runs"}),
        ("fromJSON('{')", set()),
        ("always()", set()),
        ("!cancelled()", set()),
        ("github.event_name == 'push'", set()),
        ("github.event_name == 'release'", {"impossible-value"}),
        ("github.event_name != 'release'", set()),
        ("github.ref != 'main'", {"impossible-value"}),
        ("github.ref_name != 'main'", set()),
        ("always() && needs.build.result == 'failed'", {"impossible-value"}),
        ("always() && needs.build.result == 'Failure'", set()),
        ("always() && needs.build.result == ''", set()),
        ("true", set()),
    ],
)
def test_conditions_that_are_decided(condition: str, expected: set[str]) -> None:
    assert codes(job=f'if: "{condition}"') == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("echo $TOKEN", {"printed-secret"}),
        ("echo a; printf %s ${TOKEN}", {"printed-secret"}),
        ("make && echo $TOKEN && make", {"printed-secret"}),
        ("echo $TOKENS ${#TOKEN} ${TOKEN:-none}", set()),
        ("echo $TOKEN | tool", set()),
        ("echo $TOKEN > file", set()),
        ("echo >> file $TOKEN", set()),
        ("X=$(echo $TOKEN)", set()),
        ("tool $TOKEN", set()),
        ("# echo $TOKEN", set()),
        ("echo '$TOKEN'", set()),
        ("echo ::add-mask::$TOKEN", set()),
        ("echo " + "x" * 5000 + " $TOKEN", set()),
    ],
)
def test_printed_secrets(line: str, expected: set[str]) -> None:
    step = f"{{env: {{TOKEN: '${{{{ secrets.T }}}}'}}, run: {json.dumps(line)}}}"
    assert codes(step=step, more="") == expected


def test_an_action_that_the_caller_knows_has_its_inputs_checked() -> None:
    document = load(
        PIPELINE.format(top="", job="", step="uses: ./mine", more="with: {Nmae: x, arch: y}"),
        "p.yaml",
    )
    known = {"./mine": ActionInputs(frozenset({"name", "Arch"}), frozenset({"name"}))}
    found = lint(parse(document), document, actions=known.get)
    assert [(problem.code, problem.hint) for problem in found] == [
        ("missing-action-input", "give it under `with`"),
        ("unknown-action-input", "did you mean `name`?"),
    ]


@pytest.mark.parametrize(
    ("uses", "code"),
    [
        ("owner/action@main", "unpinned-action"),
        ("owner/action@v1", "unpinned-version"),
        ("owner/action@" + "0" * 40, ""),
        ("actions/checkout@main", "unpinned-version"),
    ],
)
def test_versions_of_actions(uses: str, code: str) -> None:
    document = load(PIPELINE.format(top="", job="", step=f"uses: {uses}", more=""), "p.yaml")
    found = {problem.code for problem in lint(parse(document), document, strict=True)}
    assert found - {"missing-permissions"} == ({code} if code else set())
    assert codes(step=f"uses: {uses}", more="") == {code} & {"unpinned-action"}


@pytest.mark.parametrize(
    ("top", "job", "is_missing"),
    [
        ("", "", True),
        ("permissions: {contents: read}", "", False),
        ("permissions: {}", "", False),
        ("", "permissions: {contents: read}", True),
    ],
)
def test_permissions_that_nobody_wrote(top: str, job: str, is_missing: bool) -> None:
    document = load(PIPELINE.format(top=top, job=job, step="name: x", more="run: x"), "p.yaml")
    found = {problem.code for problem in lint(parse(document), document, strict=True)}
    assert found == ({"missing-permissions"} if is_missing else set())


def test_what_is_known_of_built_in_actions_is_what_they_take() -> None:
    declared = {
        name: ActionInputs(
            frozenset(action.inputs),
            frozenset(input_ for input_, each in action.inputs.items() if each.required),
        )
        for name, action in NATIVE_ACTIONS.items()
    }
    assert declared == KNOWN

"""What `lint` says about whole files (`cases/lint`), and how it looks when it is printed."""

from pathlib import Path
from typing import Any

import pytest

from runner.cli.called import NoSources, Reader
from runner.cli.problems import render
from runner.errors import Problem, did_you_mean
from runner.expressions import CONTEXTS
from runner.lint import MOST_FINDINGS, lint, review, review_all
from runner.lint.findings import SEVERITIES, by_position
from runner.parse import parse
from runner.parse.gather import gather
from runner.source import load, read

CASES = sorted((Path(__file__).parent / "cases" / "lint").glob("*.yaml"))
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
    return lint(parse(document), document, STEPS)


def codes(top: str = "", job: str = "", step: str = "name: x", more: str = "run: make") -> set[str]:
    """The codes found in a small pipeline with these lines in it."""
    return {found.code for found in problems(PIPELINE.format(**locals()))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path) -> None:
    document = read(case, case.name)
    gathered = gather(document, case.name, Reader(case.parent, NoSources()))
    documents = {"": document, **gathered.documents}
    reports = review_all(documents, STEPS).values()
    found = [*gathered.problems, *(problem for report in reports for problem in report.problems)]
    texts = {each.file: each.text for each in documents.values()}
    shown = render(sorted(found, key=by_position), texts, color=False)
    shown = shown.replace(str(case.parent), "PROJECT")
    assert shown == case.with_suffix(".out").read_text(encoding="utf-8").removesuffix("\n")


def test_every_code_has_a_case() -> None:
    shown = "".join(case.with_suffix(".out").read_text(encoding="utf-8") for case in CASES)
    for code, severity in SEVERITIES.items():
        assert f"{severity}[{code}]" in shown


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
        ("github.ref == 'x' && needs['build'].result == 'skipped'", {"never-runs"}),
        ("contains(needs.*.result, 'failure')", {"never-runs"}),
        ("contains(needs.*.result, 'failure') || needs.build.result == 'skipped'", {"never-runs"}),
        ("needs.build.result != 'SUCCESS'", {"never-runs"}),
        ("needs.build.result == 'failure' || github.ref == 'x'", set()),
        ("needs.build.result == 'success'", set()),
        ("needs.build.result != 'failure'", set()),
        ("!contains(needs.*.result, 'failure')", set()),
        ("always() && needs.build.result == 'failure'", set()),
        ("(github.ref == 'x' && failure()) || needs.build.result == 'failure'", set()),
        ("${{ github.ref == 'x' }}", set()),
        ("${{ github.ref }} == 'x'", {"always-true"}),
        ("${{ github.ref == 'x' }} && ${{ github.sha == 'x' }}", {"always-true"}),
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

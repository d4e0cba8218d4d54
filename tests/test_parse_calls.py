"""What `uses` of a job means, and the files that a pipeline consists of."""

from collections.abc import Mapping

import pytest

from runner.errors import InvalidInputError, Problem
from runner.parse.gather import MOST_LEVELS, MOST_PIPELINES, Gathered, gather
from runner.parse.targets import Remote, remote, target
from runner.source import Document, load

REMOTE = "owner/name/.github/workflows/x.yml@v1"


@pytest.mark.parametrize(
    ("uses", "caller", "meaning"),
    [
        ("./x.yaml", "main.yaml", "x.yaml"),
        ("./.github/workflows/x.yml", "pipelines/main.yaml", ".github/workflows/x.yml"),
        ("./a/./b//../x.yaml", "main.yaml", "a/x.yaml"),
        ("./a@b.yaml", "main.yaml", "a@b.yaml"),
        ("./../x.yaml", "main.yaml", ""),
        ("./a/../../x.yaml", "main.yaml", ""),
        (".//x.yaml", "main.yaml", "x.yaml"),
        ("$/x.yaml", "main.yaml", "x.yaml"),
        ("$//x.yaml", "main.yaml", "x.yaml"),
        ("$/../x.yaml", "main.yaml", ""),
        ("$/y.yml", REMOTE, "owner/name/y.yml@v1"),
        ("./", "main.yaml", ""),
        ("/x.yaml", "main.yaml", ""),
        ("x.yaml", "main.yaml", ""),
        ("deploy", "main.yaml", ""),
        (REMOTE, "main.yaml", REMOTE),
        ("owner/name/x.yml", "main.yaml", ""),
        ("owner/name@v1", "main.yaml", ""),
        ("owner/name/../x.yml@v1", "main.yaml", ""),
        ("owner/name/x.yml@feature/a", "main.yaml", "owner/name/x.yml@feature/a"),
        ("./y.yml", REMOTE, "owner/name/y.yml@v1"),
        ("other/name/z.yml@main", REMOTE, "other/name/z.yml@main"),
    ],
)
def test_what_uses_means(uses: str, caller: str, meaning: str) -> None:
    assert target(uses, caller) == meaning


def test_the_parts_of_a_reference_to_another_repository() -> None:
    assert remote(REMOTE) == Remote("owner", "name", ".github/workflows/x.yml", "v1")
    assert remote("pipelines/x.yml") is None


def calls(*uses: str) -> str:
    jobs = "".join(f"\n  j{number}: {{uses: {each}}}" for number, each in enumerate(uses))
    return f"on: workflow_call\njobs:{jobs or ' {}'}\n"


def gathered(files: Mapping[str, str], main: str = "main.yaml") -> Gathered:
    def read(name: str) -> Document:
        if name not in files:
            raise InvalidInputError(f"no {name}")
        return load(files[name], name)

    return gather(load(files[main], main), main, read)


def told(found: Gathered) -> list[str]:
    return [f"{problem.position}: {problem.code}" for problem in found.problems]


def test_every_file_is_found_once() -> None:
    files = {
        "main.yaml": calls("./a.yaml", "./b.yaml", "./a.yaml"),
        "a.yaml": calls("./c.yaml"),
        "b.yaml": calls("./c.yaml", REMOTE),
        "c.yaml": calls(),
        REMOTE: calls("./d.yaml"),
        "owner/name/d.yaml@v1": calls(),
    }
    found = gathered(files)
    assert [*found.documents] == ["a.yaml", "b.yaml", "c.yaml", REMOTE, "owner/name/d.yaml@v1"]
    assert found.problems == ()


def test_what_is_missing_is_told_at_every_call() -> None:
    found = gathered(
        {"main.yaml": calls("./a.yaml", "./b.yaml", "nope"), "a.yaml": calls("./b.yaml")}
    )
    assert told(found) == [
        "main.yaml:4:14: unknown-pipeline",
        "main.yaml:5:14: unknown-pipeline",
        "a.yaml:3:14: unknown-pipeline",
    ]
    assert [problem.message for problem in found.problems][:2] == [
        "no b.yaml",
        "`nope` names no pipeline",
    ]


def test_what_is_wrong_in_a_called_file_is_told_there_once() -> None:
    found = gathered({"main.yaml": calls("./a.yaml", "./a.yaml"), "a.yaml": "jobs: ["})
    [problem] = found.problems
    assert isinstance(problem, Problem)
    assert problem.position
    assert problem.position.file == "a.yaml"


@pytest.mark.parametrize(
    ("files", "circle", "where"),
    [
        ({"main.yaml": ["./main.yaml"]}, "`main.yaml` → `main.yaml`", "main.yaml:3:14"),
        (
            {"main.yaml": ["./a.yaml"], "a.yaml": ["./main.yaml"]},
            "`main.yaml` → `a.yaml` → `main.yaml`",
            "a.yaml:3:14",
        ),
        (
            {
                "main.yaml": ["./d.yaml", "./a.yaml"],
                "a.yaml": ["./b.yaml"],
                "b.yaml": ["./c.yaml"],
                "c.yaml": ["./d.yaml", "./a.yaml"],
                "d.yaml": [],
            },
            "`a.yaml` → `b.yaml` → `c.yaml` → `a.yaml`",
            "c.yaml:4:14",
        ),
    ],
)
def test_a_circle_is_named_in_the_order_of_the_calls(
    files: dict[str, list[str]], circle: str, where: str
) -> None:
    found = gathered({name: calls(*uses) for name, uses in files.items()})
    [problem] = found.problems
    assert problem.message == f"pipelines call each other in a circle: {circle}"
    assert str(problem.position) == where


@pytest.mark.parametrize(
    ("levels", "codes"), [(MOST_LEVELS, []), (MOST_LEVELS + 1, ["calls-too-deep"])]
)
def test_how_deep_calls_may_go(levels: int, codes: list[str]) -> None:
    files = {f"{n}.yaml": calls(f"./{n + 1}.yaml") for n in range(1, levels)}
    found = gathered({**files, f"{levels}.yaml": calls()}, main="1.yaml")
    assert [problem.code for problem in found.problems] == codes
    assert all(str(each.position) == f"{MOST_LEVELS}.yaml:3:14" for each in found.problems)


@pytest.mark.parametrize(
    ("files", "codes"), [(MOST_PIPELINES, []), (MOST_PIPELINES + 1, ["too-many-calls"])]
)
def test_how_many_pipelines_a_run_may_have(files: int, codes: list[str]) -> None:
    names = [f"{n}.yaml" for n in range(1, files)]
    main = calls(*(f"./{name}" for name in names))
    found = gathered({"main.yaml": main, **dict.fromkeys(names, calls())})
    assert [problem.code for problem in found.problems] == codes


@pytest.mark.parametrize("text", ["a: b", "[]", "jobs: x", "jobs: {a: b, c: {uses: 3}}"])
def test_a_file_that_is_no_pipeline_calls_nothing(text: str) -> None:
    assert gathered({"main.yaml": text}) == Gathered()

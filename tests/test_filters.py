"""Which events start a pipeline: patterns, and the filters of `on`, as tables."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from runner.filters import Occurrence, Verdict, judge, occurrence
from runner.filters.patterns import chosen, matches

PATTERNS = """
main                    main                            yes
main                    Main                            no
main                    mainly                          no
feature/*               feature/one                     yes
feature/*               feature/one/two                 no
feature/**              feature/one/two                 yes
*                       main                            yes
*                       feature/one                     no
**                      feature/one                     yes
*feature                my-feature                      yes
*feature                my/feature                      no
**feature               my/feature                      yes
v2*                     v2.0                            yes
v[12].[0-9]+.[0-9]+     v1.10.1                         yes
v[12].[0-9]+.[0-9]+     v3.0.0                          no
v[12].[0-9]+.[0-9]+     v1..0                           no
*.jsx?                  page.js                         yes
*.jsx?                  page.jsx                        yes
*.jsx?                  page.jsxx                       no
v?1                     1                               yes
a+b                     aaab                            yes
a+b                     b                               no
a+?                     b                               no
*+                      one                             yes
*+                      one/two                         no
[0-9a-f]+               c0ffee                          yes
[0-9a-f]+               coffee                          no
[a-c                    [a-c                            yes
\\*                     *                               yes
\\*                     x                               no
docs/**                 docs/a/b.md                     yes
docs/**                 docs                            no
docs/**/*.md            docs/a.md                       yes
docs/**/*.md            docs/a/b/c.md                   yes
**.js                   js/index.js                     yes
**/docs/**              docs/a.md                       yes
**/docs/**              my/docs/a.md                    yes
**/docs/**              mydocs/a.md                     no
**/README.md            README.md                       yes
**/README.md            js/README.md                    yes
**/README.md            MY-README.md                    no
**/*src/**              my-src/code/app.js              yes
**/migrate-*.sql        db/sept/migrate-v1.sql          yes
"""


@pytest.mark.parametrize("row", PATTERNS.strip().splitlines())
def test_patterns(row: str) -> None:
    pattern, name, wanted = row.replace("\\\\", "\\").split()
    assert matches(pattern, name) == (wanted == "yes")


@pytest.mark.parametrize(
    ("patterns", "name", "wanted"),
    [
        (["**", "!main"], "main", False),
        (["**", "!main"], "dev", True),
        (["!main", "**"], "main", True),
        (["r/**", "!r/**-alpha", "r/x-alpha"], "r/x-alpha", True),
        (["!main"], "dev", False),
        ([], "dev", False),
    ],
)
def test_the_last_pattern_that_matches_decides(
    patterns: list[str], name: str, wanted: bool
) -> None:
    assert chosen(patterns, name) == wanted


def test_no_pattern_takes_long() -> None:
    began = time.monotonic()
    assert not matches("**a" * 50 + "b", "a" * 500)
    assert time.monotonic() - began < 5


# -- filters


def judged(on: dict[str, Any], changed: Sequence[str] | None = None, **known: str) -> Verdict:
    event = known.pop("event", next(iter(on)))
    return judge(on, Occurrence(event, lambda: changed, **known))


PUSHES: list[tuple[dict[str, Any], str, str]] = [
    # filters of `push`, the ref that is pushed, and what stands in the way
    ({}, "main", ""),
    ({}, "tag:v1", ""),
    ({"branches": ["main", "r/**"]}, "r/1", ""),
    (
        {"branches": ["main", "r/**"]},
        "dev",
        'branch "dev" matches none of on.push.branches [main, r/**]',
    ),
    ({"branches": "main"}, "dev", 'branch "dev" matches none of on.push.branches [main]'),
    ({"branches": [2]}, "2", ""),
    ({"branches": ["main"]}, "tag:v1", '"v1" is a tag, and on.push has `branches` alone'),
    ({"branches-ignore": ["main"]}, "main", 'branch "main" matches on.push.branches-ignore [main]'),
    ({"branches-ignore": ["main"]}, "dev", ""),
    (
        {"branches-ignore": ["main"]},
        "tag:v1",
        '"v1" is a tag, and on.push has `branches-ignore` alone',
    ),
    ({"tags": ["v*"]}, "tag:v1", ""),
    ({"tags": ["v*"]}, "tag:w1", 'tag "w1" matches none of on.push.tags [v*]'),
    ({"tags": ["v*"]}, "main", '"main" is a branch, and on.push has `tags` alone'),
    ({"tags-ignore": ["v*"]}, "tag:v1", 'tag "v1" matches on.push.tags-ignore [v*]'),
    ({"tags-ignore": ["v*"]}, "main", '"main" is a branch, and on.push has `tags-ignore` alone'),
    ({"branches": ["x"], "tags": ["v*"]}, "tag:v1", ""),
    ({"branches": ["main"]}, "", ""),
]


@pytest.mark.parametrize(("filters", "ref", "obstacle"), PUSHES)
def test_branches_and_tags(filters: dict[str, Any], ref: str, obstacle: str) -> None:
    known = {"tag": ref.removeprefix("tag:")} if ref.startswith("tag:") else {"branch": ref}
    assert judged({"push": filters}, **known) == Verdict(obstacle)


PATHS: list[tuple[dict[str, Any], list[str], str]] = [
    ({"paths": ["src/**"]}, ["a.md", "src/a.py"], ""),
    (
        {"paths": ["src/**"]},
        ["a.md"],
        'the changed file "a.md" matches none of on.push.paths [src/**]',
    ),
    (
        {"paths": ["**", "!**.md"]},
        ["a.md", "b.md"],
        "none of the 2 changed files matches on.push.paths [**, !**.md]",
    ),
    ({"paths": ["src/**"]}, [], "no file changed, as on.push.paths asks for"),
    ({"paths-ignore": ["**.md"]}, ["a.md", "a.py"], ""),
    (
        {"paths-ignore": ["**.md"]},
        ["a.md", "b.md"],
        "each of the 2 changed files matches on.push.paths-ignore [**.md]",
    ),
]


@pytest.mark.parametrize(("filters", "changed", "obstacle"), PATHS)
def test_paths(filters: dict[str, Any], changed: list[str], obstacle: str) -> None:
    assert judged({"push": filters}, changed, branch="main") == Verdict(obstacle)


def test_nobody_asks_what_a_tag_changed() -> None:
    assert judged({"push": {"paths": ["src/**"]}}, ["a.md"], tag="v1") == Verdict()


def test_changes_that_nobody_knows_count() -> None:
    found = judged({"push": {"paths": ["src/**"]}}, None, branch="main")
    assert found == Verdict(
        assumed="which files changed is not known, so on.push.paths counts as met"
    )


OTHERS: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"pull_request": {}}, {"action": "opened"}, ""),
    ({"pull_request": {}}, {"action": ""}, ""),
    (
        {"pull_request": {}},
        {"action": "closed"},
        'activity "closed" needs on.pull_request.types;'
        " without it only opened, synchronize, reopened count",
    ),
    ({"pull_request_target": {"types": "closed"}}, {"action": "closed"}, ""),
    (
        {"pull_request": {"types": ["closed"]}},
        {"action": "opened"},
        'activity "opened" is not in on.pull_request.types [closed]',
    ),
    ({"issues": {}}, {"action": "anything"}, ""),
    (
        {"release": {"types": ["created"]}},
        {"action": "published"},
        'activity "published" is not in on.release.types [created]',
    ),
    (
        {"pull_request": {"branches": ["main"]}},
        {"branch": "dev", "action": "opened"},
        'branch "dev" matches none of on.pull_request.branches [main]',
    ),
    (
        {"workflow_run": {"workflows": ["CI"]}},
        {"pipeline": "Lint"},
        'pipeline "Lint" matches none of on.workflow_run.workflows [CI]',
    ),
    ({"workflow_run": {"workflows": ["CI", "Build*"]}}, {"pipeline": "Build all"}, ""),
    (
        {"workflow_run": {"workflows": ["CI"], "branches-ignore": ["x"]}},
        {"pipeline": "CI", "branch": "x"},
        'branch "x" matches on.workflow_run.branches-ignore [x]',
    ),
    ({"schedule": [{"cron": "1 2 * * *"}]}, {"cron": "1 2 * * *"}, ""),
    ({"schedule": [{"cron": "1 2 * * *"}]}, {}, ""),
    (
        {"schedule": [{"cron": "1 2 * * *"}]},
        {"cron": "9 9 * * *"},
        'cron "9 9 * * *" is not in on.schedule [1 2 * * *]',
    ),
    (
        {"push": {}, "workflow_dispatch": {}},
        {"event": "release"},
        "`release` is none of the events in `on`: push, workflow_dispatch",
    ),
    ({"watch": {"paths": ["src/**"], "debounce": "1s"}}, {}, ""),
]


@pytest.mark.parametrize(("on", "known", "obstacle"), OTHERS)
def test_other_events(on: dict[str, Any], known: dict[str, str], obstacle: str) -> None:
    assert judged(on, **known) == Verdict(obstacle)


def test_an_image_that_nobody_knows_is_assumed() -> None:
    found = judged({"image_version": {"names": ["a"]}})
    assert found.assumed == "the image is not known, so on.image_version.names counts as met"


@pytest.mark.parametrize(
    ("event", "payload", "known"),
    [
        ("push", {"ref": "refs/heads/a/b"}, {"branch": "a/b"}),
        ("push", {"ref": "refs/tags/v1"}, {"tag": "v1"}),
        ("push", {"ref": 1}, {}),
        (
            "pull_request",
            {"action": "opened", "pull_request": {"base": {"ref": "main"}}},
            {"action": "opened", "branch": "main"},
        ),
        ("merge_group", {"merge_group": {"base_ref": "refs/heads/main"}}, {"branch": "main"}),
        (
            "workflow_run",
            {"workflow_run": {"name": "CI", "head_branch": "x"}},
            {"pipeline": "CI", "branch": "x"},
        ),
        ("schedule", {"schedule": "1 2 * * *"}, {"cron": "1 2 * * *"}),
        ("release", {"action": "published", "ref": "refs/heads/x"}, {"action": "published"}),
    ],
)
def test_what_a_payload_tells(event: str, payload: dict[str, Any], known: dict[str, str]) -> None:
    def changed() -> None:
        return None

    assert occurrence(event, payload, changed) == Occurrence(event, changed, **known)


SKIPS = [
    ("push", "fix: it [skip ci]", "[skip ci]"),
    ("push", "fix: it\n\nMore. [ci skip]", "[ci skip]"),
    ("pull_request", "[no ci] fix: it", "[no ci]"),
    ("push", "fix: it [skip actions]", "[skip actions]"),
    ("push", "fix: it [actions skip]", "[actions skip]"),
    ("push", "fix: it\n\n\nskip-checks: true\n", "skip-checks: true"),
    ("push", "fix: it\n\n\nskip-checks:true", "skip-checks:true"),
    ("push", "fix: it\n\nskip-checks: true", ""),
    ("push", "fix: skip ci", ""),
    ("pull_request_target", "fix: it [skip ci]", ""),
    ("workflow_dispatch", "fix: it [skip ci]", ""),
]


@pytest.mark.parametrize(("event", "message", "word"), SKIPS)
def test_a_commit_may_ask_for_no_runs(event: str, message: str, word: str) -> None:
    payload = {"head_commit": {"message": message}} if event == "push" else {}
    occurred = occurrence(event, payload, list, message)
    expected = f"the commit's message says {word}" if word else ""
    assert judge({event: {}}, occurred).obstacle == expected

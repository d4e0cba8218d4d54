"""The pipelines that are measured, as text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.sandbox import BUSYBOX, DEBIAN


def one_job(steps: Sequence[str | Mapping[str, Any]], image: str = BUSYBOX, legs: int = 0) -> str:
    """One job with these steps, of which some are just scripts; a matrix repeats it `legs` times."""
    lines = ["on: workflow_dispatch", "jobs:", "  one:", "    runs-on: ubuntu-latest"]
    lines += [f"    container: {image}"]
    if legs:
        lines += [f"    strategy: {{matrix: {{leg: {list(range(legs))}}}}}"]
    written = [{"run": step} if isinstance(step, str) else step for step in steps]
    lines += ["    steps:", *(f"      - {json.dumps(step)}" for step in written)]
    return "\n".join(lines) + "\n"


def on_this_machine(script: str) -> str:
    """One job with one step, without a container."""
    job = {"runs-on": "self-hosted", "steps": [{"run": script}]}
    return json.dumps({"on": "workflow_dispatch", "jobs": {"one": job}}) + "\n"


def of_steps(steps: Sequence[str], image: str = DEBIAN) -> str:
    """One job with these steps, each an item of a list in YAML's short form."""
    head = ["on: workflow_dispatch", "jobs:", "  one:", "    runs-on: ubuntu-latest"]
    lines = [*head, f"    container: {image}", "    steps:", *(f"      {step}" for step in steps)]
    return "\n".join(lines) + "\n"


def long(lines: int) -> str:
    """About `lines` lines of jobs that look like real ones, with expressions in them."""
    jobs = (_long_job(number) for number in range(max(1, (lines - 5) // len(_long_job(0)))))
    text = ["name: Long", "on: workflow_dispatch", "env:", "  MODE: release", "jobs:"]
    return "\n".join([*text, *(line for job in jobs for line in job)]) + "\n"


def many_jobs(jobs: int) -> str:
    """Jobs in tens: each needs the first and the last of the ten before it."""
    text = ["on: workflow_dispatch", "jobs:"]
    for number in range(jobs):
        text += [f"  job{number}:", "    runs-on: ubuntu-latest"]
        if (first := number // 10 * 10 - 10) >= 0:
            text += [f"    needs: [job{first}, job{first + 9}]"]
        text += ["    steps:", "      - run: make"]
    return "\n".join(text) + "\n"


def _long_job(number: int) -> list[str]:
    needs = [f"    needs: job{number - 1}"] if number else ["    # The first job of all."]
    return [
        f"  job{number}:",
        f"    name: Part {number} on ${{{{ matrix.system }}}}",
        *needs,
        "    if: github.ref == 'refs/heads/main' || github.event_name != 'push'",
        "    runs-on: ubuntu-latest",
        "    strategy:",
        "      fail-fast: false",
        "      matrix:",
        "        system: [debian, alpine]",
        "    env:",
        f"      PART: part-{number}",
        "      SYSTEM: ${{ matrix.system }}",
        "    steps:",
        "      - uses: actions/checkout@v4",
        "      - name: Build",
        "        id: build",
        "        run: |",
        '          make "$PART" MODE="$MODE"',
        f'          echo "version={number}" >> "$GITHUB_OUTPUT"',
        "      - name: Test",
        "        if: success() && steps.build.outputs.version != ''",
        "        timeout-minutes: 10",
        "        run: make test",
        "        env:",
        "          VERSION: ${{ steps.build.outputs.version }}",
    ]

"""All about one dead letter: its error, its attempts, and what the step that failed printed last."""

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runner.cli.history import moment, took, verdict
from runner.terminal.words import visible, visible_lines

if TYPE_CHECKING:
    from runner.storage import Storage
    from runner.store.dead import Letter
    from runner.store.reads import RunDetail
    from runner.store.tables import AttemptRow, StepRow

#: Lines of output that are shown, and how many bytes are looked at for them.
_MOST_LINES = 20
_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a run that died; `output` are the last lines of the step `failed`."""

    letter: "Letter"
    attempts: "tuple[AttemptRow, ...]"
    failed: "StepRow | None"
    output: tuple[str, ...]


def findings(letter: "Letter", detail: "RunDetail", storage: "Storage") -> Findings:
    """Reads what there is."""
    failed = next(
        (
            step
            for step in reversed(detail.steps)
            if step.outcome == "failure" and letter.job in ("", step.job)
        ),
        None,
    )
    output = tuple(_last_lines(failed, storage)) if failed else ()
    return Findings(letter, detail.attempts, failed, output)


def to_json(found: Findings) -> dict[str, Any]:
    """As `--json` prints it."""
    return {
        **asdict(found.letter),
        "attempts": [each.model_dump() for each in found.attempts],
        "step": found.failed.model_dump() if found.failed else None,
        "output": list(found.output),
    }


def as_text(found: Findings) -> str:
    """For people."""
    letter = found.letter
    lines = [
        f"run {letter.run}: {visible(f'{letter.name} ({letter.file})')}, {letter.kind}",
        f"queue {visible(letter.queue)}, owner {visible(letter.owner) or '-'},"
        f" died {moment(letter.died_at)}",
        f"error: {visible(letter.error)}",
    ]
    if letter.requeued_as is not None:
        lines.append(f"requeued as run {letter.requeued_as}")
    lines += ["", "attempts", *map(_attempt, found.attempts)] if found.attempts else []
    if found.failed:
        lines += ["", *_step(found.failed), *(f"  | {line}" for line in found.output)]
    lines += ["", f"again: `pipe queue requeue {letter.run}`; its log: `pipe logs {letter.run}`"]
    return "\n".join(lines)


def _attempt(row: "AttemptRow") -> str:
    ended = verdict("running", row.result, row.reason)
    spent = took(row.started_at, row.finished_at)
    where = f" on {visible(row.worker)}" if row.worker else ""
    return f"  {visible(row.job)} #{row.number}: {ended}, {moment(row.started_at)}, {spent}{where}"


def _step(step: "StepRow") -> Iterator[str]:
    code = f", exit code {step.exit_code}" if step.exit_code is not None else ""
    reason = f" ({visible(step.reason)})" if step.reason else ""
    place = f"  {visible(step.position)}" if step.position else ""
    yield f"{visible(step.job)}, step `{visible(step.name)}` failed{code}{reason}{place}"


def _last_lines(step: "StepRow", storage: "Storage") -> list[str]:
    log = storage.log(step.run, step.job, step.attempt)
    blocks: deque[bytes] = deque()
    size = 0
    for found in reversed([each for each in log.ranges() if each.step == step.number]):
        length = min(found.length, _MOST_BYTES - size)
        blocks.appendleft(log.read(found.offset + found.length - length, length))
        size += length
        if size >= _MOST_BYTES:
            break
    text = b"".join(blocks).decode(errors="replace")
    return visible_lines(text)[-_MOST_LINES:]

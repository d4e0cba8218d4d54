"""What there is to say about an event in one line, whichever view says it."""

from runner.events import (
    Event,
    ImagePulling,
    JobFinished,
    JobQueued,
    JobStarted,
    Note,
    RunStarted,
    StepFinished,
    StepStarted,
)
from runner.terminal.picture import Picture
from runner.terminal.report import cause
from runner.terminal.scene import LONGEST_NAME, TIME_WIDTH
from runner.terminal.words import (
    LEVEL_STYLES,
    MARKS,
    PULL_MARK,
    RUNNING_MARK,
    STYLES,
    VERBS,
    WAITING_MARK,
    Paint,
    counted,
    duration,
    job_ending,
    padded,
    shortened,
    size,
    step_ending,
    visible,
)


def headline(event: Event, picture: Picture, paint: Paint) -> str:
    """The line; empty where an event is not worth one. `picture` includes the event."""
    match event:
        case RunStarted():
            return run_started(event, paint)
        case Note():
            return note(event, paint)
        case JobQueued():
            return queued(event, paint)
        case JobStarted():
            return _job_started(event, paint)
        case JobFinished():
            return _job_finished(event, picture, paint)
        case ImagePulling():
            return _pulling(event, paint)
        case StepStarted(step=step) if step > 0:
            return paint("strong", f"{RUNNING_MARK} {visible(event.name)}")
        case StepFinished():
            return step_finished(event, picture, paint)
    return ""


def run_started(event: RunStarted, paint: Paint) -> str:
    """`run 12: CI (pipelines/ci.yaml), 4 jobs`."""
    named = visible(event.name or event.file)
    file = f" ({visible(event.file)})" if event.file not in ("", event.name) else ""
    return f"{paint('strong', f'run {event.run}: {named}')}{file}, {counted(event.jobs, 'job')}"


def note(event: Note, paint: Paint) -> str:
    """A note of ours, marked by its level; one for those who debug is not shown."""
    if event.level == "debug":
        return ""
    mark = "i" if event.level == "notice" else "!"
    return f"{paint(LEVEL_STYLES[event.level], mark)} {visible(event.message)}"


def queued(event: JobQueued, paint: Paint) -> str:
    """That another attempt follows, and when; of the first one, which just waits its turn, the remark."""
    if event.attempt == 1 and not event.delay:
        return f"{paint('warn', '!')} {visible(event.remark)}" if event.remark else ""
    delay = duration(event.delay).replace(".0 ", " ")
    when = f" starts in {delay}" if event.delay else " is next"
    return f"{paint('warn', WAITING_MARK)} attempt {event.attempt}{when}"


def step_finished(event: StepFinished, picture: Picture, paint: Paint) -> str:
    """How a step went; empty where the box of the job came and went as it should."""
    if event.step < 1 and event.outcome in ("success", "skipped"):
        return ""
    ignored = event.outcome == "failure" and event.conclusion == "success"
    mark = paint("warn" if ignored else STYLES[event.outcome], MARKS[event.outcome])
    ending = step_ending(event, picture.step_seconds(event))
    return f"{mark} {visible(event.name)} {paint('faint', ending)}"


def place(event: StepFinished, paint: Paint) -> str:
    """Where in the pipeline's file the step that failed is; empty for others."""
    failed = event.conclusion == "failure" and event.position
    return paint("faint", f"  at {event.position}") if failed else ""


def job_line(event: JobFinished, picture: Picture, width: int, paint: Paint) -> str:
    """A job that ended, or an attempt that another will follow: name, duration, and why."""
    job = picture.job(event.job)
    mark = paint(STYLES[event.result], MARKS[event.result])
    took = "" if job.begun is None else duration(event.time - job.since)
    name = padded(shortened(job.name, LONGEST_NAME), width)
    why = paint("faint", _why(event, cause(job)))
    return f"{mark} {name}  {took:>{TIME_WIDTH}}  {why}".rstrip()


def _why(event: JobFinished, reason: str) -> str:
    if event.final:
        return reason or ("" if event.result == "success" else VERBS[event.result])
    ending = f"attempt {event.attempt} {VERBS[event.result]}"
    return f"{ending}: {reason}" if reason else ending


def _job_started(event: JobStarted, paint: Paint) -> str:
    image = f" in {visible(event.image)}" if event.image else ""
    attempt = f", attempt {event.attempt}" if event.attempt > 1 else ""
    environment = f", environment {visible(event.environment)}" if event.environment else ""
    return f"{paint('note', RUNNING_MARK)} job started{image}{environment}{attempt}"


def _job_finished(event: JobFinished, picture: Picture, paint: Paint) -> str:
    job = picture.job(event.job)
    ending = job_ending(event, None if job.begun is None else event.time - job.since)
    subject = "job" if event.final else f"attempt {event.attempt}"
    return f"{paint(STYLES[event.result], MARKS[event.result])} {subject} {ending}"


def _pulling(event: ImagePulling, paint: Paint) -> str:
    image = visible(event.image)
    if event.done:
        amount = f" ({size(event.total)})" if event.total else ""
        return f"{paint('good', MARKS['success'])} pulled {image}{amount}"
    return f"{paint('note', PULL_MARK)} pulling {image}"

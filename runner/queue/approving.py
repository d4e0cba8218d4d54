"""A person lets jobs into their environments, and paused deployments go on; or refuses to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.environments import of_name
from runner.errors import RefusedError
from runner.project import Reviewers
from runner.project.protection import from_json
from runner.queue.change import Change
from runner.queue.gates import PROTECTION, hold_of, missing
from runner.queue.together import change
from runner.store import Store, deliveries, hot
from runner.store.approvals import of_run
from runner.store.deliveries import DeploymentRecord
from runner.store.rows import Approval, StoredJob, StoredRun, Verdict


@dataclass(frozen=True, slots=True)
class Review:
    """Who says what about a run; with `job` or `environment`, about no more than that of it."""

    name: str
    verdict: Verdict = "approved"
    comment: str = ""
    job: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A job that waited, or whose `deployment` did; so many people have to approve it yet."""

    job: str
    environment: str
    missing: int = 0
    deployment: int | None = None


def review(store: Store, number: int, review: Review, now: float) -> list[Reviewed]:
    """Says that about all of the run that waits for it; returns what that was.

    Raises RefusedError when nothing does, or this person may not.
    """
    run = hot.load_run(store.notes, number)
    jobs = [job for job in run.jobs.values() if _waits(job) and _is_meant(job, review)]
    paused = [
        each
        for each in deliveries.deployments(store.notes, run=number, only_open=True)
        if each.state == "paused" and _is_meant_by(review, each)
    ]
    if not jobs and not paused:
        raise _nothing_waits(run, review)
    for environment in {_environment(job) for job in jobs} | {each.environment for each in paused}:
        _refuse_strangers(run, environment, review)
    keys = [job.key for job in jobs]
    if keys:
        change(store, number, now, _saying(keys, review))
    answered = [each for each in paused if _answer(store, each, review, now)]
    store.wake()
    return [*_reviewed(store, run, jobs), *map(_let_go_on, answered)]


def _saying(keys: list[str], review: Review) -> Callable[[Change], None]:
    def act(change: Change) -> None:
        for key in keys:
            job = change.run.jobs.get(key)
            if job is None or not _waits(job):
                continue
            change.approvals += (_approval(key, _environment(job), review, change.now),)
            if review.verdict == "approved":
                because = f": {review.comment}" if review.comment else ""
                change.tell(key, f"{review.name} approved {_environment(job)}{because}")

    return act


def _approval(job: str, environment: str, review: Review, now: float) -> Approval:
    return Approval(job, environment, review.name, review.verdict, review.comment, now)


def _answer(store: Store, record: DeploymentRecord, review: Review, now: float) -> bool:
    approval = _approval(record.job, record.environment, review, now)
    return deliveries.answer(store.promises, record.id, approval)


def _let_go_on(record: DeploymentRecord) -> Reviewed:
    return Reviewed(record.job, record.environment, deployment=record.id)


def _reviewed(store: Store, run: StoredRun, jobs: list[StoredJob]) -> Iterator[Reviewed]:
    said = of_run(store.notes, run.id)
    for job in jobs:
        about = [each for each in said if each.job == job.key and each.verdict == "approved"]
        environment = _environment(job)
        yield Reviewed(job.key, environment, missing(reviewers(run, environment), about))


def reviewers(run: StoredRun, environment: str) -> Reviewers:
    """Those of an environment, as the project had them when the run was asked for."""
    rules = of_name(run.submission.options.get(PROTECTION, {}), environment, {})
    return from_json(rules).reviewers or Reviewers()


def _refuse_strangers(run: StoredRun, environment: str, review: Review) -> None:
    allowed, name = reviewers(run, environment), review.name.casefold()
    if allowed.users and name not in map(str.casefold, allowed.users):
        raise RefusedError(
            f"{review.name} may not review {environment}",
            hint=f"these people may: {', '.join(allowed.users)} (`--as NAME`)",
        )
    if not allowed.own_runs and name == run.submission.owner.casefold():
        raise RefusedError(
            f"{review.name} wanted run {run.id}, and {environment} takes somebody else's word",
            hint="ask another reviewer",
        )


def _nothing_waits(run: StoredRun, review: Review) -> RefusedError:
    wanted = [f"job `{review.job}`"] if review.job else []
    wanted += [f"environment {review.environment}"] if review.environment else []
    which = f" with {' and '.join(wanted)}" if wanted else ""
    return RefusedError(
        f"nothing of run {run.id}{which} waits for approval",
        hint=f"`pipe show {run.id}` tells what it waits for",
    )


def _waits(job: StoredJob) -> bool:
    hold = hold_of(job)
    return hold is not None and hold.kind == "approval"


def _environment(job: StoredJob) -> str:
    hold = hold_of(job)
    return hold.environment if hold else ""


def _is_meant(job: StoredJob, review: Review) -> bool:
    named = review.job in ("", job.key, job.job, job.name)
    environment = review.environment.casefold()
    return named and environment in ("", _environment(job).casefold())


def _is_meant_by(review: Review, record: DeploymentRecord) -> bool:
    environment = review.environment.casefold()
    return review.job in ("", record.job) and environment in ("", record.environment.casefold())

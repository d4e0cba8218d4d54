"""Which workers may take a job: those that have all labels which stand for no image."""

from runner.errors import InvalidInputError
from runner.execute.labels import SELF_HOSTED, labels_of
from runner.expressions import has_expression, resolve
from runner.queue.definitions import contexts_of, definition
from runner.store.claims import pool_of
from runner.store.rows import PRIVATE_POOL, StoredRun, is_submitted


def pool(run: StoredRun, key: str) -> str:
    """Where a job waits for its worker.

    What cannot be evaluated is left to the worker, which fails for it as `pipe run` does.
    """
    if not is_submitted(run):
        return PRIVATE_POOL
    try:
        return pool_of(_needed(run, key))
    except InvalidInputError:
        return pool_of(())


def _needed(run: StoredRun, key: str) -> set[str]:
    job = definition(run, key)
    runs_on = job.runs_on
    if has_expression(str(runs_on)):
        runs_on = resolve(runs_on, contexts_of(run, key))
    labels = set(labels_of(runs_on))
    if SELF_HOSTED not in labels and not job.container:
        # Without a container the image decides, and a label that stands for none is an error.
        return set()
    return labels - set(run.submission.options.get("images", {}))

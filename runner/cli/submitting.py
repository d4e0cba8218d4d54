"""From files to runs in the queue."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from runner import queue
from runner.cli.action_sources import action_store
from runner.cli.called import Repositories
from runner.cli.loading import Loaded, load_pipeline
from runner.cli.missing_secrets import for_workers
from runner.cli.occasion import occasion
from runner.cli.opening import opened_store
from runner.cli.places import images_of
from runner.cli.preparing import Preparation, prepare
from runner.cli.problems import show
from runner.cli.storage import own_folder
from runner.cli.submission import submission_of
from runner.cli.typed import Options
from runner.errors import InvalidInputError
from runner.execute.policy import Policy
from runner.project import (
    Snapshot,
    environment_images,
    home_folder,
    keep_snapshot,
    label_images,
    read_user_config,
    take_snapshot,
)
from runner.project.git import login
from runner.queue import Entry
from runner.secrets import Masker
from runner.store import Store, hot


@dataclass(frozen=True, slots=True)
class Terms:
    """How runs are queued; what is None is as the pipeline says, or as usual."""

    priority: int | None = None
    queue: str | None = None
    #: Seconds from now, or since the epoch.
    delay: float | None = None
    moment: float | None = None
    key: str | None = None
    owner: str | None = None
    #: What is known of the event's payload.
    happened: Mapping[str, Any] = field(default_factory=dict)


def submit(wanted: Sequence[Options], terms: Terms) -> list[int]:
    """Queues all of these or none; returns the numbers of the runs."""
    prepared = [_prepared(options, terms) for options in wanted]
    storage = own_folder()
    with opened_store(home_folder()) as store, contextlib.ExitStack() as held:
        entries = [
            _entry(loaded, options, each, terms, storage, store, held)
            for options, (loaded, each) in zip(wanted, prepared, strict=True)
        ]
        known = {entry.submission.submission_key: _known(store, entry) for entry in entries}
        runs = queue.enqueue_all(store, entries, store.now())
    for key, run in known.items():
        if run is not None:
            click.echo(f"note: with the key `{key}` run {run} was submitted before", err=True)
    return runs


def _known(store: Store, entry: Entry) -> int | None:
    """The run that was submitted with the same key already."""
    key = entry.submission.submission_key
    return None if key is None else hot.submitted(store.notes, entry.submission.project, key)


def _prepared(options: Options, terms: Terms) -> tuple[Loaded, Preparation]:
    loaded = load_pipeline(
        options.file,
        Path(),
        lambda project, home: Repositories(action_store(project, options, home)),
    )
    show(loaded.warnings)
    occurred = occasion(loaded, options, happened=terms.happened)
    if options.event and occurred.verdict.obstacle:
        raise InvalidInputError(f"{loaded.document.file} does not run: {occurred.verdict.obstacle}")
    prepared = prepare(loaded, options, occurred)
    _refuse_unknown_places(loaded, options, prepared)
    if needed := for_workers(loaded, prepared):
        click.echo(needed, err=True)
    return loaded, prepared


def _refuse_unknown_places(loaded: Loaded, options: Options, prepared: Preparation) -> None:
    config, own = loaded.project.config, read_user_config().images
    # Whether a worker allows jobs on its own machine is for that worker to say.
    policy = Policy(
        label_images(config.images, own),
        allow_host=True,
        skip_unmapped=options.skip_unmapped,
        environments={
            name: replace(each, images=environment_images(each.images, own))
            for name, each in config.environments.items()
        },
    )
    images_of(prepared, policy)


def _entry(
    loaded: Loaded,
    options: Options,
    prepared: Preparation,
    terms: Terms,
    storage: Path,
    store: Store,
    held: contextlib.ExitStack,
) -> Entry:
    submission = submission_of(
        loaded, options, prepared, Masker(()), _source(loaded, storage, held)
    )
    submission = replace(
        submission,
        owner=terms.owner or login(),
        queue=terms.queue or submission.queue,
        priority=submission.priority if terms.priority is None else terms.priority,
        submission_key=terms.key,
    )
    due_at = terms.moment if terms.delay is None else store.now() + terms.delay
    patience = loaded.pipeline.timeouts.queue
    return Entry(submission, prepared.plan, prepared.reused, due_at, patience)


def _source(loaded: Loaded, storage: Path, held: contextlib.ExitStack) -> Snapshot:
    home = home_folder()
    taken = take_snapshot(loaded.project, home, storage)
    kept = keep_snapshot(taken, portable=storage != home)
    held.callback(kept.release)
    return kept

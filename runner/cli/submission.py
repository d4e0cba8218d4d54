"""What is kept of a run that was asked for on the command line."""

from pathlib import Path
from typing import Any

from runner import queue
from runner.cli.loading import Loaded
from runner.cli.preparing import Preparation, legs
from runner.cli.typed import Options, words
from runner.environments import laid_over
from runner.expressions import resolve, to_string
from runner.project import (
    Snapshot,
    environment_images,
    label_images,
    read_user_config,
    source_files,
)
from runner.queue import Submission
from runner.secrets import Masker
from runner.store.rows import DEFAULT_QUEUE


def submission_of(
    loaded: Loaded,
    options: Options,
    prepared: Preparation,
    masker: Masker,
    snapshot: Snapshot | None,
) -> Submission:
    """The run as it is stored: with no secret, and not bound to a process."""
    project = loaded.project
    own = read_user_config().images
    images = label_images(project.config.images, own)
    return Submission(
        file=loaded.document.file,
        text=loaded.document.text,
        called={name: document.text for name, document in loaded.called.items()},
        project=str(project.root),
        name=_name(loaded, prepared),
        trigger={"event": prepared.event, "inputs": dict(options.inputs)},
        contexts=prepared.contexts,
        snapshot=snapshot.to_json() if snapshot else {},
        options={
            "jobs": list(options.jobs),
            "legs": {name: sorted(values) for name, values in legs(options.matrix).items()},
            "typed_in": str(Path.cwd()),
            "from_failed": options.from_failed,
            "arguments": ["run", *words(options, masker)],
            "folder": str(project.folder.relative_to(project.root)),
            "env": dict(options.env),
            "variables": dict(options.variables),
            "skip_unmapped": options.skip_unmapped,
            "offline": options.offline,
            "action_sources": {
                name: str(Path(folder).expanduser().absolute())
                for name, folder in options.action_sources.items()
            },
            **queue.comparison(
                prepared.pipeline,
                lambda: _compared(loaded, options, snapshot) if snapshot else None,
                images,
                reuse=not options.no_reuse,
            ),
            "images": images,
            "environment_images": {
                name: environment_images(each.images, own)
                for name, each in project.config.environments.items()
                if each.images
            },
            queue.PROTECTION: {
                name: rules
                for name, each in project.config.environments.items()
                if (rules := each.protection.to_json())
            },
        },
        queue=loaded.pipeline.queue or DEFAULT_QUEUE,
        priority=loaded.pipeline.priority,
        time_limit=loaded.pipeline.timeouts.run,
    )


def _compared(loaded: Loaded, options: Options, snapshot: Snapshot) -> queue.Source:
    """What `sources` are compared by."""
    environments = loaded.project.config.environments
    variables: dict[str, dict[str, Any]] = {
        name: {
            **laid_over(each.vars, options.variables),
            # No variable is called so.
            **({"runs-on": dict(each.images)} if each.images else {}),
        }
        for name, each in environments.items()
    }
    return queue.Source(source_files(snapshot), snapshot.tree, options.env, variables)


def _name(loaded: Loaded, prepared: Preparation) -> str:
    pipeline = loaded.pipeline
    if pipeline.run_name:
        return to_string(resolve(pipeline.run_name, prepared.contexts))
    return pipeline.name or Path(loaded.document.file).stem

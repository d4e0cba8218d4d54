"""What is kept of a run that was asked for on the command line."""

from pathlib import Path

from runner.cli.loading import Loaded
from runner.cli.preparing import Preparation, legs
from runner.cli.typed import Options, words
from runner.expressions import resolve, to_string
from runner.project import label_images, read_user_config
from runner.queue import Submission
from runner.secrets import Masker


def submission_of(
    loaded: Loaded, options: Options, prepared: Preparation, masker: Masker
) -> Submission:
    """The run as it is stored: with no secret, and not bound to a process or to a copy of the source."""
    project = loaded.project
    return Submission(
        file=loaded.document.file,
        text=loaded.document.text,
        called={name: document.text for name, document in loaded.called.items()},
        project=str(project.root),
        name=_name(loaded, prepared),
        trigger={"event": prepared.event, "inputs": dict(options.inputs)},
        contexts=prepared.contexts,
        options={
            "jobs": list(options.jobs),
            "legs": {name: sorted(values) for name, values in legs(options.matrix).items()},
            "typed_in": str(Path.cwd()),
            "from_failed": options.from_failed,
            "arguments": ["run", *words(options, masker)],
            "folder": str(project.folder.relative_to(project.root)),
            "images": label_images(project.config.images, read_user_config().images),
            "env": dict(options.env),
            "variables": dict(options.variables),
            "skip_unmapped": options.skip_unmapped,
            "offline": options.offline,
            "action_sources": {
                name: str(Path(folder).expanduser().absolute())
                for name, folder in options.action_sources.items()
            },
        },
    )


def _name(loaded: Loaded, prepared: Preparation) -> str:
    pipeline = loaded.pipeline
    if pipeline.run_name:
        return to_string(resolve(pipeline.run_name, prepared.contexts))
    return pipeline.name or Path(loaded.document.file).stem

"""The command line: one file a command, loaded only when it is the one that was typed."""

import gc
import importlib
import sys
import traceback
from collections.abc import Sequence

import click

from runner.errors import (
    EXIT_BUG,
    EXIT_CANCELLED,
    EXIT_INVALID,
    PipeError,
    nearest,
)

#: command -> what `pipe --help` says of it, so that no command has to be loaded for that.
COMMANDS = {
    "run": "Run a pipeline now, in containers on this machine.",
    "watch": "Run pipelines again whenever files change.",
    "submit": "Queue runs for `pipe worker`.",
    "worker": "Run what was submitted, until told to stop.",
    "queue": "Show the queue; its limits and dead letters.",
    "workers": "List the workers and what they run.",
    "validate": "Check pipeline files and print every problem.",
    "graph": "Draw what a pipeline does, as text, mermaid or svg.",
    "schema": "Print the JSON schema of pipeline files, for editors.",
    "runs": "List runs.",
    "show": "Show one run: its jobs, steps, annotations and outputs.",
    "logs": "Print what the steps of a run printed.",
    "artifacts": "List the artifacts of a run, or unpack one.",
    "cancel": "Ask a run to stop.",
    "approve": "Let a run into an environment, or refuse to.",
    "lock": "Keep jobs away from an environment; list locks.",
    "rerun": "Run a past run again.",
    "prune": "Forget old runs, and free what nothing needs.",
    "verify": "Check something that runs, without deploying.",
    "releases": "List what is live where, and what was.",
    "rollback": "Go back to an earlier release.",
    "snapshots": "Keep files and data of environments, and restore them.",
    "report": "Tell all about a deployment.",
    "recover": "End deployments whose process is gone.",
    "doctor": "Check engine, versions, disk and leftovers.",
    "config": "Show the configuration as it counts.",
    "plugins": "List plugins and what they bring.",
}


class LazyGroup(click.Group):
    """Knows its commands by name and loads the module of the one that is asked for."""

    # The signatures are click's.

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"runner.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            hint = f"Did you mean `pipe {near}`?" if near else "`pipe --help` lists the commands."
            ctx.fail(f"There is no command `{args[0]}`. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pipe-runner", prog_name="pipe")
def group() -> None:
    """Run GitHub-Actions-style pipelines in containers: here, now, and without a push.

    Exit codes: 0 success, 1 the run failed, 2 invalid input, 3 a bug of ours, 4 this machine lacks
    something, 130 cancelled.
    """


def main(args: Sequence[str] | None = None) -> None:
    """The `pipe` command; never shows a traceback for what a user or a machine did."""
    # What is imported stays: looking for garbage in it is a tenth of what a short command takes.
    gc.set_threshold(100_000)
    try:
        code = group.main(args, prog_name="pipe", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = EXIT_INVALID
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_CANCELLED
    except PipeError as error:
        code = _explain(error)
    except BrokenPipeError:
        sys.stderr.close()
        code = EXIT_CANCELLED
    except Exception:
        # Whatever else comes up to here is a bug of ours, and shown as one.
        code = _report()
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: PipeError) -> int:
    from runner.cli.problems import show_error

    show_error(error)
    return error.exit_code


def _report() -> int:
    import platform
    from importlib.metadata import version

    click.echo("pipe has a bug. Please report this:\n", err=True)
    click.echo(traceback.format_exc(), err=True)
    click.echo(
        f"pipe {version('pipe-runner')}, Python {platform.python_version()}, {platform.platform()}",
        err=True,
    )
    return EXIT_BUG

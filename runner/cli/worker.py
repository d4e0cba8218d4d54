"""`pipe worker`: runs what was submitted to the queue."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.options import secret_options
from runner.cli.signals import signals_ask
from runner.errors import InvalidInputError

if TYPE_CHECKING:
    from runner.store import Store
    from runner.terminal.log import Format, WorkerLog
    from runner.triggers.cron import Misfire
    from runner.worker import Terms
    from runner.worker.log import Level


@click.command("worker", short_help="Run what was submitted, until told to stop.")
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="How many at a time.  [default: cores]"
)
@click.option(
    "--labels", default="", metavar="A,B", help="Also jobs whose `runs-on` asks for these."
)
@click.option(
    "--drain", is_flag=True, help="End when nothing is left to do, not even within a minute."
)
@click.option(
    "--schedule",
    is_flag=True,
    help="Also start the pipelines of this project that have `on.schedule`.",
)
@click.option(
    "--misfire",
    type=click.Choice(["skip", "once", "all"]),
    help="Of times at which no worker watched, start none, the last, or all.  [default: once]",
)
@click.option("--once", is_flag=True, help="End after one job.")
@click.option("--no-spare", is_flag=True, help="Have no box wait for a job like the last one.")
@click.option("--host", is_flag=True, help="Also `runs-on: self-hosted`: steps on this machine.")
@secret_options
@click.option(
    "--log-format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How it tells what it does.",
)
@click.option(
    "--log-level",
    "level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    envvar="PIPE_LOG_LEVEL",
    default="info",
    show_default=True,
    help="How much it tells; also PIPE_LOG_LEVEL.",
)
def command(
    jobs: int | None,
    labels: str,
    drain: bool,
    schedule: bool,
    misfire: "Misfire | None",
    once: bool,
    no_spare: bool,
    host: bool,
    form: "Format",
    level: "Level",
    **given: Any,
) -> None:
    """Run the jobs of submitted runs, from any project, until told to stop.

    Ctrl-C or SIGTERM: lease nothing more, and end when what runs has ended; again: cancel that;
    and again: end it at once. Secrets given here are those of all runs that it works on.
    """
    if misfire and not schedule:
        raise InvalidInputError("`--misfire` is about `--schedule`, which is not given")
    from runner.cli.given_secrets import given_secrets
    from runner.cli.typed import Options
    from runner.project import read_user_config
    from runner.terminal.log import WorkerLog
    from runner.worker import Terms

    secrets = given_secrets(Options(file="", **given), None)
    user = read_user_config()
    slots = jobs or user.jobs or os.cpu_count() or 1
    wanted = tuple(label.strip() for label in labels.split(",") if label.strip())
    allow_host = host or user.allow_host or os.environ.get("PIPE_ALLOW_HOST") == "1"
    log = WorkerLog(sys.stderr, form=form, level=level)
    _serve(
        Terms(slots, wanted, drain, once),
        secrets,
        allow_host,
        log,
        (misfire or "once") if schedule else None,
        spare=not no_spare,
    )


def _serve(
    terms: "Terms",
    secrets: Mapping[str, str],
    allow_host: bool,
    log: "WorkerLog",
    misfire: "Misfire | None",
    *,
    spare: bool,
) -> None:
    from runner.cli.action_sources import stored_action_store
    from runner.cli.desk import desk_of, telling_what_waits
    from runner.cli.opening import opened_store
    from runner.cli.storage import open_storage
    from runner.engines.box import Engine
    from runner.engines.docker import DockerEngine
    from runner.engines.host import HostEngine
    from runner.engines.warm import WarmEngine
    from runner.project import home_folder
    from runner.terminal.words import counted
    from runner.worker import QueueWorker, Site, Spare, between

    home, storage = home_folder(), open_storage()
    docker = DockerEngine(home)
    warm = WarmEngine(docker, between)
    engines: Mapping[str, Engine] = {"docker": warm, "host": HostEngine(home)}
    with ExitStack() as ends, opened_store(home) as store:
        site = Site(
            home,
            storage.folder,
            engines,
            docker.confirm,
            allow_host,
            secrets,
            partial(stored_action_store, home=home),
            partial(desk_of, store),
            Spare(warm, storage.folder) if spare else None,
        )
        for engine in engines.values():
            ends.callback(engine.finish)
        beside = _schedules(store, misfire, log) if misfire else lambda: None
        worker = QueueWorker(store, storage, site, terms, log.emit, log, beside)
        most = counted(terms.slots, "job")
        with signals_ask(worker.stop), telling_what_waits(store, secrets):
            log.say("info", f"worker {worker.name} takes up to {most} at a time")
            worker.work()
            log.say("info", "worker ends")


def _schedules(store: "Store", misfire: "Misfire", log: "WorkerLog") -> Callable[[], float | None]:
    from runner.cli.scheduling import Schedules
    from runner.project import nearest_project

    return Schedules(store, nearest_project(Path()), misfire, log).tick

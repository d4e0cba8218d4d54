"""Where the jobs of a run would run: the images that are known to be needed."""

from collections.abc import Mapping
from dataclasses import replace

from runner.cli.preparing import Preparation
from runner.cli.upcoming import jobs_to_run
from runner.engines.box import Image
from runner.environments import of_name
from runner.execute.place import UnmappedLabelError, choose
from runner.execute.policy import Policy
from runner.expressions import has_expression
from runner.model import Job


def images_of(prepared: Preparation, policy: Policy) -> list[Image]:
    """Each once, in the order of the jobs. Raises EnvironmentMissingError for a job without a place."""
    images: list[Image] = []
    for job in (each.job for each in jobs_to_run(prepared) if not each.job.call):
        if not has_expression(f"{job.runs_on} {job.container}"):
            images += _images_of(job, policy)
    return list(dict.fromkeys(images))


def _inside(job: Job, policy: Policy) -> Policy:
    """What holds in the job's environment, as far as that is known."""
    written = job.environment
    name = written.get("name") if isinstance(written, Mapping) else written
    if not isinstance(name, str) or has_expression(name):
        return policy
    known = of_name(policy.environments, name, None)
    return replace(policy, images={**policy.images, **known.images}) if known else policy


def _images_of(job: Job, policy: Policy) -> list[Image]:
    try:
        place = choose(job.runs_on, job.container, _inside(job, policy))
    except UnmappedLabelError:
        if policy.skip_unmapped or has_expression(f"{job.environment}"):
            return []
        raise
    return [] if place.host else [place.image]

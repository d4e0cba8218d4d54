"""What the user allows and wishes for a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.project import Environment


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user allows and wishes for this run, whatever the pipeline says."""

    #: label -> image, lower-case labels
    images: Mapping[str, str] = field(default_factory=dict)
    allow_host: bool = False
    #: leave out a job that no place here is for, instead of failing it
    skip_unmapped: bool = False
    #: `--env`: set for every step, below what the pipeline sets itself
    env: Mapping[str, str] = field(default_factory=dict)
    keep_failed: bool = False
    shell_on_failure: bool = False
    debug: bool = False
    environments: Mapping[str, Environment] = field(default_factory=dict)
    #: who is told of deployments that do not say so themselves
    notifications: Sequence[Mapping[str, Any]] = ()

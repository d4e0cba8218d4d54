"""A run that is ready to start: prepared, and its secrets at hand or known to be missing."""

from runner.cli import missing_secrets, preparing
from runner.cli.given_secrets import Ask
from runner.cli.loading import Loaded
from runner.cli.occasion import Occasion
from runner.cli.preparing import Preparation
from runner.cli.problems import show
from runner.cli.typed import Options


def completed(
    loaded: Loaded, options: Options, occasion: Occasion, ask: Ask, *, dry_run: bool = False
) -> Preparation:
    """The run as it could start; tells which secrets nobody gave, or asks for them.

    Raises InvalidInputError.
    """
    prepared = preparing.prepare(loaded, options, occasion, ask)
    if options.prompt_secrets and not dry_run:
        prepared = missing_secrets.asked_for(loaded, prepared, ask)
    show(missing_secrets.warnings(loaded, prepared, required=options.require_secrets))
    return prepared

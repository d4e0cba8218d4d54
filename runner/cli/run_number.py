"""RUN on the command line: the number of a run, as large as the store can count."""

import click

RUN_NUMBER = click.IntRange(1, 2**63 - 1)

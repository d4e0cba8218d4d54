"""What PostgreSQL says, as what the user can do about it."""

import psycopg

from runner.errors import EnvironmentMissingError
from runner.store.connection import UndoneError
from runner.store.postgres.address import Address

#: By the first characters of an SQLSTATE: the longest that fits counts.
_EXPLANATIONS = {
    "25006": ("is read-only", "PIPE_DATABASE_URL must name the primary server"),
    "42501": ("does not let us", "give the user the right to create and change tables"),
    "53100": ("cannot grow: the disk is full", "free some space on the server"),
    "53": ("lacks resources", "look at the server's log"),
    "55P03": ("is locked", "another process holds it; end that one and try again"),
    "58": ("has trouble with its system", "look at the server's log"),
    "XX001": ("is damaged", "look at the server's log"),
}
#: The connection is gone, or somebody else had to go on first.
_UNDONE = ("08", "57P", "40001", "40P01", "25P03")


def explain(address: Address, error: BaseException | None) -> EnvironmentMissingError | None:
    """What the user can do about an error of PostgreSQL; None when it is a bug of ours."""
    if not isinstance(error, psycopg.Error):
        return None
    if is_undone(error):
        return UndoneError(
            f"the database {address} broke off ({_first_line(error)})", hint="try again"
        )
    code = error.sqlstate or ""
    fitting = max((known for known in _EXPLANATIONS if code.startswith(known)), default=None)
    if fitting is None:
        return None
    message, hint = _EXPLANATIONS[fitting]
    return EnvironmentMissingError(
        f"the database {address} {message} ({_first_line(error)})", hint=hint
    )


def unreachable(address: Address, error: psycopg.Error) -> EnvironmentMissingError:
    """No connection to the server can be had."""
    return EnvironmentMissingError(
        f"cannot connect to {address} ({_first_line(error)})",
        hint="start the server, or correct PIPE_DATABASE_URL",
    )


def in_doubt(address: Address, error: EnvironmentMissingError) -> EnvironmentMissingError:
    """The server went away while it was told to keep something, and did not come back."""
    return EnvironmentMissingError(
        f"it is not known whether {address} kept what was written last: {error.message}",
        hint="look at `pipe runs` when the server is back",
    )


def is_undone(error: psycopg.Error) -> bool:
    """Whether it says that the transaction is undone, for a reason that passes."""
    if error.sqlstate:
        return error.sqlstate.startswith(_UNDONE)
    # A connection that breaks has no code of its own. What follows an error in a pipeline has none
    # either, but that error may be ours.
    is_consequence = isinstance(error, psycopg.errors.PipelineAborted)
    return isinstance(error, psycopg.OperationalError) and not is_consequence


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]

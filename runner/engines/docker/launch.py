"""The script that starts one process of a step inside a box."""

import re
import shlex
from collections.abc import Mapping, Sequence

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: Names that some shell treats specially, so that exporting them would fail or change the launcher.
SPECIAL = frozenset(
    {
        "_",
        "BASHOPTS",
        "BASH_ENV",
        "BASH_VERSINFO",
        "ENV",
        "EUID",
        "GROUPS",
        "IFS",
        "LINENO",
        "OLDPWD",
        "OPTIND",
        "PPID",
        "PS1",
        "PS2",
        "PS4",
        "PWD",
        "RANDOM",
        "SECONDS",
        "SHELLOPTS",
        "UID",
    }
)

#: Files of a step's folder: what its launcher reads, the pipe it prints to, the pipe it waits at.
START = "start"
OUTPUT = "out"
GO = "go"

#: Read by the launcher in the supervisor's script, once it may go on; its token is all it keeps.
#: In a shell of its own the process gets the pipe alone: what the launcher says of its death (`Killed`)
#: is no output of the step.
SUPERVISED = """\
set -- "$PIPE_TOKEN"
unset PIPE_TOKEN PIPE_GO
{exports}
cd {cwd} 2>/dev/null || {{ echo {complaint} >{output}; printf '\\n%s exit 1\\n' "$1"; exit; }}
(exec {command} </dev/null >{output} 2>&1)
printf '\\n%s exit %s\\n' "$1" "$?"
"""

DIRECT = """\
exec 2>&1 </dev/null
{exports}
cd {cwd} 2>/dev/null || {{ echo {complaint}; exit 1; }}
exec {command}
"""

#: For a terminal: its input stays, and a folder that is missing does not end it.
INTERACTIVE = """\
{exports}
cd {cwd} 2>/dev/null || echo {complaint}
exec {command}
"""


def supervised(argv: Sequence[str], env: Mapping[str, str], cwd: str, output: str) -> bytes:
    """A launcher that prints to the pipe `output` and reports to the supervisor's stream."""
    return _fill(SUPERVISED, argv, env, cwd, output)


def direct(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> bytes:
    """A launcher that prints to its own output and ends with the process' own exit code."""
    return _fill(DIRECT, argv, env, cwd, "")


def interactive(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> bytes:
    """A launcher for a person at a terminal."""
    return _fill(INTERACTIVE, argv, env, cwd, "")


def _fill(
    template: str, argv: Sequence[str], env: Mapping[str, str], cwd: str, output: str
) -> bytes:
    plain = {name: value for name, value in env.items() if NAME.match(name) and name not in SPECIAL}
    rest = [f"{name}={value}" for name, value in env.items() if name not in plain]
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in plain.items())
    text = template.format(
        exports=exports,
        cwd=shlex.quote(cwd),
        complaint=shlex.quote(f"##[error]the working directory `{cwd}` does not exist"),
        command=shlex.join([*(["env", *rest] if rest else []), *argv]),
        output=shlex.quote(output),
    )
    return text.encode(errors="surrogateescape")

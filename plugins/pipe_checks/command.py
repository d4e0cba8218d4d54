"""The check `command`: a program of the user's says whether all is well."""

from pipe_checks.later import later
from pipe_checks.schemas import map_of, table, text, whole
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        "run": text("What to run, as text for a shell.", "./smoke.sh https://shop.example"),
        "on": text(
            "Where: `job`, `local` or `ssh://[user@]host[:port]`. Without it the job's box, or "
            "this machine where there is no job.",
            "local",
        ),
        "exit": whole("The exit code that means success.", 3, default=0, maximum=255),
        "matches": text("A regular expression that is found in what it prints.", "^ready$"),
        "env": map_of(
            ("string", "number", "boolean"),
            "Variables, besides `CHECK_ADDRESS`, `CHECK_INSTANCES` (addresses) and `CHECK_VERSION`.",
            {"MODE": "smoke"},
        ),
    },
    required=["run"],
)

CHECK = PluginCheck("command", SCHEMA, later("command"))

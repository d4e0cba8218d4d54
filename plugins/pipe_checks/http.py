"""The check `http`: what an address answers to a request."""

from pipe_checks.later import later
from pipe_checks.schemas import duration, map_of, table, text, whole
from pipe_checks.shared import ADDRESS, EXPECT, REQUEST
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        **ADDRESS,
        **REQUEST,
        "expect": EXPECT,
        "body": text("Text that the answer's body holds.", "ok"),
        "json": map_of(
            ("string", "number", "boolean", "null"),
            "What the answer, which is JSON, holds: values by their dotted paths.",
            {"version": "${{ deploy.version }}", "checks.0.state": "up"},
        ),
        "matches": text("A regular expression that is found in the body.", "^ok$"),
        "max-time": duration("The longest that the answer may take.", "500ms"),
        "redirects": whole("How many redirects to follow.", 3, default=0, maximum=20),
    }
)

CHECK = PluginCheck("http", SCHEMA, later("http"))

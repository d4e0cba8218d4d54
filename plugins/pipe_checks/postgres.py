"""The check `postgres`: a PostgreSQL server answers, and is as it should be."""

from pipe_checks.later import later
from pipe_checks.schemas import choice, duration, percent, table, text
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        "dsn": text(
            "How to connect: a URL or `name=value` words, as libpq takes them.",
            "${{ secrets.DATABASE_URL }}",
        ),
        "query": text("What to ask; it can change nothing.", "SELECT 1", default="select 1"),
        "expect": {
            "type": ["string", "number", "boolean"],
            "description": "What the first column of the first row holds.",
            "examples": ["1"],
        },
        "min-version": {
            "type": ["string", "number"],
            "description": "The oldest version of the server that is good.",
            "examples": [15, "15.4"],
        },
        "ssl": choice("`required`: the connection has to be encrypted.", "optional", "required"),
        "max-lag": duration("How far a standby may be behind.", "10s"),
        "max-connections": percent("The part of its connections that may be in use.", "80%"),
        "migrations": table(
            {
                "table": text("The table of those that were applied.", "alembic_version"),
                "column": text(
                    "Its column with their versions. Without it `version_num` of "
                    "`alembic_version`, and `version` of others.",
                    "version_num",
                ),
                "version": {
                    "type": ["string", "integer"],
                    "description": "The version that has to be among them.",
                    "examples": ["8f2c1d", 20240131],
                },
            },
            required=["table", "version"],
            description="A migration that has to be applied.",
            examples=[{"table": "alembic_version", "version": "8f2c1d"}],
        ),
    },
    required=["dsn"],
)

CHECK = PluginCheck("postgres", SCHEMA, later("postgres"))

"""The check `load`: how an address does under requests that come at a steady rate."""

from pipe_checks.later import later
from pipe_checks.schemas import choice, duration, number, percent, table, text, whole
from pipe_checks.shared import ADDRESS, EXPECT, REQUEST
from runner.plugin import PluginCheck

RATE = r"([0-9]+(?:\.[0-9]+)?)/([sm])"

SCHEMA = table(
    {
        **ADDRESS,
        **REQUEST,
        "expect": EXPECT,
        "rate": text(
            "How many requests start in a second or minute, however slow the answers are.",
            "20/s",
            "600/m",
            default="20/s",
            pattern=f"^{RATE}$",
        ),
        "for": duration("How long it is measured.", "1m", default="30s"),
        "warm-up": duration("How long requests come before that.", "0s", default="5s"),
        "connections": choice(
            "Connections that are used again, a new one for each request, or half of each.",
            *("both", "keep-alive", "new"),
            default="both",
        ),
        "min-samples": whole(
            "How many requests the comparison needs, of either version.", 500, default=200
        ),
        "max": table(
            {
                "error-rate": percent(
                    "The part of the requests that may fail.", "0.1%", default="1%"
                ),
                "p50": duration("The longest that half of the answers may take.", "50ms"),
                "p95": duration("The longest that 95 of 100 answers may take.", "400ms"),
                "p99": duration("The longest that 99 of 100 answers may take.", "1s"),
                "p95-vs-old": number(
                    "How many times as long as for the old version the time of 95 of 100 answers "
                    "may be. The old version is measured just before.",
                    1.3,
                    minimum=0,
                ),
            },
            description="What is too much.",
            examples=[{"error-rate": "1%", "p95": "400ms", "p95-vs-old": 1.3}],
        ),
    }
)


CHECK = PluginCheck(
    "load", SCHEMA, later("load"), compares=later("load", "compares"), lasts=later("load", "lasts")
)

"""The check `error-rate`: how many of the real requests fail, as the switch or Prometheus counts."""

from pipe_checks.later import later
from pipe_checks.schemas import duration, percent, table, text, whole
from pipe_checks.shared import SERVER
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        "window": duration("How long the switch's counters are watched.", "30s", default="1m"),
        "max": percent("The part of the requests that may fail.", "1%", default="5%"),
        "min-requests": whole("How many requests are needed to tell.", 200, default=50),
        "prometheus": table(
            {
                **SERVER,
                "errors": text(
                    "The query for how many requests failed.",
                    'sum(increase(http_requests_total{code=~"5.."}[1m]))',
                ),
                "requests": text(
                    "The query for how many there were.", "sum(increase(http_requests_total[1m]))"
                ),
            },
            required=["url", "errors", "requests"],
            description="A server that counts instead of the switch; its queries say of what time.",
            examples=[{"url": "http://prometheus:9090", "errors": "…", "requests": "…"}],
        ),
    }
)


CHECK = PluginCheck("error-rate", SCHEMA, later("error_rate"), lasts=later("error_rate", "lasts"))

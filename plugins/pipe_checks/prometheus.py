"""The check `prometheus`: the values of a query are within limits."""

from pipe_checks.later import later
from pipe_checks.schemas import choice, number, table, text, whole
from pipe_checks.shared import SERVER
from runner.plugin import PluginCheck

SCHEMA = table(
    {
        **SERVER,
        "query": text(
            "What to ask, in PromQL. Each of its values, one a series, has to be within the limits.",
            'histogram_quantile(0.95, sum by (le) (rate(http_seconds_bucket{release="7"}[5m])))',
        ),
        "min": number("The least that is good.", 0.99),
        "max": number("The most that is good.", 0.05),
        "samples": text(
            "A query for how many observations there are behind the values. Without it, the values "
            "themselves are counted.",
            'sum(increase(http_requests_total{release="7"}[5m]))',
        ),
        "min-samples": whole("How many of those are needed to tell.", 50, default=1),
        "no-data": choice(
            "The verdict when there are no values.",
            *("pass", "fail", "inconclusive"),
            default="inconclusive",
        ),
    },
    required=["url", "query"],
)

CHECK = PluginCheck("prometheus", SCHEMA, later("prometheus"))

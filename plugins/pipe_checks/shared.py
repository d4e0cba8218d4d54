"""Settings that several checks have."""

from pipe_checks.schemas import Schema, flag, map_of, text, whole

CA: Schema = text(
    "Certificates of authorities to trust besides none other: PEM text, or a file in the job's "
    "workspace (without a job: of this machine).",
    "certs/ca.pem",
)
INSECURE: Schema = flag("Believe every certificate.", default=False)
#: The settings of every check that asks over HTTP.
ADDRESS = {
    "url": text("The absolute URL to ask.", "https://shop.example/health"),
    "path": text(
        "The path to ask for where what is checked answers; of every instance, when it has no "
        "address of its own.",
        "/health/ready",
        pattern="^/",
    ),
    "port": whole("The port, when it is not the one of the address.", 8000, maximum=65535),
}
REQUEST = {
    "method": text("The request's method.", "HEAD", default="GET", pattern="^[A-Z]+$"),
    "headers": map_of(
        ("string", "number"), "Headers to send.", {"Authorization": "Bearer ${{ secrets.TOKEN }}"}
    ),
    "send": text("The request's body.", '{"probe": true}'),
    "host": text("The name to ask for instead of the address: `Host`, and TLS.", "shop.example"),
    "ca": CA,
    "insecure": INSECURE,
}
EXPECT = {
    "type": ["integer", "array"],
    "items": {"type": "integer", "minimum": 100, "maximum": 599},
    "minimum": 100,
    "maximum": 599,
    "minItems": 1,
    "default": 200,
    "description": "The status, or a list of those that are right.",
    "examples": [200, [200, 204]],
}
#: The settings that say where the server is.
SERVER = {
    "url": text("The server's URL.", "http://prometheus.internal:9090"),
    "headers": map_of(
        ("string",), "Headers to send.", {"Authorization": "Bearer ${{ secrets.TOKEN }}"}
    ),
    "ca": CA,
    "insecure": INSECURE,
}

"""What users can write: for the target `docker`, and for the step `uses: image`."""

from collections.abc import Mapping
from typing import Any

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": _TEXT}
_MAP: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}

_CREDENTIALS: Mapping[str, Any] = {
    "type": "object",
    "required": ["username", "password"],
    "additionalProperties": False,
    "description": "The login at the registry; without it that of `docker login` on this machine.",
    "examples": [{"username": "ci", "password": "${{ secrets.REGISTRY }}"}],
    "properties": {
        "username": {**_TEXT, "description": "Who logs in.", "examples": ["ci"]},
        "password": {
            **_TEXT,
            "description": "The password or token, out of a secret.",
            "examples": ["${{ secrets.REGISTRY }}"],
        },
    },
}

IMAGE: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "context": {
            **_TEXT,
            "default": ".",
            "description": "The folder of the workspace that the image is built from; what its "
            "`.dockerignore` names is left out.",
            "examples": [".", "services/shop"],
        },
        "file": {
            **_TEXT,
            "description": "The Dockerfile, a path in the workspace and in the context; "
            "without it the context's `Dockerfile`.",
            "examples": ["services/shop/Dockerfile.production"],
        },
        "target": {**_TEXT, "description": "The stage to build.", "examples": ["runtime"]},
        "args": {
            **_MAP,
            "description": "Values of `ARG`, by name. The image's history shows them: no secrets.",
            "examples": [{"VERSION": "${{ github.sha }}"}],
        },
        "tags": {
            **_TEXTS,
            "description": "Names for the image.",
            "examples": [["registry.example.org/shop:${{ github.sha }}", "shop:latest"]],
        },
        "labels": {
            **_MAP,
            "description": "Labels of the image.",
            "examples": [{"org.opencontainers.image.revision": "${{ github.sha }}"}],
        },
        "pull": {
            "type": "boolean",
            "default": False,
            "description": "Ask the registry for newer base images.",
            "examples": [True],
        },
        "push": {
            "type": "boolean",
            "default": False,
            "description": "Push all tags to their registries.",
            "examples": [True],
        },
        "credentials": _CREDENTIALS,
    },
}


#: What is run.
_WHAT: Mapping[str, Any] = {
    "image": {
        **_TEXT,
        "description": "The image: a name, a name with a digest, or an id. A release keeps the "
        "image that it was first started with.",
        "examples": ["registry.example.org/shop:1.4", "${{ needs.build.outputs.id }}"],
    },
    "pull": {
        "enum": ["missing", "always", "never"],
        "default": "missing",
        "description": "Whether to get the image from its registry.",
        "examples": ["always"],
    },
    "credentials": _CREDENTIALS,
    "command": {
        **_TEXTS,
        "description": "Arguments instead of the image's.",
        "examples": [["serve", "--port", "8000"]],
    },
    "entrypoint": {
        **_TEXTS,
        "description": "The program instead of the image's.",
        "examples": [["/usr/bin/python3"]],
    },
    "env": {
        **_MAP,
        "description": "Variables, by name.",
        "examples": [{"DATABASE_URL": "${{ secrets.DATABASE_URL }}"}],
    },
    "labels": {
        **_MAP,
        "description": "Labels of the containers beside those that Pipe needs.",
        "examples": [{"team": "shop"}],
    },
}

#: Where it runs, and how it is reached.
_WHERE: Mapping[str, Any] = {
    "hosts": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "pattern": "^(local|(ssh|tcp)://.+)$"},
        "default": ["local"],
        "description": "The engines: `local` is this machine's, `ssh://[user@]host[:port]` that of "
        "another one, `tcp://host:port` one that listens (with the certificates of "
        "DOCKER_CERT_PATH when DOCKER_TLS_VERIFY is set).",
        "examples": [["local"], ["ssh://deploy@web1", "ssh://deploy@web2"]],
    },
    "replicas": {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "default": 1,
        "description": "How many containers on each host.",
        "examples": [2],
    },
    "port": {
        "type": "integer",
        "minimum": 1,
        "maximum": 65535,
        "description": "The port inside of the container. Switches and checks need it.",
        "examples": [8000],
    },
    "publish": {
        **_TEXT,
        "description": "An address of the host on which the port is published, under a number that "
        "is free; without it the container's own address is used.",
        "examples": ["127.0.0.1", "10.0.0.5"],
    },
    "network": {
        **_TEXT,
        "description": "A network that exists; without it one of the application and environment "
        "is made.",
        "examples": ["shop-network"],
    },
    "volumes": {
        **_TEXTS,
        "description": "Volumes or folders of the host, `SOURCE:PATH[:ro]`.",
        "examples": [["uploads:/srv/uploads", "/etc/shop:/etc/shop:ro"]],
    },
    "tmpfs": {
        **_TEXTS,
        "description": "Folders in memory, `PATH[:OPTIONS]`.",
        "examples": [["/tmp:size=64m"]],
    },
}

#: What it may do and take.
_HOW: Mapping[str, Any] = {
    "memory": {
        "type": "string",
        "pattern": "^[0-9]+[bkmgBKMG]?$",
        "description": "The most memory that a container gets.",
        "examples": ["512m"],
    },
    "cpus": {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "The most processors that a container gets.",
        "examples": [1.5],
    },
    "user": {
        "type": "string",
        "description": "The user, and the group, that it runs as.",
        "examples": ["1000:1000"],
    },
    "read-only": {
        "type": "boolean",
        "default": False,
        "description": "Nothing in the image can be written to.",
        "examples": [True],
    },
    "cap-drop": {**_TEXTS, "description": "Capabilities to take away.", "examples": [["ALL"]]},
    "cap-add": {
        **_TEXTS,
        "description": "Capabilities to add.",
        "examples": [["NET_BIND_SERVICE"]],
    },
    "security-opt": {
        **_TEXTS,
        "description": "Security options of the engine.",
        "examples": [["no-new-privileges"]],
    },
    "restart": {
        "enum": ["unless-stopped", "no"],
        "default": "unless-stopped",
        "description": "Whether the engine starts a container again that ended.",
        "examples": ["no"],
    },
}


#: Durations of a health check.
_TIMES: Mapping[str, Any] = {
    "interval": {"description": "The time between two.", "examples": ["5s"]},
    "timeout": {"description": "How long one may take.", "examples": ["3s"]},
    "start-period": {
        "description": "How long failures after the start do not count.",
        "examples": ["20s"],
    },
}

#: How it is watched and ended.
_WAITS: Mapping[str, Any] = {
    "stop-grace": {
        "type": "string",
        "default": "10s",
        "description": "How long a container has at least between SIGTERM and SIGKILL.",
        "examples": ["30s"],
    },
    "healthcheck": {
        "type": "object",
        "required": ["command"],
        "additionalProperties": False,
        "description": "A check that the engine does, instead of the image's. Checks of the "
        "deployment do not wait for it.",
        "examples": [{"command": ["curl", "-f", "http://localhost:8000/"], "interval": "5s"}],
        "properties": {
            "command": {
                **_TEXTS,
                "description": "A program in the container that ends with 0 when all is well.",
                "examples": [["curl", "-f", "http://localhost:8000/"]],
            },
            "retries": {
                "type": "integer",
                "minimum": 1,
                "description": "How many failures in a row count.",
                "examples": [3],
            },
        },
    },
}

#: All settings of the target; durations are text here.
SETTINGS: Mapping[str, Any] = {**_WHAT, **_WHERE, **_HOW, **_WAITS}


def target_schema(duration: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the target's settings; `duration` is that of a duration."""
    check = _WAITS["healthcheck"]
    times = {name: {**duration, **words} for name, words in _TIMES.items()}
    waits = {
        "stop-grace": {**_WAITS["stop-grace"], **duration},
        "healthcheck": {**check, "properties": {**check["properties"], **times}},
    }
    return {
        "type": "object",
        "required": ["image"],
        "additionalProperties": False,
        "properties": {**SETTINGS, **waits},
    }

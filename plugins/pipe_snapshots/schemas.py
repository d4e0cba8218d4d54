"""What users can write for each snapshot."""

from collections.abc import Mapping
from typing import Any

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_MACHINE: Mapping[str, Any] = {
    "type": "string",
    "pattern": "^(local|job|ssh://.+)$",
    "default": "local",
    "description": "Where: `ssh://[user@]host[:port]`, `job` for the job's box, or `local`, which its "
    "user has to allow.",
    "examples": ["ssh://deploy@web1"],
}
_RELOAD: Mapping[str, Any] = {
    "type": ["string", "array"],
    "items": _TEXT,
    "minLength": 1,
    "description": "What to run there after they are restored: a command, or several.",
    "examples": ["nginx -s reload"],
}


def _paths(what: str, example: str) -> Mapping[str, Any]:
    return {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "pattern": "^/[^\\u0000-\\u001f]+$"},
        "description": f"{what}: absolute paths of files and folders, in which `*` matches as in a "
        "shell.",
        "examples": [[example]],
    }


def _schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": dict(properties),
    }


def files_schema() -> dict[str, Any]:
    """Of the snapshot `files`."""
    return _schema(
        {
            "paths": _paths("What is kept", "/etc/shop/*.conf"),
            "machine": _MACHINE,
            "exact": {
                "type": "boolean",
                "default": False,
                "description": "Whether restoring removes what was not there when they were kept.",
                "examples": [True],
            },
            "reload": _RELOAD,
        },
        "paths",
    )


def certificates_schema() -> dict[str, Any]:
    """Of the snapshot `certificates`."""
    return _schema(
        {
            "paths": _paths("Certificates and keys", "/etc/shop/tls/*.pem"),
            "machine": _MACHINE,
            "reload": _RELOAD,
        },
        "paths",
    )


def volume_schema() -> dict[str, Any]:
    """Of the snapshot `volume`."""
    return _schema(
        {
            "name": {
                **_TEXT,
                "description": "The Docker volume, on the engine of this machine.",
                "examples": ["shop-uploads"],
            },
            "image": {
                **_TEXT,
                "default": "busybox:1",
                "description": "What the container that reads it is made of; it has to have `sh` and "
                "`find`.",
                "examples": ["busybox:1"],
            },
        },
        "name",
    )


def postgres_schema() -> dict[str, Any]:
    """Of the snapshot `postgres`."""
    return _schema(
        {
            "dsn": {
                **_TEXT,
                "description": "The database, as a URL.",
                "examples": ["${{ secrets.DATABASE_URL }}"],
            },
            "mode": {
                "type": "string",
                "enum": ["schema", "data", "both"],
                "default": "both",
                "description": "What is kept: the tables without their rows, the rows, or both.",
                "examples": ["schema"],
            },
            "machine": {
                **_MACHINE,
                "description": "Where `pg_dump` and `psql` run: `local`, which its user has to "
                "allow, `job`, or `ssh://[user@]host[:port]`.",
            },
            "container": {
                **_TEXT,
                "description": "The container, on the engine of that machine, in which they run.",
                "examples": ["shop-database"],
            },
            "programs": {
                "type": "string",
                "pattern": "^/",
                "description": "The folder of these programs, where they are not in PATH.",
                "examples": ["/usr/lib/postgresql/16/bin"],
            },
        },
        "dsn",
    )

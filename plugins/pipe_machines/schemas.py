"""What users can write for the targets `static`, `systemd` and `command`."""

from collections.abc import Mapping
from typing import Any

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": _TEXT}

_HOSTS: Mapping[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "pattern": "^(local|ssh://.+)$"},
    "default": ["local"],
    "description": "The machines: `ssh://[user@]host[:port]`, or `local`, which its user has to allow.",
    "examples": [["ssh://deploy@web1", "ssh://deploy@web2"]],
}
_ENV: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
    "description": "Variables, by name.",
    "examples": [{"DATABASE_URL": "${{ secrets.DATABASE_URL }}"}],
}
_SHARED: Mapping[str, Any] = {
    **_TEXTS,
    "description": "What outlives releases: paths in `TO/shared` that every release has links to. One "
    "with a slash at its end is a folder, which is made; a file has to be there.",
    "examples": [["uploads/", "config/secret.key"]],
}
_MODE: Mapping[str, Any] = {
    **_TEXT,
    "default": "u=rwX,go=rX",
    "description": "The mode of all files, in the words of `chmod`.",
    "examples": ["u=rwX,g=rX,o="],
}
_OWNER: Mapping[str, Any] = {
    **_TEXT,
    "description": "The user, and the group, that all files belong to; without it who logs in.",
    "examples": ["www-data:www-data"],
}


def _path(of: str) -> Mapping[str, Any]:
    return {
        **_TEXT,
        "description": f"The folder of the job's workspace with {of}.",
        "examples": ["dist"],
    }


def _to(live: str) -> Mapping[str, Any]:
    return {
        "type": "string",
        "pattern": "^/.",
        "description": "The folder on the machines for the releases of this application and "
        f"environment, and for nothing else. {live}",
        "examples": ["/srv/www/shop"],
    }


def _schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": dict(properties),
    }


def static_schema() -> dict[str, Any]:
    """Of the target `static`."""
    properties = {
        "path": _path("the files"),
        "to": _to("The web server's root is `TO/current`."),
        "hosts": _HOSTS,
        "keep-assets": {
            **_TEXTS,
            "description": "Files of the release before that stay reachable, for pages that ask for "
            "them: patterns, in which `*` matches any characters, slashes too.",
            "examples": [["assets/*", "*.js"]],
        },
        "shared": _SHARED,
        "reload": {
            **_TEXT,
            "description": "A script that runs on each machine when the release is live there.",
            "examples": ["systemctl reload nginx"],
        },
        "mode": _MODE,
        "owner": _OWNER,
    }
    return _schema(properties, "path", "to")


def systemd_schema(duration: Mapping[str, Any]) -> dict[str, Any]:
    """Of the target `systemd`; `duration` is the schema of a duration."""
    properties = {
        "path": _path("the program"),
        "to": _to("`TO/blue` and `TO/green` are links to what runs there."),
        "hosts": _HOSTS,
        "run": {
            **_TEXT,
            "description": "The program and its arguments, as in `ExecStart`; see `unit` for what is "
            "filled in. A path that does not begin with a slash is one of the release, and so is "
            "its working folder.",
            "examples": ["bin/server --port {port}", "python3 server.py {port}"],
        },
        "unit": {
            **_TEXT,
            "description": "Instead of `run` a whole unit: a file of the workspace, or its text. "
            "`{folder}`, `{release}`, `{version}`, `{slot}` and `{port}` are filled in.",
            "examples": ["deploy/shop.service"],
        },
        "ports": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {"type": "integer", "minimum": 1, "maximum": 65535},
            "default": [8001, 8002],
            "description": "The ports of blue and green; the program also has its own as `PORT`.",
            "examples": [[9001, 9002]],
        },
        "user": {**_TEXT, "description": "The user that it runs as.", "examples": ["shop"]},
        "env": _ENV,
        "stop-grace": {
            **duration,
            "default": "10s",
            "description": "How long it has at least between SIGTERM and SIGKILL.",
            "examples": ["30s"],
        },
        "shared": _SHARED,
        "mode": _MODE,
        "owner": _OWNER,
    }
    return _schema(properties, "path", "to")


def command_schema() -> dict[str, Any]:
    """Of the target `command`."""
    scripts = {
        "prepare": ("Makes the release ready to start; nobody may see it yet.", "make install"),
        "start": ("Makes the release live, whatever else was so before.", "./live.sh $FOLDER"),
        "stop": ("Stops it, so that `start` can start it again.", "./stop.sh"),
        "observe": (
            "Prints what is live as a line of JSON, or nothing: "
            '`{"release": 3, "version": "1.2", "running": true, "address": "host:port"}`. Without '
            "it Pipe believes what it did last.",
            "./status.sh --json",
        ),
        "remove": ("Undoes `start` when nothing was live before.", "./stop.sh --forever"),
        "available": ("Ends with 0 if the release could start again.", "test -x $FOLDER/shop"),
    }
    properties = {
        "files": _path("what each machine needs, in `FOLDER` then"),
        "to": {
            **_TEXT,
            "description": "The folder on the machines for releases; without it one in the home of "
            "who logs in.",
            "examples": ["/opt/shop"],
        },
        "hosts": _HOSTS,
        **{
            name: {**_TEXT, "description": f"A script for `sh -e`. {words}", "examples": [example]}
            for name, (words, example) in scripts.items()
        },
        "env": _ENV,
    }
    return _schema(properties, "start")

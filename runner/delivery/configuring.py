"""The configuration files of a release: rendered all, and only then written."""

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from runner.delivery.call import Call
from runner.delivery.contained import FailedError, contained
from runner.delivery.definition import Template
from runner.plugin.delivery import DeliveryError, Machine, PluginRenderer

#: Bytes of the largest template, and of the archive that it comes in.
_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Configuration:
    """Files to write, with what renders each: `renderers` knows it by the template's name."""

    files: Sequence[Template]
    renderers: Callable[[str], PluginRenderer]
    call: Call
    say: Callable[[str], None]


def write(configuration: Configuration) -> Mapping[str, Any]:
    """Render them all, write them, and have programs read them again. Raises FailedError, and then
    has written nothing if a template is wrong."""
    files = configuration.files
    texts = [_rendered(configuration, file) for file in files]
    for file, data in zip(files, texts, strict=True):
        _on(configuration, file.machine, "write", _writes(file, data))
        configuration.say(f"{file.template} -> {file.to} on {file.machine}")
    for name, command in dict.fromkeys((each.machine, each.reload) for each in files):
        if command:
            _on(configuration, name, "reload", _runs(command))
            configuration.say(f"ran `{command}` on {name}")
    pairs = zip(files, texts, strict=True)
    return {"files": [{"to": each.to, "sha256": sha256(data).hexdigest()} for each, data in pairs]}


def _rendered(configuration: Configuration, file: Template) -> bytes:
    kind, call = configuration.renderers(file.template), configuration.call
    text = contained(
        f"renderer `{kind.name}`",
        "render",
        lambda: kind.render(lambda path: _read(call, path), file.template, file.vars),
        deadline=call.deadline,
        cancelled=call.cancelled,
    )
    if not isinstance(text, str):
        raise FailedError(f"the renderer `{kind.name}` gave {type(text).__name__} and no text")
    return text.encode()


def _on(
    configuration: Configuration, name: str, what: str, act: Callable[[Machine, Call], None]
) -> None:
    call = configuration.call
    contained(
        f"machine `{name}`",
        what,
        lambda: act(call.machine(name), call),
        deadline=call.deadline,
        cancelled=call.cancelled,
    )


def _writes(file: Template, data: bytes) -> Callable[[Machine, Call], None]:
    return lambda machine, _: machine.write_file(file.to, data, file.mode)


def _runs(command: str) -> Callable[[Machine, Call], None]:
    def run(machine: Machine, call: Call) -> None:
        ended = machine.run(["sh", "-c", command], within=max(1.0, call.remaining()))
        if ended.exit_code:
            said = (ended.stderr or ended.stdout).decode(errors="replace").strip()[-500:]
            raise DeliveryError(f"`{command}` ended with {ended.exit_code}: {said}")

    return run


def _read(call: Call, path: str) -> bytes:
    """A file of the job's workspace. Raises DeliveryError when there is none, or it is too large."""
    packed = b""
    for block in call.pack(path):
        packed += block
        if len(packed) > 2 * _LARGEST:
            raise DeliveryError(f"`{path}` is too large")
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member and member.isreg() else None
            if file is None:
                raise DeliveryError(f"`{path}` is not a file")
            return file.read(_LARGEST)
    except tarfile.TarError as error:
        raise DeliveryError(f"`{path}` cannot be read: {error}") from error

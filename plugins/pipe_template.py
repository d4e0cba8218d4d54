"""Renders text files with Jinja2: the step `uses: template`, and the `files` of deployments."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from runner.plugin import PluginStep, StepCall, StepFailedError, hookimpl

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

    from runner.plugin import PluginRenderer

#: Endings that mark a template; the file that is made of it goes without.
ENDINGS = (".j2", ".jinja", ".jinja2")
DEFAULT_MODE = 0o644
MODE = re.compile("0?[0-7]{3}")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["src", "dest"],
    "additionalProperties": False,
    "properties": {
        "src": {
            "type": "string",
            "minLength": 1,
            "description": "The template: a file, a folder or a pattern such as `conf/**/*.j2`.",
            "examples": ["deploy/nginx.conf.j2", "conf/**/*.j2"],
        },
        "dest": {
            "type": "string",
            "minLength": 1,
            "description": (
                "What to write: a file, or a folder when it ends with `/` or `src` is more than "
                "one file. In a folder, files go without `.j2`, `.jinja` or `.jinja2`."
            ),
            "examples": ["build/nginx.conf", "build/"],
        },
        "vars": {
            "type": "object",
            "description": "What the template can use, by name; a name that is not here is an error.",
            "examples": [{"host": "example.org", "ports": [80, 443]}],
        },
        "mode": {
            "type": "string",
            "pattern": f"^{MODE.pattern}$",
            "default": "0644",
            "description": "The permissions of what is written, in octal and in quotes.",
            "examples": ["0644", "0755"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a template cannot be rendered, and where; `line` is 0 where there is none."""

    file: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A file to write, and the template that it was made of."""

    source: str
    path: str
    data: bytes


@dataclass(slots=True)
class Sources:
    """Reads templates for the engine, and remembers which it has read; `absent` is what reading one
    that is not there raises."""

    read: Callable[[str], bytes]
    absent: type[Exception] = StepFailedError
    texts: dict[str, str] = field(default_factory=dict)

    def load(self, path: str) -> tuple[str, str, None] | None:
        """A template's text and name, None when there is no such file."""
        if path not in self.texts:
            try:
                self.texts[path] = self.read(path).decode()
            except self.absent:
                return None
        return self.texts[path], path, None


@hookimpl
def steps() -> list[PluginStep]:
    return [PluginStep("template", SCHEMA, run)]


@hookimpl
def renderers() -> "list[PluginRenderer]":
    from runner.plugin import PluginRenderer

    return [PluginRenderer("jinja", ENDINGS, render, SCHEMA["properties"]["vars"])]


def render(read: Callable[[str], bytes], template: str, names: Mapping[str, Any]) -> str:
    """See `PluginRenderer`."""
    from runner.plugin import DeliveryError

    sources = Sources(read, DeliveryError)
    result = _render(_environment(sources), sources, template, template, names)
    if isinstance(result, Mistake):
        line = f":{result.line}" if result.line else ""
        raise DeliveryError(f"{result.file}{line}: {result.message}")
    return result.data.decode()


def run(call: StepCall) -> None:
    """Render every file before the first one is written, so that a mistake changes nothing."""
    mode = _mode(call.with_.get("mode"))
    results = list(_render_all(call))
    mistakes = [result for result in results if isinstance(result, Mistake)]
    for mistake in mistakes:
        call.error(mistake.message, file=mistake.file, line=mistake.line)
    if mistakes:
        raise StepFailedError(f"nothing was written: {len(mistakes)} of {len(results)} failed")
    files = [result for result in results if isinstance(result, Rendered)]
    _refuse_clashes(files)
    for file in files:
        call.write_file(file.path, file.data, mode)
        call.log(f"{file.source} -> {file.path}")
    call.set_output("files", "\n".join(file.path for file in files))


# -- what the user gave


def _text(call: StepCall, name: str) -> str:
    value = call.with_.get(name)
    if not isinstance(value, str) or not value:
        raise StepFailedError(f"`{name}` is {value!r} and not a path")
    return value


def _variables(call: StepCall) -> Mapping[str, Any]:
    names = call.with_.get("vars") or {}
    if not isinstance(names, Mapping):
        raise StepFailedError(f"`vars` is {names!r} and not a map")
    return names


def _mode(value: object) -> int:
    if value is None:
        return DEFAULT_MODE
    if not isinstance(value, str) or not MODE.fullmatch(value):
        raise StepFailedError(f'`mode` is {value!r} and not permissions in quotes, as in "0644"')
    return int(value, 8)


# -- which file goes where


def _base(src: str, workspace: str) -> PurePosixPath:
    """What all results have in common: a plain path, or a pattern's part before its wildcards."""
    lines = (line.strip().removeprefix(f"{workspace}/") for line in src.split("\n"))
    wanted = [line for line in lines if line and line[0] not in "!#"]
    if len(wanted) != 1:
        return PurePosixPath()
    parts = PurePosixPath(wanted[0]).parts
    special = (number for number, part in enumerate(parts) if set(part) & set("*?["))
    return PurePosixPath(*parts[: next(special, len(parts))])


def _destination(source: PurePosixPath, base: PurePosixPath, dest: str) -> str:
    """Where a result goes: to `dest` itself, or to the same place below it as below `base`."""
    if source == base and not dest.endswith("/"):
        return dest
    folder = base.parent if source == base else base
    inner = source.relative_to(folder) if source.is_relative_to(folder) else source
    name = inner.with_suffix("") if inner.suffix in ENDINGS else inner
    return str(PurePosixPath(dest) / name)


def _refuse_clashes(files: Sequence[Rendered]) -> None:
    sources: dict[str, str] = {}
    for file in files:
        if file.path in sources:
            both = f"{sources[file.path]} and {file.source}"
            raise StepFailedError(f"{both} would both be written to {file.path}")
        sources[file.path] = file.source


# -- rendering


def _render_all(call: StepCall) -> Iterator[Rendered | Mistake]:
    src, dest, names = _text(call, "src"), _text(call, "dest"), _variables(call)
    found = call.glob(src)
    if not found:
        raise StepFailedError(f"no file matches `src: {src}`")
    base = _base(src, call.workspace)
    sources = Sources(call.read_file)
    environment = _environment(sources)
    for source in found:
        path = _destination(PurePosixPath(source), base, dest)
        yield _render(environment, sources, source, path, names)


def _environment(sources: Sources) -> "SandboxedEnvironment":
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(
        loader=FunctionLoader(sources.load), undefined=StrictUndefined, keep_trailing_newline=True
    )


def _render(
    environment: "SandboxedEnvironment",
    sources: Sources,
    source: str,
    path: str,
    names: Mapping[str, Any],
) -> Rendered | Mistake:
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    try:
        text = _with_its_newlines(environment, sources, source).get_template(source).render(names)
    except TemplateSyntaxError as error:
        return Mistake(error.filename or source, error.lineno, error.message or "it is invalid")
    except TemplateNotFound as error:
        return Mistake(*_place(error, sources, source), f"there is no file `{error.name}`")
    except UnicodeDecodeError:
        return Mistake(source, 0, "a template is not UTF-8 text")
    except Exception as error:  # an expression in a template can raise anything
        return Mistake(*_place(error, sources, source), str(error) or type(error).__name__)
    return Rendered(source, path, text.encode())


def _with_its_newlines(
    environment: "SandboxedEnvironment", sources: Sources, source: str
) -> "SandboxedEnvironment":
    """The engine would turn the line endings of every file into one kind."""
    sources.load(source)
    if "\r\n" in sources.texts.get(source, ""):
        return environment.overlay(newline_sequence="\r\n")
    return environment


def _place(error: Exception, sources: Sources, source: str) -> tuple[str, int]:
    """The last place in a template that an error came through."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    places = [
        (frame.filename, frame.lineno or 0) for frame in frames if frame.filename in sources.texts
    ]
    return places[-1] if places else (source, 0)

"""Loading one plugin and finding out what is wrong with it, so that it cannot harm the others."""

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from runner.errors import Position, Problem, did_you_mean
from runner.plugin import BRINGING, HOOKS, Hooks, PluginStep, hook_manager
from runner.plugins.installed import Installed
from runner.plugins.local import Local

if TYPE_CHECKING:
    from runner.plugin import PluginManager

#: A name that a `uses:` can hold and that means no action, file or image.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
#: What stands between us and a plugin's first line while it is imported.
_IMPORTING = (str(Path(__file__).parent), "<frozen ", str(importlib.__file__))


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What a plugin is. `source` is its distribution or file; one with problems is not used.

    `brings` are the names of its steps, targets and so on, by the hook that gave them.
    """

    name: str
    source: str
    version: str = ""
    brings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        return f"plugin `{self.name}` ({self.source})"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin and the way to call it: `manager` knows this one plugin, and none if it is broken.

    `brought` are the steps, targets and so on, by the hook that gave them.
    """

    info: PluginInfo
    plugin: object
    manager: "PluginManager"
    brought: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def load(found: Installed | Local) -> Loaded:
    """Load a plugin. Whatever it does wrong is in `info.problems`; nothing is raised."""
    info = _info(found)
    try:
        plugin = found.load()
    except (Exception, SystemExit) as error:
        problem = _problem(f"{info} cannot be loaded: {told(error)}", raised_at(error))
        return Loaded(replace(info, problems=(problem,)), None, hook_manager())
    return _examine(info, plugin)


def told(error: BaseException) -> str:
    """An exception in one line, as a traceback ends."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(f"{type(error).__name__}: {text}".split())


def raised_at(error: BaseException, file: str = "") -> Position | None:
    """The last line of `file` that an exception came through; without it, of the plugin's own."""
    import traceback

    if isinstance(error, SyntaxError) and error.filename:
        return Position(error.filename, error.lineno or 1, error.offset or 1)
    frames = traceback.extract_tb(error.__traceback__)
    own = file or next(filter(_is_plugins, (frame.filename for frame in frames)), "")
    lines = [frame.lineno for frame in frames if frame.filename == own and frame.lineno]
    return Position(own, lines[-1], 1) if lines else None


def _is_plugins(file: str) -> bool:
    return not file.startswith(_IMPORTING)


def _info(found: Installed | Local) -> PluginInfo:
    if isinstance(found, Local):
        return PluginInfo(found.name, str(found.path))
    return PluginInfo(found.name, found.distribution or found.value, found.version)


def _problem(message: str, position: Position | None = None, hint: str = "") -> Problem:
    return Problem("plugin", message, position, hint)


def _examine(info: PluginInfo, plugin: object) -> Loaded:
    """Register the plugin with a manager of its own, unless something is wrong with its hooks."""
    manager = hook_manager()
    marked = _marked(manager, plugin)
    problems = [*_unknown_hooks(info, marked), *_no_hooks(info, plugin, marked)]
    problems = problems or list(_misfits(info, marked))
    if problems:
        return Loaded(replace(info, problems=tuple(problems)), plugin, manager)
    manager.register(plugin)
    info = replace(info, hooks=tuple(sorted(marked)))
    return _ask(
        Loaded(info, plugin, manager), {name: marked[name] for name in BRINGING if name in marked}
    )


def _marked(manager: "PluginManager", plugin: object) -> dict[str, Any]:
    """The plugin's functions under `@hookimpl`, by the name of the hook that they mean."""
    options = {name: manager.parse_hookimpl_opts(plugin, name) for name in dir(plugin)}
    return {
        option.get("specname") or name: getattr(plugin, name)
        for name, option in options.items()
        if option is not None
    }


def _unknown_hooks(info: PluginInfo, marked: Mapping[str, Any]) -> Iterator[Problem]:
    for name in sorted(marked.keys() - set(HOOKS)):
        hint = did_you_mean(name, HOOKS) or f"the hooks are: {', '.join(HOOKS)}"
        yield _problem(
            f"{info} has a hook `{name}`, which does not exist", _line(marked[name]), hint
        )


def _no_hooks(info: PluginInfo, plugin: object, marked: Mapping[str, Any]) -> Iterator[Problem]:
    if marked:
        return
    unmarked = [name for name in HOOKS if callable(getattr(plugin, name, None))]
    position = _line(getattr(plugin, unmarked[0])) if unmarked else None
    hint = f"write `@hookimpl` above `def {(unmarked or HOOKS)[0]}`"
    yield _problem(f"{info} has no hooks", position, hint)


def _misfits(info: PluginInfo, marked: Mapping[str, Any]) -> Iterator[Problem]:
    """Hooks that ask for what they are not given; the library checks them, one at a time."""
    for name in sorted(marked):
        try:
            hook_manager().register(SimpleNamespace(**{name: marked[name]}))
        except Exception:
            arguments = ", ".join(signature(getattr(Hooks, name)).parameters)
            hint = f"it is called as `{name}({arguments})`"
            yield _problem(
                f"{info} has a hook `{name}` that does not fit", _line(marked[name]), hint
            )


def _line(function: object) -> Position | None:
    code = getattr(function, "__code__", None)
    return Position(code.co_filename, code.co_firstlineno, 1) if code else None


def _ask(loaded: Loaded, hooks: Mapping[str, object]) -> Loaded:
    """Ask a plugin for all that it brings."""
    brought: dict[str, tuple[Any, ...]] = {}
    for name, hook in hooks.items():
        try:
            answers = getattr(loaded.manager.hook, name)()
            brought[name] = tuple(_checked(name, answers[0] if answers else None))
        except Exception as error:
            place = _line(hook)
            at = raised_at(error, place.file) if place else None
            problem = _problem(
                f"{loaded.info} cannot say what {name} it has: {told(error)}", at or place
            )
            info = replace(loaded.info, hooks=(), problems=(problem,))
            return Loaded(info, loaded.plugin, hook_manager())
    return replace(loaded, info=replace(loaded.info, brings=names_of(brought)), brought=brought)


def names_of(brought: Mapping[str, tuple[Any, ...]]) -> dict[str, tuple[str, ...]]:
    """The names of what a plugin brings."""
    return {hook: tuple(each.name for each in all_) for hook, all_ in brought.items()}


def _checked(hook: str, answer: object) -> Iterator[Any]:
    """What a plugin gave. Raises TypeError or ValueError for what does not belong there."""
    kind, noun = _kind(hook), hook.removesuffix("es" if hook == "switches" else "s")
    names: set[str] = set()
    if not isinstance(answer, Iterable):
        raise TypeError(f"`{hook}` gives a list of {kind.__name__}, not {answer!r}")
    for each in answer:
        if not isinstance(each, kind):
            raise TypeError(f"`{hook}` gives a list of {kind.__name__}, and {each!r} is none")
        if not NAME.match(each.name):
            raise ValueError(f"`{each.name}` cannot be the name of a {noun}")
        if not isinstance(each.schema, Mapping):
            raise TypeError(f"the schema of the {noun} `{each.name}` is not a map")
        if each.name in names:
            raise ValueError(f"there are two {hook} `{each.name}`")
        names.add(each.name)
        yield each


def _kind(hook: str) -> Any:
    """What is expected of a hook; the nouns of deployments are loaded where a plugin brings some."""
    if hook == "steps":
        return PluginStep
    from runner.plugin import delivery

    return {
        "targets": delivery.PluginTarget,
        "switches": delivery.PluginSwitch,
        "checks": delivery.PluginCheck,
        "snapshots": delivery.PluginSnapshot,
        "notifiers": delivery.PluginNotifier,
        "renderers": delivery.PluginRenderer,
    }[hook]

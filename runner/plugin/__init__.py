"""All that a plugin imports: the hooks that it can implement, and the nouns that they speak of.

```python
from runner.plugin import PluginStep, StepCall, hookimpl
```

`docs/plugins.md` is the page for plugin authors.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runner.events import (
    Annotation,
    Event,
    ImagePulling,
    JobEvent,
    JobFinished,
    JobQueued,
    JobStarted,
    Level,
    Note,
    OutputWritten,
    Result,
    RunFinished,
    RunStarted,
    StepEvent,
    StepFinished,
    StepStarted,
    SummaryWritten,
    to_json,
)
from runner.plugin.steps import Completed, PluginStep, StepCall, StepFailedError

if TYPE_CHECKING:
    from pluggy import HookimplMarker
    from pluggy import PluginManager as PluginManager

    from runner.plugin.delivery import (
        DURATION,
        CheckCall,
        CheckResult,
        DeliveryCall,
        DeliveryError,
        Ended,
        Finding,
        Instance,
        Machine,
        Notice,
        Observed,
        PluginCheck,
        PluginNotifier,
        PluginRenderer,
        PluginSnapshot,
        PluginSwitch,
        PluginTarget,
        Release,
        Snapshot,
        Switch,
        Target,
        Traffic,
        Verdict,
        Weights,
        failed,
        inconclusive,
        passed,
        seconds,
    )
    from runner.plugin.fencing import fenced

    hookimpl: HookimplMarker

__all__ = [
    "DURATION",
    "Annotation",
    "CheckCall",
    "CheckResult",
    "Completed",
    "DeliveryCall",
    "DeliveryError",
    "Ended",
    "Event",
    "Finding",
    "Hooks",
    "ImagePulling",
    "Instance",
    "JobEvent",
    "JobFinished",
    "JobQueued",
    "JobStarted",
    "Level",
    "Machine",
    "Note",
    "Notice",
    "Observed",
    "OutputWritten",
    "PluginCheck",
    "PluginNotifier",
    "PluginRenderer",
    "PluginSnapshot",
    "PluginStep",
    "PluginSwitch",
    "PluginTarget",
    "Release",
    "Result",
    "RunFinished",
    "RunStarted",
    "Snapshot",
    "StepCall",
    "StepEvent",
    "StepFailedError",
    "StepFinished",
    "StepStarted",
    "SummaryWritten",
    "Switch",
    "Target",
    "Traffic",
    "Verdict",
    "Weights",
    "failed",
    "fenced",
    "hookimpl",
    "inconclusive",
    "passed",
    "seconds",
    "to_json",
]

#: The group of entry points under which installed plugins are found, and the name of their markers.
GROUP = "pipe"


class Hooks(Protocol):
    """What a plugin can implement: functions of these names, marked with `@hookimpl`.

    Those that bring something are asked once, when the plugin is loaded.
    """

    @staticmethod
    def steps() -> Sequence[PluginStep]:
        """The steps that this plugin brings."""
        ...

    @staticmethod
    def targets() -> "Sequence[PluginTarget]":
        """Where it can deploy to."""
        ...

    @staticmethod
    def switches() -> "Sequence[PluginSwitch]":
        """The proxies whose traffic it can move."""
        ...

    @staticmethod
    def checks() -> "Sequence[PluginCheck]":
        """What it can check of an application."""
        ...

    @staticmethod
    def snapshots() -> "Sequence[PluginSnapshot]":
        """What it can keep and restore."""
        ...

    @staticmethod
    def notifiers() -> "Sequence[PluginNotifier]":
        """The ways in which it can tell people."""
        ...

    @staticmethod
    def renderers() -> "Sequence[PluginRenderer]":
        """The languages of templates that it reads."""
        ...

    @staticmethod
    def on_event(event: Event) -> None:
        """Called for everything that happens in a run, one event at a time, secrets masked.

        The run waits for the answer. A plugin that raises is reported once and then left out.
        """
        ...


#: The hooks that bring something, and those that are told something.
BRINGING = ("steps", "targets", "switches", "checks", "snapshots", "notifiers", "renderers")
HOOKS = (*BRINGING, "on_event")


def __getattr__(name: str) -> Any:
    """What not every run needs: the library behind `hookimpl`, and the nouns of deployments."""
    if name == "hookimpl":
        from pluggy import HookimplMarker

        return HookimplMarker(GROUP)
    if name == "fenced":
        from runner.plugin.fencing import fenced

        return fenced
    if name in __all__:
        from runner.plugin import delivery

        return getattr(delivery, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def hook_manager() -> "PluginManager":
    """A manager that knows the hooks, and no plugin yet."""
    from pluggy import HookspecMarker, PluginManager

    mark = HookspecMarker(GROUP)
    for name in HOOKS:
        mark(getattr(Hooks, name))
    manager = PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    return manager

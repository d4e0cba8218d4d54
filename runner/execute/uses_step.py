"""A `uses:` step: an action that comes with the runner, or a step that a plugin brings."""

from runner.actions.table import native_action
from runner.errors import PipeError
from runner.events import Result
from runner.execute.around import StepEnd, Surroundings
from runner.execute.native_step import native_call, run_native
from runner.execute.reporting import Reporter
from runner.execute.run_step import stop_for
from runner.execute.scope import Scope
from runner.execute.step_call import BoxStepCall, StepStoppedError
from runner.model import Step
from runner.plugin import PluginStep, StepFailedError


def use(around: Surroundings, step: Step, scope: Scope, reporter: Reporter) -> StepEnd:
    """Do once what the step uses. Raises InvalidInputError for inputs that cannot be met."""
    action = native_action(step.uses or "")
    if action is not None:
        return run_native(action.main, native_call(action, around, step, scope, reporter), around)
    stop = stop_for(around, step, scope)
    call = BoxStepCall(
        box=around.box,
        with_=scope.value(step.with_),
        env=scope.contexts["env"],
        workspace=around.box.facts.workspace,
        stop=stop,
        write=lambda data: around.log.write(reporter.number, around.masker.mask(data)),
        reporter=reporter,
    )
    try:
        return _call(around.task.steps[step.uses or ""], call, around, reporter)
    except StepStoppedError as error:
        around.complain(reporter.number, f"{error}")
        ended: Result = "failure" if stop.timed_out == "step" else "cancelled"
        return StepEnd(ended, ended, reason=error.reason)


def _call(
    plugin: PluginStep, call: BoxStepCall, around: Surroundings, reporter: Reporter
) -> StepEnd:
    try:
        plugin.run(call)
    except StepStoppedError:
        raise
    except StepFailedError as error:
        around.complain(reporter.number, f"{error}")
        return StepEnd("failure", "failure")
    except PipeError:
        raise
    except Exception as error:
        # A plugin is somebody else's code: whatever it raises is the step's failure, not ours.
        around.complain(reporter.number, f"the step `{plugin.name}` crashed: {error!r}")
        return StepEnd("failure", "failure", reason="plugin")
    return StepEnd("failure" if reporter.failure else "success", "success")

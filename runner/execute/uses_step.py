"""A `uses:` step: an action of any kind, or a step that a plugin brings."""

from runner.actions.definition import Composite
from runner.actions.table import NATIVE_ACTIONS
from runner.errors import PipeError
from runner.execute.action_inputs import complain_of_inputs
from runner.execute.action_stages import pre_stage, run_main
from runner.execute.around import StepEnd
from runner.execute.composite import run_composite
from runner.execute.job_actions import Loaded
from runner.execute.native_step import run_native
from runner.execute.step_call import BoxStepCall, StepStoppedError
from runner.execute.trying import Try
from runner.plugin import PluginStep, StepFailedError


def use(trying: Try) -> StepEnd:
    """Do once what the step uses. Raises InvalidInputError for inputs that cannot be met."""
    uses, around = trying.step.uses or "", trying.around
    plugin = around.task.steps.get(uses)
    if plugin is not None:
        return _plugin(plugin, trying)
    native = around.actions.native(uses)
    if native:
        return run_native(trying, NATIVE_ACTIONS[native])
    loaded = around.actions.load(uses, around.box, trying.stop())
    for note in around.actions.take_notes():
        trying.say(note)
    complain_of_inputs(trying, loaded.action)
    _complain_of_pre(trying, loaded)
    if isinstance(loaded.action.runs, Composite):
        return run_composite(trying, loaded)
    return run_main(trying, loaded)


def _complain_of_pre(trying: Try, loaded: Loaded) -> None:
    """The folder of a local action may come into being only while the job runs."""
    if pre_stage(loaded) and not trying.around.actions.is_remote(loaded.uses):
        why = "the `pre` of a local action does not run, as on GitHub"
        trying.reporter.annotate("warning", why)


def _plugin(plugin: PluginStep, trying: Try) -> StepEnd:
    around, stop = trying.around, trying.stop()
    call = BoxStepCall(
        box=around.box,
        with_=trying.scope.value(trying.step.with_),
        env=trying.scope.contexts["env"],
        workspace=around.box.facts.workspace,
        stop=stop,
        write=lambda data: around.log.write(trying.number, around.masker.mask(data)),
        reporter=trying.reporter,
    )
    try:
        return _call(plugin, call, trying)
    except StepStoppedError as error:
        return trying.stopped(stop, f"{error}", error.reason)


def _call(plugin: PluginStep, call: BoxStepCall, trying: Try) -> StepEnd:
    try:
        plugin.run(call)
    except StepStoppedError:
        raise
    except StepFailedError as error:
        trying.complain(f"{error}")
        return StepEnd("failure", "failure")
    except PipeError:
        raise
    except Exception as error:
        # A plugin is somebody else's code: whatever it raises is the step's failure, not ours.
        trying.complain(f"the step `{plugin.name}` crashed: {error!r}")
        return StepEnd("failure", "failure", reason="plugin")
    return StepEnd("failure" if trying.reporter.failure else "success", "success")

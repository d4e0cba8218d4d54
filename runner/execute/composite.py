"""A composite action: steps of its own in the place of the one that uses it."""

from runner.actions.definition import Action, Composite
from runner.engines.box import BOX_LOST
from runner.errors import InvalidInputError
from runner.execute.action_inputs import action_inputs
from runner.execute.around import StepEnd
from runner.execute.frame import Frame
from runner.execute.job_actions import DEEPEST, Loaded
from runner.execute.step import StepRun
from runner.execute.trying import Try
from runner.expressions import resolve, to_string


def run_composite(trying: Try, loaded: Loaded) -> StepEnd:
    """Run the action's steps; its outputs are the step's."""
    runs = loaded.action.runs
    assert isinstance(runs, Composite)
    frame = enter(trying, loaded)
    last = _run_steps(trying, runs, frame)
    _take_outputs(trying, loaded.action, frame)
    outcome = frame.status
    if outcome == "success" and trying.reporter.failure:
        trying.complain(trying.reporter.failure)
        outcome = "failure"
    return StepEnd(outcome, outcome, last.exit_code, last.reason)


def enter(trying: Try, loaded: Loaded) -> Frame:
    """The frame of the action's steps. Raises InvalidInputError where it goes too deep."""
    key = (*trying.frame.key, trying.step.id)
    if len(key) > DEEPEST:
        raise InvalidInputError(f"`{loaded.uses}`: actions use each other more than {DEEPEST} deep")
    document = loaded.action.document
    assert document is not None
    github = {
        "action_path": loaded.inside,
        "action_repository": loaded.repository,
        "action_ref": loaded.ref,
    }
    return Frame(
        document.locate,
        key,
        inputs=action_inputs(trying, loaded.action),
        env={**trying.frame.env, **trying.scope.own_env},
        github=github,
        deadline=trying.stop().deadline,
        goes_on=trying.goes_on,
    )


def _run_steps(trying: Try, runs: Composite, frame: Frame) -> StepEnd:
    """How the last step that did not succeed ended, or else that all did."""
    around, worst = trying.around, StepEnd("success", "success")
    for step in runs.steps:
        if around.clock.ending() and not trying.goes_on():
            # From here on only those steps go on that want to even then.
            frame.status = "cancelled"
        if around.clock.immediately() or trying.unwanted():
            frame.status = "cancelled"
            return StepEnd("cancelled", "cancelled", reason="cancelled")
        run = StepRun(around, step, trying.number, frame, unwanted=trying.unwanted, nested=True)
        end = run.run()
        _keep(trying, run)
        if end.outcome == "cancelled":
            frame.status = "cancelled"
        if end.conclusion in ("failure", "cancelled"):
            worst = end
        if end.reason == BOX_LOST:
            break
    return worst


def _keep(trying: Try, run: StepRun) -> None:
    """What a step of the action leaves to the job, it leaves as a part of the one that uses it."""
    trying.process = run.process or trying.process
    trying.reporter.variables.update(run.variables)
    trying.reporter.path += run.path


def _take_outputs(trying: Try, action: Action, frame: Frame) -> None:
    contexts = {**trying.scope.contexts, "inputs": dict(frame.inputs or {}), "steps": frame.steps}
    for name, value in action.outputs.items():
        try:
            trying.reporter.outputs[name] = to_string(resolve(value, contexts))
        except InvalidInputError as error:
            trying.reporter.fail(f"output `{name}` of the action: {error.message}")

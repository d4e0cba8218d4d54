"""The stages of a JavaScript or Docker action: before the job's steps, in its place, and after."""

from collections.abc import Mapping
from dataclasses import dataclass

from runner.actions.definition import Composite, Docker, Node, Stage
from runner.execute.action_inputs import action_inputs, as_variables
from runner.execute.around import StepEnd
from runner.execute.docker_action import run_container
from runner.execute.job_actions import Loaded
from runner.execute.node import find_node
from runner.execute.post import Post, shown_as
from runner.execute.process import carry_out, make_process
from runner.execute.trying import Try


def pre_stage(loaded: Loaded) -> Stage | None:
    """What the action wants to do before the job's first step; None for most."""
    return None if isinstance(loaded.action.runs, Composite) else loaded.action.runs.pre


def run_main(trying: Try, loaded: Loaded) -> StepEnd:
    """Do what the action is for; its last stage follows at the end of the job."""
    runs = loaded.action.runs
    assert not isinstance(runs, Composite)
    if runs.post:
        trying.around.add_post(
            Post(
                shown_as(trying.step, "Post", runs.post.condition),
                trying.frame,
                RunStage(loaded, runs.post.run),
            )
        )
    return RunStage(loaded, runs.main if isinstance(runs, Node) else runs.entrypoint)(trying)


@dataclass(frozen=True, slots=True)
class RunStage:
    """Runs a file, or an entrypoint, of an action.

    What one stage keeps in GITHUB_STATE the later ones of the same use get back.
    """

    loaded: Loaded
    stage: str

    def __call__(self, trying: Try) -> StepEnd:
        around, loaded = trying.around, self.loaded
        key = (*trying.frame.key, trying.step.id)
        inputs = action_inputs(trying, loaded.action)
        trying.scope.tell_whose(loaded.repository, loaded.ref)
        kept = around.kept.get(key, {})
        env = {**as_variables(inputs), **{f"STATE_{name}": kept[name] for name in kept}}
        if isinstance(loaded.action.runs, Docker):
            entrypoint = self.stage or inputs.get("entrypoint", "")
            end = run_container(trying, loaded, entrypoint, inputs, env)
        else:
            end = self._run_node(trying, env)
        around.kept[key] = {**kept, **trying.reporter.states}
        return end

    def _run_node(self, trying: Try, env: Mapping[str, str]) -> StepEnd:
        box, runs = trying.around.box, self.loaded.action.runs
        assert isinstance(runs, Node)
        node = find_node(trying.around, runs.version)
        process = make_process(
            trying,
            box,
            box.new_folder(),
            argv=(node, f"{self.loaded.inside}/{self.stage}"),
            cwd=box.facts.workspace,
            env=env,
        )
        return carry_out(
            trying,
            process,
            lambda process, write, stop, end: box.run(process, write, stop, end=end),
        )

"""A `run:` step: its script as a process in a box."""

from runner.engines.box import Box, Image, Process
from runner.execute.around import StepEnd
from runner.execute.process import carry_out, make_process
from runner.execute.shells import argv_for, script_name, script_text
from runner.execute.trying import Try


def run_script(trying: Try) -> StepEnd:
    """Run the step's script once."""
    box = _box(trying)
    process = _process(trying, box)
    return carry_out(
        trying, process, lambda process, write, stop, end: box.run(process, write, stop, end=end)
    )


def _box(trying: Try) -> Box:
    around = trying.around
    if not trying.step.image:
        return around.box
    return around.box.beside(Image(trying.scope.text(trying.step.image)), around.pulling)


def _process(trying: Try, box: Box) -> Process:
    scope = trying.scope
    shell = scope.text(_setting(trying, "shell")) or None
    folder = box.new_folder()
    scope.tell_where(folder)
    name = script_name(shell)
    return make_process(
        trying,
        box,
        folder,
        argv=argv_for(shell, f"{folder}/{name}", box.facts.shells),
        cwd=_working_directory(trying),
        files={name: script_text(shell, scope.text(trying.step.run))},
    )


def _setting(trying: Try, name: str) -> str | None:
    """A step's own setting, or that of the nearest defaults."""
    places = (trying.step, *trying.frame.defaults)
    return next((value for place in places if (value := getattr(place, name)) is not None), None)


def _working_directory(trying: Try) -> str:
    workspace = trying.around.box.facts.workspace
    folder = trying.scope.text(_setting(trying, "working_directory"))
    return folder if folder.startswith("/") else f"{workspace}/{folder}".rstrip("/")

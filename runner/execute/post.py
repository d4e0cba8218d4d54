"""What is to be done at the end of a job, because a step has begun something."""

from dataclasses import dataclass, replace

from runner.execute.frame import Frame
from runner.execute.trying import Work
from runner.model import Step, Templated


def shown_as(step: Step, word: str, condition: Templated) -> Step:
    """The step as it is shown, and with the condition that holds, while it is at that stage."""
    name = f"{word} {step.name or f'Run {step.uses}'}"
    return replace(step, name=name, condition=condition, named=False, retry=None)


@dataclass(frozen=True, slots=True)
class Post:
    """`step` is as it is shown, with the condition and the settings that hold for it."""

    step: Step
    frame: Frame
    work: Work

    def is_of(self, other: "Post") -> bool:
        """Whether both end the same use of an action, which may have been tried again."""
        return (self.frame.key, self.step.id) == (other.frame.key, other.step.id)

"""What is to be done at the end of a job, because a step has begun something."""

from dataclasses import dataclass

from runner.execute.frame import Frame
from runner.execute.trying import Work
from runner.model import Step


@dataclass(frozen=True, slots=True)
class Post:
    """`step` is as it is shown, with the condition and the settings that hold for it."""

    step: Step
    frame: Frame
    work: Work

    def is_of(self, other: "Post") -> bool:
        """Whether both end the same use of an action, which may have been tried again."""
        return (self.frame.key, self.step.id) == (other.frame.key, other.step.id)

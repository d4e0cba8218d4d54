"""What makes pipelines run again: changes of files, those that count, and when they are complete."""

from runner.triggers.files import FileWatch
from runner.triggers.parts import is_in, parts_of
from runner.triggers.patterns import Wanted, wanted
from runner.triggers.pending import Pending
from runner.triggers.source import Source

__all__ = ["FileWatch", "Pending", "Source", "Wanted", "is_in", "parts_of", "wanted"]

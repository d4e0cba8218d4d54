"""The pipelines of stored runs, made from their texts again."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from runner.model import Pipeline
from runner.parse.build import build
from runner.source import load

_NO_CALLS: Mapping[str, str] = {}


def load_pipeline(file: str, text: str, called: Mapping[str, str] = _NO_CALLS) -> Pipeline:
    """The pipeline in `text`, known to users as `file`, with those that it calls.

    They have to have passed `parse` once, as all that is planned has: they are not checked again,
    which takes longer than all else that is done with them here.
    """
    pipeline = _built(file, text)
    if not called:
        return pipeline
    return replace(pipeline, called={name: _built(name, text) for name, text in called.items()})


@lru_cache(maxsize=64)
def _built(file: str, text: str) -> Pipeline:
    return build(load(text, file))

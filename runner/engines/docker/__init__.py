"""The Docker engine."""

from runner.engines.box import EngineError
from runner.engines.docker.engine import DockerEngine

__all__ = ["DockerEngine", "EngineError"]

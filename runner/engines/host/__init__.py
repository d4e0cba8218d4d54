"""The engine that runs jobs as processes of this machine, without a container."""

from runner.engines.host.engine import HostEngine

__all__ = ["HostEngine"]

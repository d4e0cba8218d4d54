"""The services of a job: containers on one network with the job's own, under their ids."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.engines.aside import Aside
from runner.engines.box import EngineError, Progress, Service, ServiceFacts, Stop, Write
from runner.engines.docker.forwarding import Forward, forwards_of
from runner.engines.docker.images import Images
from runner.engines.docker.options import ALIASES, apply_options
from runner.engines.docker.plan import Plan, environment, labels
from runner.engines.docker.ports import published, read_ports
from runner.engines.docker.removal import Reaper

if TYPE_CHECKING:
    from docker import APIClient

#: Seconds between looks at a service that is starting: at first, how they grow, at most.
FIRST, GROWTH, LONGEST = 0.05, 1.5, 2.0
#: Seconds between looks at whether the job should end.
TICK = 0.1
#: What is shown of a service that failed, and what the engine keeps of one at all.
LAST_LINES, MOST = 50, 1 << 16
LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}}


@dataclass(frozen=True, slots=True)
class Watch:
    """Who waits for a box, and what they want to hear."""

    progress: Progress
    write: Write
    stop: Stop


class JobServices:
    """Started side by side, and with the job's own container; removed with its box."""

    def __init__(
        self, api: "APIClient", images: Images, reaper: Reaper, plan: Plan, watch: Watch
    ) -> None:
        self._api = api
        self._images = images
        self._reaper = reaper
        self._plan = plan
        self._watch = watch
        self._lock = threading.Lock()
        self._created: list[str] = []
        self._given_up = False
        self._starting: list[tuple[Service, Aside[str]]] = []
        #: The ports of services that became ready.
        self.forwards: list[Forward] = []

    def begin(self) -> None:
        """Make the network and start the services, on the side. Raises InvalidInputError."""
        if not self._plan.has_network:
            return
        configs = [(each, self._config(each)) for each in self._plan.spec.services]
        self._network = Aside(self._make_network, "pipe-network")
        for service, config in configs:
            name = f"pipe-service {service.id}"
            self._starting.append((service, Aside(self._starter(service, config), name)))

    def _make_network(self) -> str:
        box = self._plan.folder.label
        made = self._api.create_network(
            f"pipe-{box}", driver="bridge", labels=labels(self._plan.spec, box)
        )
        return str(made["Id"])

    def join_network(self, config: dict[str, Any]) -> None:
        """Have the job's container be on the network, once that is there."""
        if self._plan.has_network:
            _join(config, self._network.result(), self._plan.aliases)

    def facts(self, container: str) -> dict[str, Any]:
        """What the job is to know, once all services are ready: fields of BoxFacts.

        Raises EngineError when one is not going to be.
        """
        ports = published(self._api.inspect_container(container)) if self._plan.spec.ports else {}
        if not self._plan.has_network:
            return {"ports": ports}
        started = [(service, self._outcome(aside)) for service, aside in self._starting]
        services = {service.id: self._ready(service, each) for service, each in started}
        return {"network": self._network.result(), "ports": ports, "services": services}

    def give_up(self) -> None:
        """Nothing more is created, and what was is removed now."""
        with self._lock:
            self._given_up = True
        for container in self._created:
            self._reaper.discard(container)

    # -- starting

    def _config(self, service: Service) -> dict[str, Any]:
        key = f"services.{service.id}"
        exposed, bindings = read_ports(service.ports, f"{key}.ports")
        config: dict[str, Any] = {
            "Env": environment(service.env),
            "Labels": labels(self._plan.spec, self._plan.folder.label),
            "ExposedPorts": exposed,
            "HostConfig": {
                "LogConfig": LOG,
                "SecurityOpt": ["label=disable"],
                "Binds": list(service.volumes),
                "PortBindings": bindings,
                "Mounts": [],
            },
        }
        apply_options(service.options, config, f"{key}.options", fixed=())
        chosen = {"Entrypoint": list(service.entrypoint), "Cmd": list(service.command)}
        return config | {name: words for name, words in chosen.items() if words}

    def _starter(self, service: Service, config: dict[str, Any]) -> Callable[[], str]:
        def start() -> str:
            image = self._images.get(service.image, self._watch.progress)
            aliases = [service.id, *config.pop(ALIASES, [])]
            _join(config, self._network.result(), aliases)
            container = self._create({**config, "Image": image.id})
            self._start(service, container)
            return container

        return start

    def _create(self, config: Mapping[str, Any]) -> str:
        with self._lock:
            if self._given_up:
                raise EngineError("engine", "the job ended while its services started")
            container = str(self._api.create_container_from_config(config)["Id"])
            self._created.append(container)
        return container

    def _start(self, service: Service, container: str) -> None:
        from docker.errors import APIError

        try:
            self._api.start(container)
        except APIError as error:
            text = str(error.explanation).strip()
            raise EngineError("service", f"service `{service.id}` cannot start: {text}") from error

    # -- becoming ready

    def _outcome(self, aside: Aside[str]) -> str:
        while not aside.wait(TICK):
            self._check_stop()
        return aside.result()

    def _check_stop(self) -> None:
        if reason := self._watch.stop.reason():
            raise EngineError(reason, "the job was ended while its services started")

    def _ready(self, service: Service, container: str) -> ServiceFacts:
        pause = FIRST
        while True:
            found = self._api.inspect_container(container)
            if self._is_ready(service, container, found["State"]):
                ports = published(found)
                self.forwards += forwards_of(service.id, found)
                return ServiceFacts(container, self._network.result(), ports)
            self._check_stop()
            time.sleep(pause)
            pause = min(pause * GROWTH, LONGEST)

    def _is_ready(self, service: Service, container: str, state: Mapping[str, Any]) -> bool:
        """False while it is starting. Raises EngineError when it will not be ready."""
        health = state.get("Health") or {}
        if not state["Running"]:
            self._show_log(service, container)
            raise _failed(service, f"ended with exit code {state['ExitCode']}")
        match health.get("Status"):
            case None | "" | "none" | "healthy":
                return True
            case "starting":
                return False
        self._show_log(service, container)
        raise _failed(service, f"is not healthy{_last_check(health)}")

    def _show_log(self, service: Service, container: str) -> None:
        from docker.errors import APIError

        self._watch.write(f"the last lines of service {service.id}:\n".encode())
        # An engine may be set up so that it cannot read its logs.
        with contextlib.suppress(APIError):
            shown = self._api.logs(container, stdout=True, stderr=True, tail=LAST_LINES)
            self._watch.write(shown[-MOST:] + (b"" if shown.endswith(b"\n") else b"\n"))


def _join(config: dict[str, Any], network: str, aliases: list[str]) -> None:
    config["HostConfig"]["NetworkMode"] = network
    config["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": aliases}}}


def _failed(service: Service, how: str) -> EngineError:
    return EngineError("service", f"service `{service.id}` {how}", hint="its last lines are above")


def _last_check(health: Mapping[str, Any]) -> str:
    checks = health.get("Log") or []
    text = " ".join(str(checks[-1].get("Output") or "").split()) if checks else ""
    return f": {text[:500]}" if text else ""

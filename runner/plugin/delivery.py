"""What plugins of deployments are given, and what they give back.

The order of a deployment is not theirs: the runner decides what happens next, writes down what it
is about to do, and calls. Every call has a `key`; a call that is repeated with its key, because
nobody knows whether it was done, has to end in the same state.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from runner.parse.durations import parse_duration

#: A check's answer. `inconclusive`: there is too little to tell; `error`: it could not be asked.
Verdict = Literal["pass", "fail", "inconclusive", "error"]
#: The share of new requests that each instance gets, 0 to 100 against each other, by its name.
Weights = Mapping[str, int]


class DeliveryError(Exception):
    """Raise this when a call cannot be done; its text is what the user reads."""


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable version of an application in one environment.

    `id` numbers the releases of that pair from 1; `settings` are the `with` of its target, with all
    expressions evaluated.
    """

    application: str
    environment: str
    id: int
    version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy of a release, or the place of one.

    `name` is unique in the application and environment, and the same for all releases that take the
    same place: `blue-1`. `slot` is one of those that the target declares. `address` is `host:port`
    as switches and checks of this machine reach it, and may change with every start; `inside` is
    the same by a lasting name, for containers on the instance's own network.
    """

    name: str
    slot: str = ""
    host: str = ""
    address: str = ""
    inside: str = ""
    release: int = 0
    version: str = ""
    is_running: bool = False
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """What is really there. `active` maps places of a target without slots to releases that they
    serve."""

    instances: tuple[Instance, ...] = ()
    active: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that speaks against a deployment; an error keeps it from starting."""

    message: str
    level: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a switch has counted for one instance since it was started; times are seconds."""

    requests: int = 0
    errors: int = 0
    mean_time: float | None = None
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ended, with all that it printed."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """Its standard output as text, without the white space around it."""
        return self.stdout.decode(errors="replace").strip()


class Machine(Protocol):
    """Where programs run: the job's box, this machine, or one that is reached over SSH.

    Paths are absolute, or start at the job's workspace or the user's home folder. Every method
    raises DeliveryError when the machine cannot be reached.
    """

    @property
    def name(self) -> str:
        """As the user wrote it."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | Iterator[bytes] = b"",  # noqa: A002 - as in `subprocess.run`
        within: float = 30.0,
        output: BinaryIO | None = None,
    ) -> Ended:
        """Run a program to its end; one that takes more than so many seconds is a DeliveryError.

        A program that fails is no error of this method. What it prints goes to `output`, all of
        it, if that is given; otherwise only the first few megabytes are kept.
        """
        ...

    def read_file(self, path: str) -> bytes | None:
        """All of a file; None when there is none."""
        ...

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Replace a file in one step, so that nobody ever reads half of it; makes its folder."""
        ...

    def unpack(self, path: str, blocks: Iterator[bytes]) -> None:
        """Fill a folder, which is made, with a tar stream."""
        ...


class DeliveryCall(Protocol):
    """What every call of a plugin is given besides its subject."""

    @property
    def application(self) -> str: ...

    @property
    def environment(self) -> str: ...

    @property
    def deployment(self) -> int:
        """The deployment's number; 0 outside of one."""
        ...

    @property
    def key(self) -> str:
        """The same for every repetition of the same call, and for no other."""
        ...

    @property
    def token(self) -> int:
        """Grows with every holder of the environment's lock: who has seen a higher one refuses."""
        ...

    @property
    def folder(self) -> Path:
        """A folder of this machine for what the plugin has to remember of this application and
        environment. It is kept as long as Pipe's home is."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """To put on everything that is made, so that it is found again by these."""
        ...

    def remaining(self) -> float:
        """Seconds until the call has to return; it is given up then."""
        ...

    def cancelled(self) -> bool:
        """Whether somebody waits for the call to end early."""
        ...

    def log(self, text: str) -> None:
        """Print to the step's log; a newline is added."""
        ...

    def mask(self, value: str) -> None:
        """Hide a secret in everything that is printed or recorded from now on."""
        ...

    def machine(self, name: str) -> Machine:
        """`job`: the job's box. `local`: this machine, if its user allows it.
        `ssh://[user@]host[:port]`: another one. Raises DeliveryError."""
        ...

    def pack(self, path: str) -> Iterator[bytes]:
        """A file or folder of the job's workspace as a tar stream; a folder's names start below it.

        Raises DeliveryError when there is no such file, or no job (in a recovery).
        """
        ...


class Target(Protocol):
    """Where releases go live. Every method raises DeliveryError when it cannot do its part."""

    def preflight(self, call: DeliveryCall, release: Release) -> Sequence[Finding]:
        """What would keep this release from going live; changes nothing."""
        ...

    def observe(self, call: DeliveryCall) -> Observed:
        """What is there now, whoever put it there: the truth for a recovery."""
        ...

    def places(self, call: DeliveryCall, release: Release, slot: str) -> Sequence[Instance]:
        """The places that the release takes in a slot ("" when there are none), in a steady order;
        changes nothing."""
        ...

    def prepare(self, call: DeliveryCall, release: Release) -> None:
        """Bring what the release consists of: pull, copy, unpack. Nothing is visible of it yet."""
        ...

    def start(
        self, call: DeliveryCall, release: Release, places: Sequence[Instance]
    ) -> Sequence[Instance]:
        """Run the release in these places, and return them with their addresses.

        Whatever else was there before gives way. With a target without slots this makes the
        release the one that is served there.
        """
        ...

    def stop(self, call: DeliveryCall, instances: Sequence[Instance], grace: float) -> None:
        """Stop them, but keep them for a way back; those that are stopped or gone are no error."""
        ...

    def remove(self, call: DeliveryCall, instances: Sequence[Instance]) -> None:
        """Stop and forget them; those that are gone are no error."""
        ...

    def available(self, call: DeliveryCall, release: Release) -> bool:
        """Whether `start` could run this release again without `prepare`."""
        ...

    def prune(self, call: DeliveryCall, keep: Collection[int]) -> Sequence[str]:
        """Remove what belongs to releases other than these, and say what that was; never what
        runs."""
        ...


class Switch(Protocol):
    """Moves traffic between instances. Every method raises DeliveryError."""

    @property
    def address(self) -> str:
        """Where it takes requests, as this machine reaches it: `http://127.0.0.1:8080`; "" when it
        does not know."""
        ...

    def preflight(self, call: DeliveryCall) -> Sequence[Finding]:
        """What would keep it from working; changes nothing."""
        ...

    def observe(self, call: DeliveryCall) -> Weights:
        """What the switch itself says now, with the instances that it knows."""
        ...

    def apply(self, call: DeliveryCall, instances: Sequence[Instance], weights: Weights) -> Weights:
        """Give the instances these weights, and all others none; returns what the switch says then.

        An instance of weight 0 gets no new request; those that it has go on.
        """
        ...

    def traffic(
        self, call: DeliveryCall, instances: Sequence[Instance]
    ) -> Mapping[str, Traffic] | None:
        """What it has counted, by the instance's name; None when it does not count."""
        ...


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check's answer, with what it is based on."""

    verdict: Verdict
    message: str = ""
    value: float | None = None
    limit: float | None = None
    samples: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def passed(message: str = "", **details: Any) -> CheckResult:
    """It is as it should be; `details` are the other fields of CheckResult."""
    return CheckResult("pass", message, **details)


def failed(message: str, **details: Any) -> CheckResult:
    """It is not as it should be."""
    return CheckResult("fail", message, **details)


def inconclusive(message: str, **details: Any) -> CheckResult:
    """There is too little to tell."""
    return CheckResult("inconclusive", message, **details)


class CheckCall(DeliveryCall, Protocol):
    """What a check is given. Whatever it raises is the verdict `error`."""

    @property
    def with_(self) -> Mapping[str, Any]:
        """Its settings, with all expressions evaluated."""
        ...

    @property
    def address(self) -> str:
        """Where what is checked answers: `http://host:port`; "" when nobody said."""
        ...

    @property
    def version(self) -> str:
        """The version that should answer there; "" outside of a deployment."""
        ...

    @property
    def instances(self) -> Sequence[Instance]:
        """The instances that are checked, when there are any."""
        ...

    @property
    def before(self) -> "CheckResult | None":
        """What the same check found for the version before, if it was asked then."""
        ...

    def observe(self) -> Sequence[Instance]:
        """The same instances as their target sees them now, without those that are gone."""
        ...

    def traffic(self) -> Mapping[str, Traffic] | None:
        """What the switch has counted, by the instance's name; None when nothing counts."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleep; False as soon as the check has to end instead."""
        ...


class Snapshot(Protocol):
    """Keeps something that a rollback may restore. Every method raises DeliveryError."""

    def create(self, call: DeliveryCall, folder: Path) -> Mapping[str, Any]:
        """Write it into an empty folder; returns what is good to know about it."""
        ...

    def verify(self, call: DeliveryCall, folder: Path) -> Sequence[Finding]:
        """What would keep it from being restored; changes nothing."""
        ...

    def restore(self, call: DeliveryCall, folder: Path) -> None:
        """Bring back what `create` kept there."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people want to be told. `data` is plain JSON for machines.

    `id` is the same whenever the same thing is told again, because nobody knows whether it arrived.
    """

    kind: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class PluginTarget:
    """A target that pipelines use by name: `deploy: {target: <name>}`.

    `open` makes a Target from evaluated settings; `schema` is the JSON schema (draft-07) of those.
    With two `slots` a new version runs beside the old one; with none it takes its place.
    """

    name: str
    schema: Mapping[str, Any]
    open: Callable[[Mapping[str, Any]], Target]
    slots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PluginSwitch:
    """A switch: `deploy: {switch: {use: <name>, with: ...}}`."""

    name: str
    schema: Mapping[str, Any]
    open: Callable[[Mapping[str, Any]], Switch]


@dataclass(frozen=True, slots=True)
class PluginCheck:
    """A check: `verify: [{<name>: ...}]`.

    Its schema may not have the settings that all checks have: `name`, `interval`, `timeout`,
    `successes`, `failures`, `within` and `required`. Where `compares` says so of its settings, it is
    asked about the old version too, before any traffic moves; that answer is `CheckCall.before`.
    `lasts` says how many seconds it takes with its settings where all goes well, because it watches
    for a while: its call ends so much later than others.
    """

    name: str
    schema: Mapping[str, Any]
    run: Callable[[CheckCall], CheckResult]
    compares: Callable[[Mapping[str, Any]], bool] = lambda _: False
    lasts: Callable[[Mapping[str, Any]], float] = lambda _: 0.0


@dataclass(frozen=True, slots=True)
class PluginSnapshot:
    """A way to keep something: `snapshot: [{<name>: ...}]`.

    What `holds_data` of users is restored only when a person says so, and never by a rollback.
    """

    name: str
    schema: Mapping[str, Any]
    open: Callable[[Mapping[str, Any]], Snapshot]
    holds_data: bool = False


@dataclass(frozen=True, slots=True)
class PluginNotifier:
    """Tells people: `notify: [{<name>: ...}]`. `send` is repeated until it does not raise.

    Its schema may not have `on`, which all of them have.
    """

    name: str
    schema: Mapping[str, Any]
    send: Callable[[Mapping[str, Any], Notice], None]


@dataclass(frozen=True, slots=True)
class PluginRenderer:
    """A language of templates: `deploy: {files: [{template: nginx.conf.j2, to: ...}]}`.

    `render` makes the text of the template at a path from names and their values; it reads that
    file, and those that it includes, with its first argument. Raises DeliveryError, with the file
    and the line, for what is wrong with them. `endings` are those of the files' names, and `schema`
    is that of all names together.
    """

    name: str
    endings: tuple[str, ...]
    render: Callable[[Callable[[str], bytes], str, Mapping[str, Any]], str]
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})


def seconds(duration: str) -> float:
    """`90s`, `5m` or `1h30m` in seconds. Raises DeliveryError for what is none."""
    from runner.errors import InvalidInputError

    try:
        return parse_duration(duration)
    except InvalidInputError as error:
        raise DeliveryError(error.message) from error


#: For the schema of a setting that `seconds` reads.
DURATION: Mapping[str, Any] = {
    "type": "string",
    "pattern": "^(?=[0-9])([0-9]+(\\.[0-9]+)?d)?([0-9]+(\\.[0-9]+)?h)?([0-9]+(\\.[0-9]+)?m)?"
    "([0-9]+(\\.[0-9]+)?s)?([0-9]+ms)?$",
    "title": "a duration with units",
}

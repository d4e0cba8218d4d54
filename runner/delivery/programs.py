"""Running a program of this machine to its end, with limits to its time and its output."""

import contextlib
import io
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from runner.plugin.delivery import DeliveryError, Ended

#: Bytes of output that are kept of one program.
MOST = 4_000_000
#: Seconds for what a program leaves running that still holds its output open.
_PATIENCE = 5.0


def run_program(
    argv: Sequence[str],
    given: Iterable[bytes],
    *,
    env: Mapping[str, str],
    within: float,
    name: str,
    cwd: str | None = None,
    most: int = MOST,
    output: BinaryIO | None = None,
) -> Ended:
    """Run it with `given` as its input; `name` is what messages call it, `most` bytes are kept.

    All of its standard output goes to `output` if there is one. Raises DeliveryError when it cannot
    be started, takes too long, or its input cannot be had.
    """
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DeliveryError(f"cannot run `{argv[0]}`: {reason}") from error
    return _communicate(process, given, within, name, most, output)


def _communicate(
    process: "subprocess.Popen[bytes]",
    given: Iterable[bytes],
    within: float,
    name: str,
    most: int,
    output: BinaryIO | None,
) -> Ended:
    feeding = _Feeding(process, given)
    found: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    readers: list[_Writing | threading.Thread] = [
        threading.Thread(target=_read, args=(getattr(process, stream), kept, most), daemon=True)
        for stream, kept in found.items()
        if stream == "stderr" or output is None
    ]
    writing = _Writing(process, output) if output else None
    readers += [writing] if writing else []
    for thread in (feeding, *readers):
        thread.start()
    try:
        code = process.wait(within)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()
        raise DeliveryError(f"{name} took more than {within:g} s, and was ended") from None
    for thread in (feeding, *readers):
        thread.join(_PATIENCE)
    feeding.check(name)
    if writing:
        writing.check(name)
    return Ended(code if code >= 0 else 128 - code, *(bytes(kept) for kept in found.values()))


class _Feeding(threading.Thread):
    """Gives a program its input. When that breaks off the program is killed: it would take the
    part that it has for all of it."""

    def __init__(self, process: "subprocess.Popen[bytes]", given: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._given = given
        self._error: Exception | None = None

    def run(self) -> None:
        assert self._process.stdin is not None
        stream = self._process.stdin
        try:
            for block in self._given:
                try:
                    stream.write(block)
                    stream.flush()
                except OSError:
                    return  # it does not want to read on
        except Exception as error:
            self._error = error
            _kill(self._process)
        finally:
            with contextlib.suppress(OSError):
                stream.close()

    def check(self, name: str) -> None:
        """Raises DeliveryError if the input broke off."""
        if isinstance(self._error, DeliveryError):
            raise self._error
        if self._error is not None:
            raise DeliveryError(f"the input of {name} broke off: {self._error}") from self._error


class _Writing(threading.Thread):
    """Takes all that a program prints. When that cannot be written the program is killed."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: BinaryIO) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._output = output
        self._error: OSError | None = None

    def run(self) -> None:
        assert isinstance(self._process.stdout, io.BufferedReader)
        with self._process.stdout as stream:
            try:
                while block := stream.read1(65536):
                    self._output.write(block)
            except OSError as error:
                self._error = error
                _kill(self._process)

    def check(self, name: str) -> None:
        """Raises DeliveryError unless all of it was written."""
        if self._error is not None:
            raise DeliveryError(f"the output of {name} cannot be written: {self._error.strerror}")
        if self.is_alive():
            raise DeliveryError(f"{name} left something running that still prints")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(stream: io.BufferedReader, kept: bytearray, most: int) -> None:
    with stream:
        while block := stream.read1(65536):
            kept += block[: max(0, most - len(kept))]

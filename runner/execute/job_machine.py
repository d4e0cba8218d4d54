"""The job's box as a machine that plugins of deployments run programs on."""

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from runner.execute.step_call import BoxStepCall
from runner.plugin import StepFailedError
from runner.plugin.delivery import DeliveryError, Ended


@dataclass(frozen=True, slots=True)
class JobMachine:
    """See `runner.plugin.Machine`. A program's time is that of the step."""

    call: BoxStepCall

    @property
    def name(self) -> str:
        return "job"

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | Iterator[bytes] = b"",  # noqa: A002 - as in `subprocess.run`
        within: float = 30.0,
        output: BinaryIO | None = None,
    ) -> Ended:
        """Run a program to its end; its standard error goes to the step's log."""
        given = input if isinstance(input, bytes) else b"".join(input)
        try:
            limited = ["timeout", "-k", "1", f"{within:g}", *argv] if within else list(argv)
            completed = self.call.run(limited, env=env, input=given)
        except StepFailedError as error:
            raise DeliveryError(f"{error}") from error
        if output is None:
            return Ended(completed.exit_code, completed.stdout)
        output.write(completed.stdout)
        return Ended(completed.exit_code)

    def read_file(self, path: str) -> bytes | None:
        try:
            return self.call.read_file(path)
        except StepFailedError:
            return None

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        try:
            self.call.write_file(path, data, mode)
        except StepFailedError as error:
            raise DeliveryError(f"{error}") from error

    def unpack(self, path: str, blocks: Iterator[bytes]) -> None:
        with tarfile.open(fileobj=io.BytesIO(b"".join(blocks))) as archive:
            for member in archive:
                source = archive.extractfile(member)
                if source is not None:
                    self.write_file(f"{path}/{member.name}", source.read(), member.mode)

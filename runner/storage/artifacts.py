"""The artifacts of runs: for each a record, in the folder of its run, that names a blob."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from runner.errors import InvalidInputError
from runner.storage.blobs import BlobStore
from runner.storage.records import read_record, records, records_below, write_record
from runner.storage.shared import leftovers, look_again, write_file
from runner.storage.tar_read import Piece
from runner.storage.untrusted import Tally

DAY = 24 * 3600.0


class NameTakenError(InvalidInputError):
    """The run has an artifact of that name already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"this run has an artifact `{name}` already, and an artifact is never changed",
            hint="give it another name, or set `overwrite: true`",
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """An archive that a job of a run left. `size` is that of its `files` together."""

    id: int
    name: str
    run: int
    job: str
    attempt: int
    project: str
    digest: str
    size: int
    files: int
    created: float
    expires: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Who stores an artifact."""

    project: str
    run: int
    job: str
    attempt: int


class ArtifactStore:
    """The artifacts in one folder. Names are unique in a run; of several attempts the last counts."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self.folder = folder
        self._blobs = blobs

    def of_run(self, run: int, now: float | None = None) -> list[Artifact]:
        """Those that have not expired, in the order in which they were stored."""
        moment = time.time() if now is None else now
        found = (artifact for _, artifact in _all(records(self.folder / str(run))))
        return sorted((each for each in found if each.expires > moment), key=lambda each: each.id)

    def check_free(self, origin: Origin, name: str, *, overwrite: bool) -> None:
        """Raises NameTakenError when an artifact of that name could not be stored now."""
        values = read_record(self._path(origin.run, name))
        before = _artifact(values) if values else None
        if before is None or overwrite or before.expires <= time.time():
            return
        if before.job != origin.job or before.attempt >= origin.attempt:
            raise NameTakenError(name)

    def store(
        self,
        origin: Origin,
        name: str,
        pieces: Iterable[Piece],
        tally: Tally,
        *,
        days: float,
        overwrite: bool = False,
    ) -> Artifact:
        """Keep an archive under that name; `tally` is right once the pieces were used up.

        Raises NameTakenError, also when somebody else stored that name meanwhile, and
        EnvironmentMissingError when the disk does not take it.
        """
        self.check_free(origin, name, overwrite=overwrite)
        with self._blobs.draft(pieces) as draft, self._blobs.locked():
            look_again(self.folder / str(origin.run))
            self.check_free(origin, name, overwrite=overwrite)
            now = time.time()
            artifact = Artifact(
                id=self._next_id(),
                name=name,
                run=origin.run,
                job=origin.job,
                attempt=origin.attempt,
                project=origin.project,
                digest=draft.blob.digest,
                size=tally.bytes,
                files=tally.files,
                created=now,
                expires=now + days * DAY,
            )
            draft.keep()
            write_record(self._path(origin.run, name), asdict(artifact))
        return artifact

    def adopt(self, earlier: int, run: int, jobs: Mapping[str, str]) -> None:
        """Give a run the artifacts of jobs of an earlier one, whose results it reuses.

        `jobs`: key in the earlier run -> key in this one. An artifact of attempt 0 is one that the
        job itself may still replace. Doing so again changes nothing.
        """
        with self._blobs.locked():
            look_again(self.folder / str(run))
            names = {artifact.name for artifact in self.of_run(run)}
            for artifact in self.of_run(earlier):
                if artifact.job in jobs and artifact.name not in names:
                    job = jobs[artifact.job]
                    own = replace(artifact, id=self._next_id(), run=run, job=job, attempt=0)
                    write_record(self._path(run, own.name), asdict(own))

    def read(self, artifact: Artifact) -> Iterator[bytes]:
        """Its archive. Raises CorruptBlobError, at the end, when it is not what was stored."""
        return self._blobs.read(artifact.digest)

    def forget_expired(self, now: float) -> set[str]:
        """Remove what has expired; returns the digests that are still needed. Inside the lock."""
        needed = set()
        for path, artifact in _all(records_below(self.folder)):
            if artifact.expires > now:
                needed.add(artifact.digest)
            else:
                path.unlink()
        for part in leftovers(self.folder, "*/.*"):
            part.unlink(missing_ok=True)  # whoever wrote it is dead: we have the lock
        return needed

    def _path(self, run: int, name: str) -> Path:
        # The name may be longer than a file's, and is one of a stranger.
        return self.folder / str(run) / f"{hashlib.sha256(name.encode()).hexdigest()}.json"

    def _next_id(self) -> int:
        file = self.folder / "last-id"
        look_again(self.folder)
        last = int(file.read_text()) if file.exists() else 0
        write_file(file, str(last + 1).encode())
        return last + 1


def _all(found: Iterable[tuple[Path, dict[str, Any]]]) -> Iterator[tuple[Path, Artifact]]:
    for path, values in found:
        artifact = _artifact(values)
        if artifact is not None:
            yield path, artifact


def _artifact(values: dict[str, Any]) -> Artifact | None:
    """None for a record of a version that kept other things."""
    names = {each.name for each in fields(Artifact)}
    return Artifact(**values) if values.keys() == names else None

"""The snapshot `postgres`: a database as SQL, made by `pg_dump` and restored in one transaction."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

from pipe_snapshots.files import blocks
from runner.plugin import DeliveryCall, DeliveryError, Ended, Finding

DUMP = "dump.sql"
TABLES = "tables"
_END = b"database dump complete"
#: What `psql` prints when it has read the last line.
_DONE = "restored-by-pipe"
_MODES = {"schema": ["--schema-only"], "data": ["--data-only"], "both": ["--clean", "--if-exists"]}
_LIST = """
SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
#: How libpq calls what a URL's query may say.
_OPTIONS = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "host": "PGHOST"}


class PostgresSnapshot:
    """Holds nothing but its settings. The password is only ever in a program's environment."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._mode = str(settings.get("mode") or "both")
        self._env = environment(str(settings["dsn"]))
        self._machine = str(settings.get("machine") or "local")
        self._container = str(settings.get("container") or "")
        self._folder = str(settings.get("programs") or "").rstrip("/")

    def create(self, call: DeliveryCall, folder: Path) -> Mapping[str, Any]:
        programs = self._programs(call)
        version = programs.check_versions()
        tables = programs.ask(_LIST)
        (folder / TABLES).write_text(tables)
        with (folder / DUMP).open("xb") as dump:
            ended = programs.run("pg_dump", *_MODES[self._mode], output=dump)
        programs.succeeded(ended, "cannot be kept")
        return {"database": self._env["PGDATABASE"], "mode": self._mode, "server": version}

    def verify(self, call: DeliveryCall, folder: Path) -> Sequence[Finding]:
        with (folder / DUMP).open("rb") as dump:
            dump.seek(max(0, dump.seek(0, 2) - 4096))
            is_whole = _END in dump.read()
        return [] if is_whole else [Finding("the dump was cut off")]

    def restore(self, call: DeliveryCall, folder: Path) -> None:
        """In one transaction, which only the last line of the input commits: a stream that breaks
        off changes nothing."""
        for finding in self.verify(call, folder):
            raise DeliveryError(finding.message)
        programs = self._programs(call)
        given = self._script(folder, programs.ask(_LIST).splitlines())
        ended = programs.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", given=given)
        programs.succeeded(ended, "cannot be restored, and is as it was")
        if not ended.text.endswith(_DONE):
            raise DeliveryError("the dump ended too early: the database is as it was")

    def _script(self, folder: Path, there: Sequence[str]) -> Iterator[bytes]:
        """Tables that are there now, and were not then, go with `both`."""
        yield b"BEGIN;\n"
        tables = (folder / TABLES).read_text().splitlines()
        others = [each for each in there if each not in tables]
        if self._mode == "data" and tables:
            yield f"TRUNCATE {', '.join(tables)} CASCADE;\n".encode()
        if self._mode == "both" and others:
            yield f"DROP TABLE {', '.join(others)} CASCADE;\n".encode()
        yield from blocks(folder / DUMP)
        yield f"\nCOMMIT;\n\\echo {_DONE}\n".encode()

    def _programs(self, call: DeliveryCall) -> "Programs":
        return Programs(call, self._machine, self._container, self._folder, self._env)


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's own programs, on a machine or in a container of it."""

    call: DeliveryCall
    machine: str
    container: str
    folder: str
    env: Mapping[str, str]

    def run(
        self, program: str, *arguments: str, given: Iterator[bytes] | bytes = b"",
        output: BinaryIO | None = None,
    ) -> Ended:  # fmt: skip
        """Run one of them to its end."""
        path = f"{self.folder}/{program}" if self.folder else program
        argv = [path, *arguments]
        if self.container:
            names = [each for name in self.env for each in ("-e", name)]
            argv = ["docker", "exec", "-i", *names, self.container, *argv]
        machine, within = self.call.machine(self.machine), self.call.remaining()
        return machine.run(argv, env=self.env, input=given, within=within, output=output)

    def ask(self, query: str) -> str:
        """All rows of one column, a line each."""
        ended = self.run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", query)
        return self.succeeded(ended, "does not answer").text

    def check_versions(self) -> str:
        """The server's version. Raises DeliveryError when `pg_dump` is older."""
        said = self.succeeded(self.run("pg_dump", "--version"), "cannot be kept").text
        found = _VERSION.search(said)
        server = self.ask("SHOW server_version")
        ours, theirs = int(found[1]) if found else 0, int(re.split(r"\D", server)[0] or 0)
        if ours < theirs:
            raise DeliveryError(
                f"`pg_dump` on {self._where} is of PostgreSQL {ours or said}, and the server of "
                f"{theirs}: install the programs of that version there, or name their folder in "
                "`programs`"
            )
        return server

    def succeeded(self, ended: Ended, what: str) -> Ended:
        """Raises DeliveryError with what the program said."""
        if not ended.exit_code:
            return ended
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        why = next((line for line in said if "ERROR" in line or "error:" in line), "")
        why = why or (said[0] if said else f"exit code {ended.exit_code} on {self._where}")
        raise DeliveryError(f"the database {self.env['PGDATABASE']} {what}: {why}")

    @property
    def _where(self) -> str:
        return f"{self.machine}, in {self.container}" if self.container else self.machine


def environment(dsn: str) -> dict[str, str]:
    """A URL as the variables that libpq reads. Raises DeliveryError for what is none."""
    try:
        url = urlsplit(dsn)
        port = url.port
    except ValueError:
        raise DeliveryError("`dsn` is not a URL") from None
    if url.scheme not in ("postgres", "postgresql") or not url.path.strip("/"):
        raise DeliveryError("`dsn` has to be a URL: postgresql://user@host:port/database")
    unknown = [name for name, _ in parse_qsl(url.query) if name not in _OPTIONS]
    if unknown:
        raise DeliveryError(f"`dsn` has `{unknown[0]}`, which is not read here")
    found = {
        "PGHOST": url.hostname or "",
        "PGPORT": str(port or ""),
        "PGUSER": unquote(url.username or ""),
        "PGPASSWORD": unquote(url.password or ""),
        "PGDATABASE": unquote(url.path.strip("/")),
        "PGCONNECT_TIMEOUT": "10",
        **{_OPTIONS[name]: value for name, value in parse_qsl(url.query)},
    }
    return {name: value for name, value in found.items() if value}

"""The snapshot `certificates`: files, of which it is noted whose they are and when they end."""

import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipe_snapshots.files import ARCHIVE, FilesSnapshot
from runner.plugin import DeliveryCall, Finding, Machine

#: Bytes of the largest file in which certificates are looked for.
_LARGEST = 1_000_000
_SHOW = ["openssl", "x509", "-noout", "-subject", "-enddate", "-nameopt", "RFC2253"]
_WHEN = "%b %d %H:%M:%S %Y GMT"


class CertificatesSnapshot(FilesSnapshot):
    """See FilesSnapshot; needs `openssl` on the machine for what it notes."""

    def create(self, call: DeliveryCall, folder: Path) -> Mapping[str, Any]:
        about = super().create(call, folder)
        machine = call.machine(self._machine)
        return {**about, "certificates": list(_described(machine, folder))}

    def verify(self, call: DeliveryCall, folder: Path) -> Sequence[Finding]:
        findings = super().verify(call, folder)
        if findings:
            return findings
        return [
            Finding(f"the certificate {each['path']} ended on {each['ends']}", "warning")
            for each in _described(call.machine(self._machine), folder)
            if each["ends"] and time.strptime(each["ends"], _WHEN) < time.gmtime()
        ]


def _described(machine: Machine, folder: Path) -> Iterator[dict[str, str]]:
    with tarfile.open(folder / ARCHIVE) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            data = file.read(_LARGEST) if file and member.size <= _LARGEST else b""
            if b"-----BEGIN CERTIFICATE-----" in data:
                yield {"path": "/" + member.name.removeprefix("./"), **_shown(machine, data)}


def _shown(machine: Machine, data: bytes) -> dict[str, str]:
    """Of the first certificate in a file, which is that of the server."""
    start = data.index(b"-----BEGIN CERTIFICATE-----")
    ended = machine.run(_SHOW, input=data[start:])
    found = dict(line.partition("=")[::2] for line in ended.text.splitlines() if "=" in line)
    return {"subject": found.get("subject", "").strip(), "ends": found.get("notAfter", "").strip()}

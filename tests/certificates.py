"""An authority of the tests' own, and certificates by it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext


@dataclass(frozen=True)
class Authority:
    """Signs certificates; its own is the file `ca.pem` of its folder."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def create(self) -> None:
        name = ["-subj", "/CN=Authority of tests"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
        self._run(
            "req", "-x509", *key, *name, "-keyout", "ca.key", "-out", "ca.pem", "-days", "365"
        )

    def context(self, name: str, *names: str, days: int = 90) -> SSLContext:
        """What a server with a new certificate needs; `name` is that of its files."""
        alternatives = ",".join(names or ["DNS:shop.example", "IP:127.0.0.1"])
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
        self._run(
            "req", "-new", *key, "-subj", "/CN=shop", "-keyout", f"{name}.key", "-out", "csr.pem"
        )
        (self.folder / "names").write_text(f"subjectAltName={alternatives}\n")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "names", "-days", str(days)]
        self._run("x509", "-req", "-in", "csr.pem", *signed, "-out", f"{name}.pem")
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

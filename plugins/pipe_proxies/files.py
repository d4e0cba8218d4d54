"""Files of ours that a proxy reads: whole at any time."""

import os
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """All of a file at once, and on disk: nobody ever finds half of it, also after a crash."""
    written = file.with_name(f"{file.name}.new")
    with written.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    written.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Single files of the job's workspace."""

import io
import tarfile

from runner.plugin import DeliveryCall, DeliveryError

#: Bytes of the largest file that is read, and of the archive that it comes in.
LARGEST = 65_536


def read_file(call: DeliveryCall, path: str) -> str:
    """Raises DeliveryError when there is no such file, or it is no text."""
    packed = b""
    for block in call.pack(path):
        packed += block
        if len(packed) > 4 * LARGEST:
            raise DeliveryError(f"`{path}` is too large")
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member and member.isreg() else None
            if file is None:
                raise DeliveryError(f"`{path}` is not a file")
            return file.read(LARGEST).decode()
    except (tarfile.TarError, UnicodeDecodeError) as error:
        raise DeliveryError(f"`{path}` cannot be read: {error}") from error

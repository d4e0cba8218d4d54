"""What deployments keep: the snapshots `files`, `certificates`, `volume` and `postgres`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipe_snapshots.schemas import certificates_schema, files_schema, postgres_schema, volume_schema
from runner.plugin import hookimpl

if TYPE_CHECKING:
    from runner.plugin import PluginSnapshot, Snapshot


@hookimpl
def snapshots() -> "list[PluginSnapshot]":
    from runner.plugin import PluginSnapshot

    return [
        PluginSnapshot("files", files_schema(), _files),
        PluginSnapshot("certificates", certificates_schema(), _certificates),
        PluginSnapshot("volume", volume_schema(), _volume, holds_data=True),
        PluginSnapshot("postgres", postgres_schema(), _postgres, holds_data=True),
    ]


def _files(settings: Mapping[str, Any]) -> "Snapshot":
    from pipe_snapshots.files import FilesSnapshot

    return FilesSnapshot(settings)


def _certificates(settings: Mapping[str, Any]) -> "Snapshot":
    from pipe_snapshots.certificates import CertificatesSnapshot

    return CertificatesSnapshot(settings)


def _volume(settings: Mapping[str, Any]) -> "Snapshot":
    from pipe_snapshots.volume import VolumeSnapshot

    return VolumeSnapshot(settings)


def _postgres(settings: Mapping[str, Any]) -> "Snapshot":
    from pipe_snapshots.postgres import PostgresSnapshot

    return PostgresSnapshot(settings)

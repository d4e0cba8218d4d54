"""Where this process deploys."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runner.plugins import Plugins
from runner.store import Store

if TYPE_CHECKING:
    from runner.delivery.order import Desk


def desk_of(store: Store, plugins: Plugins) -> "Desk":
    """The desk with that store and those plugins; loads what no other run needs."""
    from runner.delivery.order import Desk
    from runner.store.process import process_identity

    return Desk(store, plugins, process_identity())


@contextmanager
def telling_what_waits(store: Store, secrets: Mapping[str, str]) -> Iterator[None]:
    """Send, while the body runs, what other processes were to tell people and could not."""
    from runner.store import outbox

    if not outbox.waiting(store.notes):
        yield
        return
    from runner.delivery.telling import telling
    from runner.plugins import load_plugins
    from runner.project import home_folder, sub_folder

    plugins = load_plugins(None, sub_folder(home_folder(), "cache"))
    with telling(desk_of(store, plugins), secrets):
        yield

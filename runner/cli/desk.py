"""Where this process deploys."""

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

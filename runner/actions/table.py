"""The actions that come with the runner, by name; any version of them."""

from collections.abc import Mapping
from types import MappingProxyType

from runner.actions import artifact, cache, checkout
from runner.actions.native import NativeAction

_ACTIONS = (
    checkout.CHECKOUT,
    artifact.UPLOAD,
    artifact.DOWNLOAD,
    cache.CACHE,
    cache.RESTORE,
    cache.SAVE,
)
NATIVE_ACTIONS: Mapping[str, NativeAction] = MappingProxyType(
    {action.name: action for action in _ACTIONS}
)

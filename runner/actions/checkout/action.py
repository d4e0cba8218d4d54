"""`actions/checkout`: what is here already, another commit of it, or another repository."""

from runner.actions.checkout import here, other
from runner.actions.checkout.place import discard
from runner.actions.checkout.wanted import INPUTS, Wanted, read_wanted
from runner.actions.checkout.work import KEPT
from runner.actions.native import NativeAction, NativeCall
from runner.expressions import to_string

#: What of `github` names the source of this run.
_NAMES = ("ref", "sha", "ref_name", "head_ref")


def checkout(call: NativeCall) -> None:
    """Have in the box what the inputs ask for. Raises PipeError."""
    wanted = read_wanted(call)
    if _is_here(call, wanted):
        here.check_out(call, wanted)
    else:
        other.check_out(call, wanted)


def forget(call: NativeCall) -> None:
    """Remove the credentials that were kept for later steps."""
    for folder in call.state.pop(KEPT, "").split():
        discard(call, folder)


def _is_here(call: NativeCall, wanted: Wanted) -> bool:
    known = {to_string(call.github.get(name)) for name in _NAMES}
    return not wanted.repository and wanted.ref in {"", *known}


CHECKOUT = NativeAction(
    name="actions/checkout",
    inputs=INPUTS,
    outputs=("ref", "commit"),
    main=checkout,
    post=forget,
    post_if_kept=True,
)

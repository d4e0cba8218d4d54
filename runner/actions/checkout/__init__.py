"""`actions/checkout`: git works on this machine, and what it made goes into the box as files."""

from runner.actions.checkout.action import CHECKOUT

__all__ = ["CHECKOUT"]

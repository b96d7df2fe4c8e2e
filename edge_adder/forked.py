"""What becomes of a loaded model in a forked process.

A fork copies a session without its threads, and with its locks as they were: a run, and even the
end of the session, may wait for ever. So the child leaves every session that it got alone and makes
a new one when it first needs it.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Protocol


class Reopening(Protocol):
    """A model that can do without its session for a while."""

    def _forget_session(self) -> object:
        """Give up the session, and make a new one when it is needed."""


_models: weakref.WeakSet[Reopening] = weakref.WeakSet()


def watch(model: Reopening) -> None:
    """Have a model forget its session in every process that is forked from now on."""
    _models.add(model)


def _begin_anew() -> None:
    for model in list(_models):
        session = model._forget_session()  # noqa: SLF001  of the protocol
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))  # its end would wait for its threads


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)

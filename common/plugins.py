"""Code of your own: every command imports the modules that `OCCFACE_PLUGINS` names, and these register what they add.

Files of configuration and of weights name what is registered already; they import nothing.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable

from common.errors import UserError

VARIABLE = "OCCFACE_PLUGINS"
HINT = f"one of your own is known when {VARIABLE} names its module, see docs/adding.md"


def load_plugins() -> None:
    """Import the modules that the environment variable names, separated by commas.

    Raises:
        UserError: a module cannot be found.
    """
    for name in filter(None, os.environ.get(VARIABLE, "").replace(" ", "").split(",")):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(
                f"{VARIABLE} names {name!r}, which cannot be imported ({error}); put its folder into PYTHONPATH"
            ) from error


def known_name(name: str, known: Iterable[str], *, what: str) -> str:
    """Return `name` if it is among the `known`.

    Args:
        known: names, in the order in which they are told.
        what: is named, for the message.

    Raises:
        ValueError: it is not; the message lists those that are.
    """
    names = list(known)
    if name not in names:
        raise ValueError(f"unknown {what}; known: {', '.join(names)}; {HINT}")
    return name

"""Errors that a user can mend, told apart from faults of the program."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

Parameters = ParamSpec("Parameters")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Of files and folders that may not be touched, or are something else than expected; and of a disk that fails.
NOT_USABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EIO,
)  # fmt: skip


class UserError(Exception):
    """A mistake that the user can mend: the message says what was expected, what came and what to do."""


class RecordError(UserError):
    """One bad input among many: a job records it under `outcome`, counts it and goes on.

    Args:
        message: what was expected, what came, in which file, and the next step.
        outcome: short machine-readable word for reports, e.g. "unreadable_image".
    """

    def __init__(self, message: str, *, outcome: str = "unusable") -> None:
        super().__init__(message)
        self.outcome = outcome

    def __reduce__(self) -> tuple[object, ...]:
        # The default pickling calls the class with `args` only and would lose `outcome` between processes.
        return functools.partial(type(self), outcome=self.outcome), self.args


def disk_full_message(error: OSError, path: object) -> str:
    """Return what to tell about an error with one of the numbers in `DISK_FULL`, met while writing `path`."""
    return (
        f"{path}: cannot be written, the disk is full ({error.strerror}); free some space and "
        "run the same command again: it goes on where it stopped"
    )


def not_usable_message(error: OSError) -> str:
    """Return what to tell about an error with one of the numbers in `NOT_USABLE`, which has the path."""
    return (
        f"{error.filename}: cannot be opened or written ({error.strerror}); see that the path is right and may be "
        "written to, or name another place"
    )


def exit_on_user_error(main: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Return `main` such that a `UserError`, a full disk or a forbidden path prints "error: ..." and exits 2.

    All else keeps its traceback.
    """

    @functools.wraps(main)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except OSError as error:
            if error.errno in DISK_FULL:
                told = disk_full_message(error, error.filename or "the output")
            elif error.errno in NOT_USABLE and error.filename:
                told = not_usable_message(error)
            else:
                raise
            print(f"error: {told}", file=sys.stderr)
            sys.exit(2)
        except MemoryError:
            print("error: the memory is full; run the same command again with fewer processes, threads or workers, or "
                  "smaller batches: it goes on where it stopped", file=sys.stderr)  # fmt: skip
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to go on", file=sys.stderr)
            sys.exit(130)

    return wrapped

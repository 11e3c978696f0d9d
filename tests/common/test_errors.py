from __future__ import annotations

import errno
import pickle

import pytest

from common.errors import RecordError, UserError, exit_on_user_error
from common.image_io import UnreadableImageError


@pytest.mark.parametrize("kind", [RecordError, UnreadableImageError])
def test_outcomes_survive_pickling(kind: type[RecordError]) -> None:
    again = pickle.loads(pickle.dumps(kind("a message", outcome="odd")))
    assert (type(again), str(again), again.outcome) == (kind, "a message", "odd")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserError("mend it"), 2, "error: mend it\n"),
        (OSError(errno.ENOSPC, "No space left", "mask.png"), 2, "error: mask.png: cannot be written, the disk is full"),
        (KeyboardInterrupt(), 130, "run the same command again"),
    ],
)
def test_mistakes_of_the_user_end_with_a_message(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @exit_on_user_error
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code
    assert text in capsys.readouterr().err


def test_faults_of_the_program_keep_their_traceback() -> None:
    @exit_on_user_error
    def main() -> None:
        raise KeyError("fault")

    with pytest.raises(KeyError):
        main()

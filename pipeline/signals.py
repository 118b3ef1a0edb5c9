"""How a process ends when it is asked to: by Ctrl-C (SIGINT), or by a cluster (SIGTERM).

Training puts the end off until a checkpoint is written; everything else ends at once and leaves no
half-written file. A shell sees the status 128 + number: 130 and 143.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

ASKED = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM's counterpart of KeyboardInterrupt; the text says what is kept."""


def raise_on_term() -> None:
    """Let SIGTERM raise Terminated, so that half-written files are cleared away."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, end)


class Request:
    """What a process was asked while it could not end.

    Attributes:
        number: the signal's, 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def deferred() -> Iterator[Request]:
    """Note the first signal instead of obeying it; a second SIGINT is obeyed.

    Not a second SIGTERM: a cluster sends it to every process, and `torchrun` hands on its own.
    Signals that the process ignores stay ignored.
    """
    request = Request()
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        request.number = request.number or number
        if number == signal.SIGINT:
            signal.signal(number, before[signal.SIGINT])

    try:
        for asked in ASKED:
            if signal.getsignal(asked) != signal.SIG_IGN:
                before[asked] = signal.signal(asked, note)
        yield request
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)


def obey(number: int, kept: str) -> NoReturn:
    """End as the signal `number` asks; `kept` tells the user what is."""
    raise KeyboardInterrupt(kept) if number == signal.SIGINT else Terminated(kept)


def leave_signals_to_parent(worker: int) -> None:
    """Ignore, in a worker process, what its whole group is asked: the parent decides and ends it.

    Args:
        worker: its number, which torch's loader gives.
    """
    for asked in ASKED:
        signal.signal(asked, signal.SIG_IGN)

"""What a user sees of a transfer, on stderr."""

import sys

from tqdm import tqdm


def say(message: str) -> None:
    """Print a line without breaking a progress bar."""
    tqdm.write(message, file=sys.stderr)


def bar(name: str, done: int, total: int | None) -> tqdm:
    """Return a bar of bytes that starts at `done`; silent unless stderr is a terminal."""
    return tqdm(
        desc=name, initial=done, total=total, unit="B", unit_scale=True, miniters=1, disable=None
    )

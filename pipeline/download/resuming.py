"""Completing a partial file from one server, with as many requests as that takes."""

from itertools import chain

import requests
from urllib3.exceptions import MaxRetryError
from urllib3.util import Retry

from pipeline.download import http
from pipeline.download.addresses import shown
from pipeline.download.disk import free_space
from pipeline.download.expected import Expected
from pipeline.download.http import Interrupted, Unusable
from pipeline.download.partial import Origin, Partial
from pipeline.progress import bar, say

TRIES = 6
"""Requests in a row that bring nothing new before an address is given up."""
BACKOFF_S = 2.0
"""Waits between such requests: none, then 2, 4, 8, ... times this, in seconds."""


def complete(partial: Partial, address: str, expected: Expected) -> None:
    """Bring what is missing of `partial` from `address`.

    Raises:
        Unusable: the address does not serve the file, or not in `TRIES` tries; the part stays.
        InputError: too little space; the part stays.
    """
    retry, best = _fresh(), partial.size
    with requests.Session() as session:
        while not _whole(partial, expected):
            try:
                return _receive(session, address, partial, expected)
            except Interrupted as fault:
                if partial.size >= best + http.BLOCK:
                    retry = _fresh()
                best = max(best, partial.size)
                say(f"{shown(address)}: {fault}; {partial.size} bytes are here")
                retry = _used_up_one(retry, fault)
            retry.sleep()


def _fresh() -> Retry:
    return Retry(total=TRIES - 1, backoff_factor=BACKOFF_S)


def _used_up_one(retry: Retry, fault: Interrupted) -> Retry:
    try:
        return retry.increment(error=fault)
    except MaxRetryError:
        raise Unusable(f"{fault} ({TRIES} tries)") from None


def _whole(partial: Partial, expected: Expected) -> bool:
    """Whether nothing is missing, since the process was killed after the last byte."""
    total = partial.total if expected.size is None else expected.size
    return 0 < partial.size == total


def _receive(session: requests.Session, address: str, partial: Partial, expected: Expected) -> None:
    """Append what one request brings; return when the file is whole."""
    conditions = partial.conditions(shown(address), expected.checksum)
    with http.asked(session, address, conditions) as response:
        announced = http.total_bytes(response)
        if expected.size is not None and announced not in (None, expected.size):
            raise Unusable(f"announces {announced} bytes, expected {expected.size}")
        if response.status_code == 416 and announced == partial.size:
            return
        if not _fits(response, partial):
            partial.discard()
            raise Interrupted("does not go on where the partial file ends; starting over")
        total = announced if announced is not None else expected.size
        origin = Origin(address=shown(address), version=http.version(response), total=total)
        _append(response, origin, partial)
    if total is not None and partial.size != total:
        _explain(partial, total)


def _fits(response: requests.Response, partial: Partial) -> bool:
    """Whether the body is the whole file, or begins where the part of the same file ends."""
    start = http.first_byte(response)
    if start == 0:
        return True
    sizes = {partial.total, http.total_bytes(response)} - {None}
    return start == partial.size and len(sizes) <= 1


def _append(response: requests.Response, origin: Origin, partial: Partial) -> None:
    """Write the body to the part, or over it if it is the whole file."""
    if origin.total is not None:
        # A part that is overwritten gives its bytes back.
        needed = origin.total - partial.size
        free_space(partial.path.parent, needed, f"fetching {partial.target.name}")
    blocks = http.blocks(response)
    head = next(blocks)  # A web page is refused here, before anything is overwritten.
    if http.first_byte(response) == 0:
        partial.restart(origin)
    with (
        bar(partial.target.name, partial.size, origin.total) as progress,
        partial.appending() as append,
    ):
        for block in chain([head], blocks):
            append(block)
            progress.update(len(block))


def _explain(partial: Partial, total: int) -> None:
    """Raise what a body of the wrong length means."""
    if partial.size < total:
        raise Interrupted(f"the body ended early, {total - partial.size} bytes short")
    partial.discard()
    raise Unusable(f"sends more than the expected {total} bytes")

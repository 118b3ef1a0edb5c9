"""What an HTTP server answers, and what is wrong with it (RFC 9110, Sec. 14: range requests)."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
import urllib3

CONNECT_TIMEOUT_S = 20
READ_TIMEOUT_S = 60
BLOCK = 128 * 2**10
"""Bytes per read, and at most lost when the process is killed."""

_WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)
_FIRST_BYTE = re.compile(r"bytes (\d+)-\d+/")
_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


class Unusable(Exception):
    """This address does not serve the file; another may."""


class Interrupted(Exception):
    """The transfer broke off; another try may go on."""


@contextmanager
def asked(
    session: requests.Session, address: str, conditions: Mapping[str, str]
) -> Iterator[requests.Response]:
    """Yield the answer: 200, 206 (a range) or 416 (no such range), its body not yet read.

    Raises:
        Unusable: a status or an error that will not pass by itself; a web page.
        Interrupted: one that may, also while the caller reads the body.
    """
    # Unencoded: a .tgz must not be unpacked on the way, and ranges count the file's own bytes.
    headers = {"Accept-Encoding": "identity", **conditions}
    try:
        with _get(session, address, headers) as response:
            _refuse(response)
            yield response
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise Interrupted(_root(error)) from error
    except requests.RequestException as error:
        raise Unusable(_root(error)) from error


def _get(session: requests.Session, address: str, headers: Mapping[str, str]) -> requests.Response:
    timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    try:
        return session.get(address, headers=headers, stream=True, timeout=timeout)
    except requests.RequestException:
        raise
    except (OSError, ValueError) as error:
        # What requests lets through: no CA bundle where its variable says, a redirection to "//[".
        raise Unusable(str(error)) from error


def _refuse(response: requests.Response) -> None:
    """Raise unless the answer is one of the three that a caller can use."""
    status = f"status {response.status_code} {response.reason}"
    if response.status_code in _WORTH_ANOTHER_TRY:
        raise Interrupted(status)
    if response.status_code not in (200, 206, 416):
        raise Unusable(status)
    page = response.headers.get("Content-Type", "").lower().startswith("text/html")
    if page and response.status_code != 416:
        raise Unusable("is a web page (text/html), not a file")


def first_byte(response: requests.Response) -> int | None:
    """Where in the file the body starts; None if it does not say, or has none."""
    if response.status_code == 200:
        return 0
    found = _FIRST_BYTE.match(response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def total_bytes(response: requests.Response) -> int | None:
    """The size of the whole file, if the server tells it before the body."""
    if response.status_code == 200:
        size = response.headers.get("Content-Length", "")
    else:
        size = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(size) if size.isdecimal() else None


def version(response: requests.Response) -> str:
    """What If-Range compares: a strong ETag, or else the date; "" if there is neither."""
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified", "")


def blocks(response: requests.Response) -> Iterator[bytes]:
    """Yield the body in blocks of at most `BLOCK` bytes, as sent.

    Raises:
        Unusable: it is empty, or begins a web page, whatever its Content-Type.
    """
    # From the raw answer, since `iter_content` would undo a Content-Encoding.
    head = response.raw.read(BLOCK, decode_content=False)
    if not head:
        raise Unusable("sends an empty file")
    if first_byte(response) == 0 and _PAGE.match(head):
        raise Unusable("is a web page (begins with <html>), not a file")
    yield head
    while block := response.raw.read(BLOCK, decode_content=False):
        yield block


def _root(error: BaseException) -> str:
    """The text of the innermost cause, which is what a user can understand."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error) or type(error).__name__

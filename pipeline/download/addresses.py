"""Addresses of archives: http, https and file addresses, and local paths."""

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.errors import InputError
from pipeline.workspace import located

_SERVER = re.compile(r"https?://", re.IGNORECASE)
_SECRET = re.compile(r"(?<=//)[^/?#]*@|[?#].*")


def below(base: str, name: str) -> str:
    """Return the address of the file `name` in `base`, whose query (a token, say) stays last."""
    folder, mark, query = base.partition("?") if _SERVER.match(base) else (base, "", "")
    return f"{folder.rstrip('/')}/{name}{mark}{query}"


def shown(address: str) -> str:
    """Return `address` without user, password and query, which nobody else should read."""
    return _SECRET.sub("", address) if "://" in address else address


def local_path(address: str) -> Path | None:
    """Return the path that `address` means, as `located` does; None if it is a server's.

    Raises:
        InputError: it is malformed, or of another kind.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port  # Asked for, a port that is none is an error.
    except ValueError as error:
        raise InputError(f"{shown(address)}: {error}; correct the address") from None
    if parts.scheme in ("http", "https") and host:
        return None
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    if parts.scheme or not address:
        raise InputError(
            f"{shown(address)!r} is no http, https or file address, nor a local path; correct it "
            "(WSOL_MIRROR, if it is from there)"
        )
    return located(address)

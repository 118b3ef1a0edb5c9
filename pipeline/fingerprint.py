"""A name for work that may be cut off: a hash of all that decides its result."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pipeline


def fingerprint(settings: Any, files: Iterable[Path]) -> str:
    """Return a hash of `settings` (as JSON), the content of `files` and the library's code."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    code = sorted(Path(pipeline.__file__).parent.rglob("*.py"))
    for path in [*files, *code]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]

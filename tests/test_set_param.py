"""That `dvc exp run -S` changes a value of params.yaml, and neither a comment nor another line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "params.yaml").read_text()


def leaves(block: Any, prefix: str = "") -> Iterator[tuple[str, int, Any]]:
    """Dotted key, row and value of everything in a mapping."""
    for key, value in block.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", block.lc.key(key)[0], value


LEAVES = list(leaves(YAML().load(TEXT)))


def other(value: Any) -> str:
    """Another value of the same kind, as `-S` takes it."""
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, list):
        return f"[{','.join(str(item) for item in [*value, *value, 7])}]"
    return f"{value}x" if isinstance(value, str) else str(value + 1)


def written(tmp_path: Path, *experiments: list[str]) -> list[str]:
    """The lines of params.yaml after `dvc exp run -S <override>...` of each, by DVC's own code."""
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    for overrides in experiments:
        apply_overrides(path, overrides)
    return path.read_text().splitlines()


def unset(lines: list[str]) -> list[str]:
    """The comments and empty lines."""
    return [line for line in lines if not line.strip() or "#" in line]


def kind(value: Any) -> str:
    """What a value is to the writer."""
    return f"{'' if value or value == 0 else 'empty '}{type(value).__name__}"


KINDS = {kind(value): (key, row, value) for key, row, value in reversed(LEAVES)}
"""The first key of each kind."""


def test_there_are_keys_of_every_kind_that_the_writer_treats_differently() -> None:
    assert {"int", "ScalarFloat", "bool", "str", "CommentedSeq"} <= KINDS.keys()


def test_no_comment_is_lost_when_every_value_is_changed(tmp_path: Path) -> None:
    changes = [f"{key}={other(value)}" for key, _, value in LEAVES]
    # The second time the lists that were empty have items.
    lines = written(tmp_path, changes, changes[:1])
    assert unset(lines) == unset(TEXT.splitlines())


@pytest.mark.parametrize(("key", "row", "value"), KINDS.values(), ids=KINDS)
def test_only_the_lines_of_the_key_are_written_anew(
    tmp_path: Path, key: str, row: int, value: Any
) -> None:
    before, after = TEXT.splitlines(), written(tmp_path, [f"{key}={other(value)}"])
    below = row + 1 + (len(value) if isinstance(value, list) else 0)
    assert before != after
    assert before[:row] == after[:row]
    assert before[below:] == after[len(after) - (len(before) - below) :]

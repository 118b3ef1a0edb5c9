"""The parameters that decide a trained network: taken from params.yaml, and checked again later."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import create_model

from pipeline.params import Params, Section

SECTIONS = ("backbone", "input")
"""Sections that decide every network."""


def recorded(params: Params, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the values of `SECTIONS` and of `keys` (a method's), by section and name."""
    content = params.model_dump()
    return {
        name: {key: content[name][key] for key in chosen}
        for name, chosen in _by_section(keys).items()
    }


def restored(values: Mapping[str, Any], keys: Iterable[str]) -> Params:
    """Return parameters that have what `recorded` gave for `keys`, and nothing else.

    Raises:
        pydantic.ValidationError: keys are missing, unknown, of the wrong type or out of range.
    """
    sections = {name: _part(name, chosen) for name, chosen in _by_section(keys).items()}
    fields: dict[str, Any] = {name: (section, ...) for name, section in sections.items()}
    schema = create_model("Recorded", __base__=Section, **fields)
    return cast(Params, schema.model_validate(values))


def _by_section(keys: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the values by their section; a section alone stands for all of it."""
    found: dict[str, list[str]] = {}
    for key in (*SECTIONS, *keys):
        name, _, value = key.partition(".")
        found.setdefault(name, []).extend([value] if value else _schema(name).model_fields)
    return found


def _part(name: str, chosen: Iterable[str]) -> type[Section]:
    """Return the schema of some values of a section."""
    every = _schema(name).model_fields
    fields: dict[str, Any] = {key: (every[key].annotation, every[key]) for key in chosen}
    return create_model(name, __base__=Section, **fields)


def _schema(name: str) -> type[Section]:
    return cast(type[Section], Params.model_fields[name].annotation)

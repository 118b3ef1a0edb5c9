"""Parameters with a few of their values changed."""

from typing import Any

from pipeline.params import Params


def asking(methods: list[str]) -> dict[str, list[str]]:
    """Return `saliency.methods` of one list for both tracks."""
    return {"multi": methods, "single": methods}


def changed(params: Params, **values: Any) -> Params:
    """Return `params` with other values, checked; `spg__train__epochs` is spg.train.epochs."""
    content = params.model_dump()
    for key, value in values.items():
        *sections, name = key.split("__")
        block = content
        for section in sections:
            block = block[section]
        block[name] = value
    return Params.model_validate(content)

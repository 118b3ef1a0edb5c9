"""The page beside the weights of a trained model."""

from collections.abc import Mapping
from typing import Any

_CARD = """# {model}

A network that learnt from labels of whole pictures where objects are. Written by its training.

- Trained on: {data_set}, {labels}; first weights of {backbone}; seed {seed}.
- Classes: {classes}.
- Input: pictures warped to {size} x {size} px.

`model.json` holds what the network is made of, `weights.safetensors` its weights, `history.csv` the
losses of the training.

## Use

    python -m pipeline.predict PICTURE --model data/models/{model}

In Python, from the root of the repository: `pipeline.load("data/models/{model}")`.
"""
_LABELS = {"single": "one label for each picture", "multi": "several labels for each picture"}


def card(description: Mapping[str, Any]) -> str:
    """Return the text, in Markdown, for the content of model.json."""
    return _CARD.format(
        **{key: description[key] for key in ("model", "data_set", "seed")},
        labels=_LABELS[description["track"]],
        backbone=description["parameters"]["backbone"]["name"],
        size=description["parameters"]["input"]["size"],
        classes=", ".join(description["classes"]),
    )

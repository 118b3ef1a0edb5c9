"""Where the stages keep their outs, from the root of the repository."""

import os
from pathlib import Path

from pipeline.workspace import checkout

RAW = Path("data/raw")
FILES = Path("data/files")
SEEN = Path("data/seen.json")
OUTSIDE = Path("data/outside.txt")
PACKED = Path("data/packed")
BACKBONE = Path("data/weights/backbone.safetensors")
SCRATCH = Path(".scratch")
REPORTS = Path("reports")
ILLUSTRATIONS = REPORTS / "illustrations"
LISTING = Path("data/illustrations.json")


def download_folder(dataset: str) -> Path:
    """What is downloaded of a data set: no out of DVC, which would hash and store it once more.

    DVC's copies of the checkout share it.
    """
    return checkout() / (os.environ.get("WSOL_DATA") or "data/downloads") / dataset


def split_folder(track: str, split: str) -> Path:
    """Packed images of one split."""
    return PACKED / track / split


def model_folder(model: str) -> Path:
    """A trained model: weights, history and what else its method needs."""
    return Path("data/models") / model


def history_file(model: str) -> Path:
    """Losses of a training, a row per epoch."""
    return model_folder(model) / "history.csv"


def predictions_file(model: str) -> Path:
    """What a network answers: scores and maps, or boxes."""
    return Path("data/predictions") / f"{model}.arrow"


def classifier_file(name: str) -> Path:
    """Class probabilities of a classifier of `ranking.classifiers`."""
    return predictions_file(f"classifiers/{name}")


def scores_file(model: str) -> Path:
    """Metrics of a network."""
    return Path("data/scores") / f"{model}.json"

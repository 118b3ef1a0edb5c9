"""Where the stages keep their outs, from the root of the repository."""

import os
from pathlib import Path
from typing import TypedDict

from pipeline.workspace import checkout

RAW = Path("data/raw")
FILES = Path("data/files")
SEEN = Path("data/seen.json")
OUTSIDE = Path("data/outside.txt")
PACKED = Path("data/packed")
BACKBONE = Path("data/weights/backbone.safetensors")
SCRATCH = Path(".scratch")
REPORTS = Path("reports")


def download_folder(dataset: str) -> Path:
    """What is downloaded of a data set: no out of DVC, which would hash and store it once more.

    DVC's copies of the checkout share it.
    """
    return checkout() / (os.environ.get("WSOL_DATA") or "data/downloads") / dataset


def split_folder(track: str, split: str) -> Path:
    """Packed images of one split."""
    return PACKED / track / split


def weights_file(model: str) -> Path:
    """Trained weights of a network."""
    return Path("data/models") / f"{model}.safetensors"


def history_file(model: str) -> Path:
    """Losses of a training, a row per epoch."""
    return Path("data/history") / f"{model}.csv"


def predictions_file(model: str) -> Path:
    """Scores and maps that a network gives."""
    return Path("data/predictions") / f"{model}.arrow"


def proposals_file(method: str) -> Path:
    """Boxes that a method proposes."""
    return Path("data/proposals") / f"{method}.arrow"


def scores_file(model: str) -> Path:
    """Metrics of a network."""
    return Path("data/scores") / f"{model}.json"


class TrainingFiles(TypedDict):
    """The files of one training, as `pipeline.training.fit.fit` names them."""

    split: Path
    backbone: Path
    weights: Path
    history: Path
    scratch: Path


def training_files(model: str, track: str) -> TrainingFiles:
    """The files of one training, as `pipeline.training.fit.fit` names them."""
    return {
        "split": split_folder(track, "train"),
        "backbone": BACKBONE,
        "weights": weights_file(model),
        "history": history_file(model),
        "scratch": SCRATCH,
    }

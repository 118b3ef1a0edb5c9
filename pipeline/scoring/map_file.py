"""One score map in a file: a NumPy array or a grey picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError, first_line
from pipeline.evaluation.localization.maps import Map, finite_map

SUFFIXES = (".npy", ".png")


def read_map(path: Path) -> Map:
    """Return the map (h, w) of a .npy file or a grey PNG of 1, 8 or 16 bits, as float32.

    Raises:
        InputError: the file is damaged, holds no numbers, has a channel axis or colours, or a value
            that is not finite as float32.
    """
    values = _array(path) if path.suffix.lower() == ".npy" else _grey(path)
    if values.ndim != 2 or not values.size:
        raise InputError(
            f"{path}: shape {values.shape}; a map is (height, width), without channel axis, and "
            "not empty: save one map a file"
        )
    try:
        with np.errstate(over="ignore"):
            return finite_map(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _array(path: Path) -> NDArray[np.generic]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path}: no array of numbers ({first_line(error)}); write it with numpy.save"
        ) from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        kind = getattr(values, "dtype", type(values).__name__)
        raise InputError(f"{path}: {kind} values; a map holds real numbers")
    return values


def _grey(path: Path) -> NDArray[np.generic]:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if len(image.getbands()) > 1 or image.mode == "P":
                raise InputError(
                    f"{path}: colours ({image.mode}); a map is a grey PNG of 8 or 16 bits, or .npy"
                )
            return np.asarray(image)
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: unreadable PNG ({error}); write it again") from None

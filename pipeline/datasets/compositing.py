"""Pasting a cut-out into a photograph so that the paste itself does not show.

A layer is a premultiplied float32 array (height, width, 4) in [0, 1]: colour times alpha, alpha.
A canvas is a float32 RGB array (height, width, 3) in [0, 1] and is changed in place.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[np.float32]

ROTATION = 12.0  # largest, degrees either way
COLOUR_JITTER = 0.12  # largest change of brightness, and of each channel around it
TONE_MATCH = 0.2  # how far a layer's mean colour moves to its surroundings
LAYER_BLUR = (0.4, 1.0)  # px, sigma; softens the edge of alpha too
CANVAS_BLUR = (0.0, 0.7)
CANVAS_NOISE = (0.0, 0.025)  # sigma
OPAQUE = 0.5  # alpha from which a pixel belongs to the layer
MIN_CROP = 0.6  # smallest crop of a background, as a share of its short side
BLOB_CELLS = 6


def to_layer(image: Image.Image, size: float, rng: np.random.Generator) -> Floats:
    """Return `image` (RGBA) flipped, rotated and jittered.

    Args:
        size: square root of the area of its box before rotation, px.
    """
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = size / math.sqrt(image.width * image.height)
    width, height = (max(2, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    angle = rng.uniform(-ROTATION, ROTATION)
    image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True).convert("RGBa")
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(*LAYER_BLUR)))
    layer: Floats = (np.asarray(image) / 255).astype(np.float32)
    gain = 1 + rng.uniform(-COLOUR_JITTER, COLOUR_JITTER)
    gains = gain * (1 + rng.uniform(-COLOUR_JITTER, COLOUR_JITTER, 3) / 2)
    alpha = layer[..., 3:]
    layer[..., :3] = np.minimum(layer[..., :3] * gains, alpha)
    return layer


def paste(canvas: Floats, layer: Floats) -> None:
    """Blend `layer`, cut to the size of `canvas`, over it, after moving its tone towards it."""
    colour, alpha = layer[..., :3], layer[..., 3:]
    mean = colour.sum((0, 1)) / max(float(alpha.sum()), 1.0)
    shift = TONE_MATCH * (canvas.mean((0, 1)) - mean)
    toned = np.clip(colour + shift * alpha, 0, alpha)
    canvas *= 1 - alpha
    canvas += toned


def crop_square(image: Image.Image, side: int, rng: np.random.Generator) -> Floats:
    """Return a random square of `image` (RGB), flipped at random, as a canvas of `side` px."""
    length = rng.uniform(MIN_CROP, 1) * min(image.size)
    left, top = (rng.uniform(0, extent - length) for extent in image.size)
    box = (left, top, left + length, top + length)
    square = image.resize((side, side), Image.Resampling.BICUBIC, box)
    if rng.random() < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return (np.asarray(square) / 255).astype(np.float32)


def blob(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """Return a random square of `image` (RGB) as RGBA, `side` px, with a random smooth outline."""
    square = Image.fromarray((crop_square(image, side, rng) * 255).astype(np.uint8))
    axis = np.linspace(-1, 1, BLOB_CELLS)
    height = 0.75 - np.hypot(*np.meshgrid(axis, axis)) + rng.normal(0, 0.35, (BLOB_CELLS,) * 2)
    height[[0, -1]] = height[:, [0, -1]] = -1
    smooth = Image.fromarray(height.astype(np.float32)).resize((side, side))
    alpha = np.clip(np.asarray(smooth) * 6 + 0.5, 0, 1)
    square.putalpha(Image.fromarray((alpha * 255).astype(np.uint8)))
    return square


def to_photograph(canvas: Floats, rng: np.random.Generator) -> Image.Image:
    """Return `canvas` as an RGB image with one blur and one noise for all that is in it."""
    noise = rng.uniform(*CANVAS_NOISE) * rng.standard_normal(canvas.shape, dtype=np.float32)
    image = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8))
    blurred = image.filter(ImageFilter.GaussianBlur(rng.uniform(*CANVAS_BLUR)))
    noisy = np.asarray(blurred, np.float32) + 255 * noise
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))

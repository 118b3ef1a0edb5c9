"""Edges lie where colours change, are thin, and know their direction."""

import numpy as np
import pytest

from pipeline.methods.bases.edges import detect_edges


def split_image(marked, inside=(255, 0, 0), outside=(128, 128, 128)):
    """A picture in two colours."""
    return np.where(marked[..., None], inside, outside).astype(np.uint8)


ROWS, COLUMNS = np.indices((60, 80))


@pytest.mark.parametrize(
    ("marked", "orientation"),
    [
        (COLUMNS >= 40, 0),
        (ROWS >= 30, np.pi / 2),
        (ROWS + COLUMNS >= 70, np.pi / 4),
        (ROWS - COLUMNS >= -10, 3 * np.pi / 4),
    ],
    ids=["vertical", "level", "rising", "falling"],
)
def test_an_edge_is_one_line_with_the_direction_of_its_gradient(marked, orientation):
    strength, found = detect_edges(split_image(marked))
    assert strength.shape == found.shape == (60, 80)
    boundary = marked ^ np.roll(marked, 1, axis=1) | marked ^ np.roll(marked, 1, axis=0)
    rows, columns = np.nonzero(strength[10:-10, 10:-10] > 0.5)
    assert len(rows) >= 40
    for row, column in zip(rows + 10, columns + 10, strict=True):
        assert boundary[row - 1 : row + 2, column - 1 : column + 2].any()
        off = abs(found[row, column] - orientation) % np.pi
        assert min(off, np.pi - off) < 0.05


def test_across_the_edge_nothing_remains_beside_it():
    strength, _ = detect_edges(split_image(COLUMNS >= 40))
    middle = strength[30]
    assert np.flatnonzero(middle).tolist() in ([39], [40], [39, 40])
    assert middle.max() == 1


def test_colours_of_equal_brightness_have_an_edge_too():
    grey_red, grey_green = (178, 90, 90), (70, 128, 70)  # luminance 0.155 and 0.157
    strength, _ = detect_edges(split_image(COLUMNS >= 40, grey_red, grey_green))
    assert strength[30, 38:42].max() > 0.9


def test_strength_is_relative_to_the_strongest_edge():
    image = split_image(COLUMNS >= 20, (160, 160, 160))
    image[:, 60:] = (255, 0, 0)
    strength, _ = detect_edges(image)
    assert 0 < strength[30, 18:22].max() < 0.5
    assert strength[30, 58:62].max() == strength.max() == 1
    assert strength.min() == 0


def test_texture_finer_than_the_blur_gives_way_to_an_outline():
    image = split_image((COLUMNS + ROWS) % 2 == 0, (60, 60, 60), (190, 190, 190))
    image[15:45, 20:60] = (255, 0, 0)
    strength, _ = detect_edges(image)
    assert strength[:8].max() < 0.1 < strength[13:17, 40].max()


def test_strength_follows_the_distance_of_the_colours_in_luv():
    image = np.zeros((60, 160, 3), np.uint8)
    image[:, 40:], image[:, 120:] = (255, 0, 0), (0, 0, 0)
    image[:, 140:] = (0, 0, 255)
    red, blue = np.hypot(53.24, 179.04), np.hypot(32.30, 130.68)  # L and chroma; black has none
    strength, _ = detect_edges(image)
    assert strength[30, 38:42].max() == pytest.approx(1, abs=1e-3)
    assert strength[30, 138:142].max() == pytest.approx(blue / red, abs=0.01)


def test_a_slanting_edge_is_as_strong_as_an_upright_one():
    rows, columns = np.indices((90, 180))
    upright, slanting = columns < 30, columns - rows > 70
    strength, _ = detect_edges(split_image(upright | slanting))
    assert strength[45, 28:32].max() == pytest.approx(strength[45, 100:130].max(), rel=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (40, 60)])
def test_one_colour_has_no_edge(shape):
    for colour in (0, 77, 255):
        strength, orientation = detect_edges(np.full((*shape, 3), colour, np.uint8))
        assert strength.shape == orientation.shape == shape
        assert not strength.any() and np.isfinite(orientation).all()


def test_the_transposed_image_has_the_transposed_edges():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    strength, orientation = detect_edges(image)
    turned, across = detect_edges(image.transpose(1, 0, 2).copy())
    np.testing.assert_allclose(turned.T, strength, atol=1e-5)
    difference = (across.T + orientation - np.pi / 2)[strength > 0]
    np.testing.assert_allclose(np.sin(difference), 0, atol=1e-3)

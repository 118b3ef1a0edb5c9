"""What is stored of a photograph, and what of it is refused."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pipeline.datasets import photograph
from pipeline.errors import InputError


def save(path: Path, size: tuple[int, int], mode: str = "RGB") -> Path:
    Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 20).convert(mode).save(path)
    return path


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_small_photograph_is_kept_byte_for_byte(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, (60, 40))
    assert photograph.load(path, short_side=40) == (path.read_bytes(), 60, 40)


def test_a_large_one_is_reduced_and_its_own_size_is_reported(tmp_path: Path) -> None:
    content, width, height = photograph.load(save(tmp_path / "a.png", (300, 200)), short_side=100)
    assert (width, height) == (300, 200)
    assert (opened(content).format, opened(content).size) == ("JPEG", (150, 100))


def test_a_small_file_of_another_format_becomes_a_jpeg_of_its_size(tmp_path: Path) -> None:
    content, *_ = photograph.load(save(tmp_path / "a.bmp", (60, 40)), short_side=100)
    assert (opened(content).format, opened(content).size) == ("JPEG", (60, 40))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_reduced_photograph_is_rgb(tmp_path: Path, mode: str) -> None:
    content, *_ = photograph.load(save(tmp_path / "a.jpg", (300, 200), mode), short_side=100)
    assert opened(content).mode == "RGB"


@pytest.mark.parametrize("short_side", [100, 1000])
@pytest.mark.parametrize("keep", [0, 10, -30])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_an_unreadable_image_is_named(
    tmp_path: Path, name: str, keep: int, short_side: int
) -> None:
    path = save(tmp_path / name, (300, 200))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=f"{name}: unreadable image"):
        photograph.load(path, short_side)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match="the file is empty"):
        photograph.load(tmp_path / "a.jpg", short_side=100)


def test_a_missing_image_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a.jpg: not found"):
        photograph.load(tmp_path / "a.jpg", short_side=100)


def test_the_size_must_be_the_annotated_one(tmp_path: Path) -> None:
    photograph.check_size(tmp_path / "a.jpg", (60, 40), (60, 40))
    with pytest.raises(InputError, match="a.jpg: 60 x 40 px, but annotated as 40 x 60"):
        photograph.check_size(tmp_path / "a.jpg", (60, 40), (40, 60))


def test_a_png_named_like_a_jpeg_is_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", (60, 40)).rename(tmp_path / "a.JPEG")
    assert photograph.load(path, short_side=100) == (path.read_bytes(), 60, 40)

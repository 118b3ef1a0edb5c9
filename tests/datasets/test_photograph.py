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
def test_an_orientation_in_the_metadata_turns_nothing(tmp_path: Path, short_side: int) -> None:
    path, metadata = save(tmp_path / "a.png", (300, 200)), Image.Exif()
    metadata[0x112] = 6  # turn by a right angle to show it
    Image.open(path).save(tmp_path / "a.jpg", exif=metadata)
    content, width, height = photograph.load(tmp_path / "a.jpg", short_side)
    assert (width, height) == (300, 200)
    assert opened(content).width > opened(content).height


def test_damaged_metadata_is_no_fault(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path, metadata = save(tmp_path / "a.png", (300, 200)), Image.Exif()
    metadata[0x112] = 6
    Image.open(path).save(tmp_path / "a.jpg", exif=metadata)
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    content[content.index(b"Exif\0\0") + 14] = 200  # more entries than there are
    del content[2:20]  # the resolution, which is then looked for there
    (tmp_path / "a.jpg").write_bytes(content)
    assert photograph.load(tmp_path / "a.jpg", short_side=100)[1:] == (300, 200)
    assert not recwarn.list


@pytest.mark.parametrize("short_side", [100, 1000])
def test_more_than_8_bits_a_channel_are_refused_and_not_shown_white(
    tmp_path: Path, short_side: int
) -> None:
    Image.new("I;16", (300, 200), 500).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.png: unreadable image .more than 8 bits per channel"):
        photograph.load(tmp_path / "a.png", short_side)


@pytest.mark.parametrize("format", ["TIFF", "WEBP", "EPS"])
def test_no_other_format_is_decoded(tmp_path: Path, format: str) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg", format)
    with pytest.raises(InputError, match="a.jpg: unreadable image .none of JPEG, PNG"):
        photograph.load(tmp_path / "a.jpg", short_side=100)


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


def test_a_picture_too_large_for_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", (300, 200))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    with pytest.raises(InputError, match="a.png: unreadable image .Image size .60000 pixels"):
        photograph.load(path, short_side=100)


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

"""What is stored of a photograph, and what of it is refused."""

from io import BytesIO
from pathlib import Path

import numpy as np
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


GREYS = np.linspace(0, 65535, 60 * 40).reshape(40, 60).astype(np.uint16)
"""From black to white."""


@pytest.mark.parametrize("read", ["load", "upright"])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_of_grey_become_the_same_grey_of_8(tmp_path: Path, name: str, read: str) -> None:
    path = tmp_path / name
    Image.fromarray(GREYS).save(path)
    if read == "upright":
        content, *size, notes = upright(path, short_side=1000)
        assert notes == (photograph.DEEP,)
    elif name == "a.tif":
        pytest.skip("no official data are TIFF")
    else:
        content, *size = photograph.load(path, short_side=1000)
    assert size == [60, 40]
    found = np.asarray(opened(content).convert("L"), float)
    assert np.abs(found - GREYS / 257).max() < 8  # what JPEG loses


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


def upright(path: Path, short_side: int | None = None) -> photograph.Upright:
    return photograph.upright(path.read_bytes(), str(path), short_side)


@pytest.mark.parametrize("short_side", [100, 1000])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.gif"])
def test_an_upright_photograph_is_stored_as_one_of_a_data_set(
    tmp_path: Path, name: str, short_side: int
) -> None:
    path = save(tmp_path / name, (300, 200))
    assert upright(path, short_side) == (*photograph.load(path, short_side), ())


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_an_opaque_picture_of_any_mode_is_kept(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "a.png", (60, 40), mode)
    assert upright(path) == (path.read_bytes(), 60, 40, ())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    corner = Image.new("RGB", (300, 200), "blue")
    corner.paste("red", (0, 0, 150, 100))
    undone = photograph._TURNS | {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = corner.transpose(undone[orientation]) if orientation > 1 else corner
    metadata = Image.Exif()
    metadata[0x112] = orientation
    stored.save(tmp_path / "a.jpg", exif=metadata)
    found = upright(tmp_path / "a.jpg")
    assert found[1:] == (300, 200, (photograph.TURNED,) if orientation > 1 else ())
    pixels = opened(found.image).convert("RGB")
    assert pixels.size == (300, 200)
    near = [pixels.getpixel(place) for place in ((10, 10), (290, 10), (10, 190), (290, 190))]
    assert [max(range(3), key=pixel.__getitem__) for pixel in near] == [0, 2, 2, 2]


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.webp"])
def test_transparent_parts_are_white(tmp_path: Path, name: str) -> None:
    picture = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 30, 40))
    picture.save(tmp_path / name)
    found = upright(tmp_path / name)
    assert found.notes == (photograph.WHITE,)
    assert min(opened(found.image).convert("RGB").getpixel((55, 20))) > 240


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tiff"])
def test_the_first_of_several_pictures_is_taken(tmp_path: Path, name: str) -> None:
    first, second = (Image.new("RGB", (60, 40), colour) for colour in ("red", "blue"))
    first.save(tmp_path / name, save_all=True, append_images=[second])
    found = upright(tmp_path / name)
    assert found.notes == (photograph.FIRST,)
    red, _, blue = opened(found.image).convert("RGB").getpixel((30, 20))
    assert red > 240 and blue < 15


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_pictures_of_print_and_of_grey_are_read(tmp_path: Path, name: str, mode: str) -> None:
    path = save(tmp_path / name, (300, 200), mode)
    assert upright(path, short_side=100)[1:] == (300, 200, ())


def test_damaged_metadata_turn_nothing(tmp_path: Path) -> None:
    path, metadata = save(tmp_path / "a.png", (300, 200)), Image.Exif()
    metadata[0x112] = 6
    Image.open(path).save(tmp_path / "a.jpg", exif=metadata)
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    start = content.index(b"Exif\0\0") + 6
    content[start : start + 4] = b"\0\1\2\3"
    (tmp_path / "a.jpg").write_bytes(content)
    assert upright(tmp_path / "a.jpg")[1:] == (300, 200, ())


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jpg", b"", "the file is empty"),
        ("a.jpg", b"no picture", "none of JPEG, PNG, BMP, GIF, TIFF, WEBP"),
        ("a.svg", b"<svg/>", "none of JPEG"),
        ("a.tif", b"II*\0\x08\0\0\0\xff\xff" + b"\1" * 9, ""),
        ("a.gif", b"GIF89a\1\0\1\0\0\0\0,", ""),
        ("a.webp", b"RIFF\x20\0\0\0WEBPVP8 " + b"\0" * 9, ""),
    ],
)
def test_what_is_no_picture_is_named(name: str, content: bytes, told: str) -> None:
    with pytest.raises(InputError, match=f"{name}: unreadable image .{told}.*; restore"):
        photograph.upright(content, name, None)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_a_channel_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (60, 40), 500).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="a.tif: unreadable image .32 bits per channel; convert"):
        upright(tmp_path / "a.tif")


ODD = {
    "grey.png": ("L", {}, ()),
    "grey16.png": ("I;16", {}, (photograph.DEEP,)),
    "grey16.tif": ("I;16", {}, (photograph.DEEP,)),
    "print.jpg": ("CMYK", {}, ()),
    "print.tif": ("CMYK", {}, ()),
    "palette.png": ("P", {}, ()),
    "palette.gif": ("P", {}, ()),
    "alpha.png": ("RGBA", {}, (photograph.WHITE,)),
    "alpha.webp": ("RGBA", {}, (photograph.WHITE,)),
    "grey-alpha.png": ("LA", {}, (photograph.WHITE,)),
    "turned.jpg": ("RGB", {"exif": 6}, (photograph.TURNED,)),
    "turned.png": ("RGB", {"exif": 6}, (photograph.TURNED,)),
    "turned.webp": ("RGB", {"exif": 6}, (photograph.TURNED,)),
    "moving.gif": ("P", {"more": True}, (photograph.FIRST,)),
    "moving.png": ("RGB", {"more": True}, (photograph.FIRST,)),
    "moving.webp": ("RGB", {"more": True}, (photograph.FIRST,)),
    "pages.tif": ("RGB", {"more": True}, (photograph.FIRST,)),
    "two.mpo": ("RGB", {"more": True}, (photograph.FIRST,)),
}
"""Unusual pictures: their mode, how they are saved, and what is told of them."""


def odd(mode: str, turned: bool) -> Image.Image:
    """A picture that is dark on the left and bright on the right when it is shown upright."""
    ramp = np.tile(np.linspace(20, 235, 60), (40, 1))
    if mode == "I;16":
        return Image.fromarray((ramp * 257).astype(np.uint16))
    grey = Image.fromarray(ramp.astype(np.uint8))
    own = grey.convert("RGB").convert(mode) if mode == "CMYK" else grey.convert(mode)
    if "A" in mode:
        alpha = Image.new("L", own.size, 255)
        alpha.paste(0, (0, 0, 4, 4))
        own.putalpha(alpha)
    return own.transpose(Image.Transpose.ROTATE_90) if turned else own


@pytest.mark.parametrize("name", ODD)
def test_unusual_pictures_look_as_viewers_show_them(tmp_path: Path, name: str) -> None:
    (mode, options, told), path, more = ODD[name], tmp_path / name, {}
    picture = odd(mode, "exif" in options)
    if "exif" in options:
        more["exif"] = Image.Exif()
        more["exif"][0x112] = options["exif"]
    if "more" in options:
        more |= {"save_all": True, "append_images": [picture.transpose(Image.Transpose.ROTATE_180)]}
    picture.save(path, **more)
    content, width, height, notes = upright(path, short_side=1000)
    assert (width, height, notes) == (60, 40, told)
    grey = np.asarray(opened(content).convert("RGB").convert("L"), float)
    assert grey.shape == (40, 60)
    assert np.abs(grey[20] - np.linspace(20, 235, 60)).max() < 12


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "webp", "bmp"])
@pytest.mark.parametrize("fault", ["cut", "empty", "bomb", "text"])
def test_bad_pictures_of_every_format_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, fault: str
) -> None:
    path = save(tmp_path / f"a.{suffix}", (300, 200))
    content = path.read_bytes()
    bad = {"cut": content[: len(content) // 2], "empty": b"", "text": b"no picture"}
    path.write_bytes(bad.get(fault, content))
    if fault == "bomb":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    with pytest.raises(InputError, match=f"a.{suffix}: unreadable image .+; restore the file"):
        upright(path)


def test_every_format_of_users_has_a_suffix() -> None:
    Image.init()
    own = {
        suffix for suffix in photograph.SUFFIXES if Image.EXTENSION[suffix] in photograph._OF_USERS
    }
    assert own == set(photograph.SUFFIXES)
    assert {Image.EXTENSION[suffix] for suffix in own} == set(photograph._OF_USERS)

"""Build data/cutouts/cutouts.zip, run once by a maintainer: `build_cutouts.py FOLDER_OF_DEBS`.

The folder holds the pinned Debian packages below (`apt-get download NAME=VERSION`), and `dpkg-deb`
is on the path. tools/cutouts_sources.csv says which of their pictures are used, as what, in which
split and under which licence. The same packages and Pillow give the same bytes.
"""

import argparse
import csv
import hashlib
import io
import json
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

TOOLS = Path(__file__).resolve().parent
OUT = TOOLS.parent / "data" / "cutouts"

# Package -> file name and sha256 of the one version whose pictures were looked at.
PINNED = {
    "gcompris-qt-data": (
        "gcompris-qt-data_3.1-2_all.deb",
        "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
    ),
    "lomiri-wallpapers-16.04": (
        "lomiri-wallpapers-16.04_20.04.0-2_all.deb",
        "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    ),
    "lxqt-themes": (
        "lxqt-themes_1.2.0-1_all.deb",
        "d518df36b515b09d36cb00b12645dd8ce170bb82bb0966297741905ce3edc8e1",
    ),
    "mate-backgrounds": (
        "mate-backgrounds_1.26.0-1_all.deb",
        "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    ),
    "plasma-workspace-wallpapers": (
        "plasma-workspace-wallpapers_4%3a5.27.5-2_all.deb",
        "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
    ),
    "tuxpaint-data": (
        "tuxpaint-data_1%3a0.9.28-sdl2-1_all.deb",
        "f5d0de8f9a70d2efc1241d19f26168cb8bf279f1b77abd3631e7a1a55c40e5e5",
    ),
    "tuxpaint-stamps-default": (
        "tuxpaint-stamps-default_2022.06.04-1_all.deb",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    ),
}
# The kind of background on which each class is at home; `other` is never an object, only clutter.
CONTEXT_OF_CLASS = {
    "bird": "sky",
    "fish": "water",
    "flower": "vegetation",
    "mammal": "vegetation",
    "produce": "ground",
    "tool": "built",
    "vehicle": "built",
}
CUTOUT_SIDE = 200  # longest side, px
BACKGROUND_SIDE = 400  # shortest side, px
BACKGROUND_ASPECT = 1.5  # longer backgrounds are cut at both ends
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file can state


def unpack(debs: Path, folder: Path) -> None:
    """Extract every pinned package of `debs` to `folder`/<package>; stop on a wrong sha256."""
    for package, (name, sha256) in PINNED.items():
        deb = debs / name
        found = hashlib.sha256(deb.read_bytes()).hexdigest()
        if found != sha256:
            raise SystemExit(f"{deb}: sha256 {found}, pinned {sha256}")
        subprocess.run(["dpkg-deb", "-x", deb, folder / package], check=True)


def qt_resources(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of each file in a Qt resource (.rcc) file."""
    version, tree, data, names = struct.unpack(">4x4I", blob[:20])
    node_size = 14 if version < 2 else 22

    def name(offset: int) -> str:
        (length,) = struct.unpack_from(">H", blob, names + offset)
        start = names + offset + 6
        return blob[start : start + 2 * length].decode("utf-16-be")

    def walk(index: int, parents: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        node = tree + index * node_size
        name_offset, flags = struct.unpack_from(">IH", blob, node)
        path = (*parents, name(name_offset)) if index else parents
        if flags & 2:
            count, first = struct.unpack_from(">II", blob, node + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
        else:
            (offset,) = struct.unpack_from(">I", blob, node + 10)
            (length,) = struct.unpack_from(">I", blob, data + offset)
            content = blob[data + offset + 4 : data + offset + 4 + length]
            yield "/".join(path), zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, ())


@lru_cache
def resource_file(path: Path) -> dict[str, bytes]:
    """Return the files inside a Qt resource file by their path."""
    return dict(qt_resources(path.read_bytes()))


def read_image(folder: Path, package: str, path: str) -> Image.Image:
    """Return a picture of an unpacked package; `file.rcc!inner/path` reads inside a resource."""
    file, _, inner = path.partition("!")
    source = folder / package / file
    content = resource_file(source)[inner] if inner else source.read_bytes()
    return Image.open(io.BytesIO(content))


def crop(image: Image.Image, fractions: str) -> Image.Image:
    """Return the part of `image` between "x0 y0 x1 y1" (fractions of its sides); "" is all."""
    if not fractions:
        return image
    x0, y0, x1, y1 = map(float, fractions.split())
    width, height = image.size
    return image.crop(
        (round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height))
    )


def encode_cutout(image: Image.Image) -> bytes:
    """Return `image` as WebP with alpha, cropped to what is visible, at most CUTOUT_SIDE long."""
    image = image.convert("RGBA")
    visible = image.getchannel("A").point(lambda alpha: 255 if alpha > 16 else 0)
    image = image.crop(visible.getbbox())
    image.thumbnail((CUTOUT_SIDE, CUTOUT_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90, method=6)
    return buffer.getvalue()


def encode_background(image: Image.Image) -> bytes:
    """Return `image` as JPEG, at most BACKGROUND_SIDE on its short side and never enlarged."""
    image = image.convert("RGB")
    short = min(image.size)
    width, height = (min(side, round(BACKGROUND_ASPECT * short)) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((left, top, left + width, top + height))
    scale = min(1.0, BACKGROUND_SIDE / short)
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=2, optimize=True)
    return buffer.getvalue()


def member_name(row: dict[str, str]) -> str:
    """Return the archive path of a source row: kind/label/stem.suffix."""
    stem = Path(row["path"].rpartition("!")[2]).stem
    if row["package"] == "plasma-workspace-wallpapers":  # every file there has its size as name
        stem = Path(row["path"]).parts[3]
    prefix = row["package"].split("-")[0]
    suffix = "webp" if row["kind"] == "cutout" else "jpg"
    return f"{row['kind']}s/{row['label']}/{prefix}-{stem}.{suffix}".lower()


def manifest(rows: list[dict[str, str]]) -> bytes:
    """Return manifest.json: each class with its context, and each picture with label and split."""
    entries = {
        kind: [
            {"file": member_name(row), "label": row["label"], "split": row["split"]}
            for row in rows
            if row["kind"] == kind
        ]
        for kind in ("cutout", "background")
    }
    content = {
        "classes": CONTEXT_OF_CLASS,
        "cutouts": entries["cutout"],
        "backgrounds": entries["background"],
    }
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    """Write `members` sorted, with fixed dates and rights: equal members give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])


def write_credits(path: Path, rows: list[dict[str, str]]) -> None:
    """Write the origin and licence of each file of the archive."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "label", "split", "licence", "author", "package", "path"])
        for row in sorted(rows, key=member_name):
            deb = PINNED[row["package"]][0].replace("%3a", ":").removesuffix("_all.deb")
            origin = [row[key] for key in ("label", "split", "licence", "author")]
            writer.writerow([member_name(row), *origin, deb, row["path"]])


def build(debs: Path) -> None:
    """Write cutouts.zip, its sha256 and CREDITS.csv to data/cutouts."""
    with (TOOLS / "cutouts_sources.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=member_name)
    encode = {"cutout": encode_cutout, "background": encode_background}
    members = {"manifest.json": manifest(rows)}
    with TemporaryDirectory() as folder:
        unpack(debs, Path(folder))
        for row in rows:
            image = read_image(Path(folder), row["package"], row["path"])
            members[member_name(row)] = encode[row["kind"]](crop(image, row["crop"]))
    if len(members) != len(rows) + 1:
        raise SystemExit("two rows of cutouts_sources.csv have the same name in the archive")
    write_archive(OUT / "cutouts.zip", members)
    digest = hashlib.sha256((OUT / "cutouts.zip").read_bytes()).hexdigest()
    (OUT / "cutouts.zip.sha256").write_text(f"{digest}  cutouts.zip\n")
    write_credits(OUT / "CREDITS.csv", rows)


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description="Build data/cutouts/cutouts.zip.")
    parser.add_argument("debs", type=Path, help="folder that holds the pinned .deb files")
    build(parser.parse_args().debs)


if __name__ == "__main__":
    main()

"""The official archives of the papers' data sets: names, sizes, checksums, addresses.

Sizes are those that the servers named below report. None of the archives has a link.
"""

from dataclasses import dataclass
from pathlib import Path

_VOC_2007 = (
    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2007",
    "https://data.pjreddie.com/files",
)
_VOC_2012 = (
    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012",
    "https://data.pjreddie.com/files",
)
_COCO = ("https://s3.amazonaws.com/images.cocodataset.org", "http://images.cocodataset.org")
_COCO_IMAGES = tuple(f"{base}/zips" for base in _COCO)
_COCO_ANNOTATIONS = tuple(f"{base}/annotations" for base in _COCO)
_CUB = (
    "https://data.caltech.edu/records/65de6-vp158/files",
    "https://s3.amazonaws.com/fast-ai-imageclas",
)

_TORCHVISION_VOC = "torchvision, torchvision/datasets/voc.py"
_LAVIS_COCO = "LAVIS, lavis/datasets/download_scripts/download_coco.py"
_IMAGE_NET = "image-net.org, ILSVRC2012 download page"


@dataclass(frozen=True)
class Archive:
    """One official file.

    Attributes:
        name: file name, also the last part of each address.
        size: bytes; None where no source states them.
        checksum: "md5:<hex>"; "" where none is published: then what was fetched is recorded.
        published: where the checksum is from; "" without one.
        mirrors: base URLs, tried in order; none where the user must register for the file.
        unpacked_size: upper estimate in bytes, with 4 KiB blocks; unpacking more is refused.
        contains: what the data set's root has when this is unpacked.
        folder: where it unpacks, below the root.
    """

    name: str
    size: int | None
    checksum: str
    published: str
    mirrors: tuple[str, ...]
    unpacked_size: int
    contains: Path
    folder: Path = Path()


@dataclass(frozen=True)
class Distribution:
    """The archives of one data set.

    Attributes:
        archives: in the order in which they are unpacked.
        note: terms of use, and what the user must do.
    """

    name: str
    archives: tuple[Archive, ...]
    note: str


_VOC_NOTE = "the photographs are from flickr; its terms of use apply"

DISTRIBUTIONS = {
    distribution.name: distribution
    for distribution in (
        Distribution(
            name="voc2007",
            archives=(
                Archive(
                    name="VOCtrainval_06-Nov-2007.tar",
                    size=460_032_000,
                    checksum="md5:c52e279531787c972589f7e41ab4ae64",
                    published=_TORCHVISION_VOC,
                    mirrors=_VOC_2007,
                    unpacked_size=500_000_000,
                    contains=Path("VOCdevkit/VOC2007/ImageSets/Main/trainval.txt"),
                ),
                Archive(
                    name="VOCtest_06-Nov-2007.tar",
                    size=451_020_800,
                    checksum="md5:b6e924de25625d8de591ea690078ad9f",
                    published=_TORCHVISION_VOC,
                    mirrors=_VOC_2007,
                    unpacked_size=500_000_000,
                    contains=Path("VOCdevkit/VOC2007/ImageSets/Main/test.txt"),
                ),
            ),
            note=_VOC_NOTE,
        ),
        Distribution(
            name="voc2012",
            archives=(
                Archive(
                    name="VOCtrainval_11-May-2012.tar",
                    size=1_999_639_040,
                    checksum="md5:6cd6e144f989b92b3379bac3b3de84fd",
                    published=_TORCHVISION_VOC,
                    mirrors=_VOC_2012,
                    unpacked_size=2_300_000_000,
                    contains=Path("VOCdevkit/VOC2012"),
                ),
            ),
            note=_VOC_NOTE,
        ),
        Distribution(
            name="coco2014",
            archives=(
                Archive(
                    name="train2014.zip",
                    size=13_510_573_713,
                    checksum="md5:0da8c0bd3d6becc4dcb32757491aca88",
                    published=_LAVIS_COCO,
                    mirrors=_COCO_IMAGES,
                    unpacked_size=14_000_000_000,
                    contains=Path("train2014"),
                ),
                Archive(
                    name="val2014.zip",
                    size=6_645_013_297,
                    checksum="md5:a3d79f5ed8d289b7a7554ce06a5782b3",
                    published=_LAVIS_COCO,
                    mirrors=_COCO_IMAGES,
                    unpacked_size=7_000_000_000,
                    contains=Path("val2014"),
                ),
                Archive(
                    name="annotations_trainval2014.zip",
                    size=252_872_794,
                    checksum="md5:0a379cfc70b0e71301e0f377548639bd",
                    published="ETag of images.cocodataset.org, of an upload in one part",
                    mirrors=_COCO_ANNOTATIONS,
                    # Its directory lists 844,813,048 bytes in six files.
                    unpacked_size=850_000_000,
                    contains=Path("annotations"),
                ),
            ),
            note="annotations: CC BY 4.0; the photographs are from flickr, its terms of use apply",
        ),
        Distribution(
            name="ilsvrc",
            archives=(
                Archive(
                    name="ILSVRC2012_img_train.tar",
                    size=147_897_477_120,
                    checksum="md5:1d675b47d978889d74fa0da5fadfb00e",
                    published=_IMAGE_NET,
                    mirrors=(),
                    unpacked_size=152_000_000_000,
                    contains=Path("ILSVRC/Data/CLS-LOC/train"),
                    folder=Path("ILSVRC/Data/CLS-LOC/train"),
                ),
                Archive(
                    name="ILSVRC2012_img_val.tar",
                    size=6_744_924_160,
                    checksum="md5:29b22e2961454d5413ddabcf34fc5622",
                    published=_IMAGE_NET,
                    mirrors=(),
                    unpacked_size=7_000_000_000,
                    contains=Path("ILSVRC/Data/CLS-LOC/val"),
                    folder=Path("ILSVRC/Data/CLS-LOC/val"),
                ),
                Archive(
                    # Its members are val/*.xml.
                    name="ILSVRC2012_bbox_val_v3.tgz",
                    size=None,
                    checksum="md5:f4cd18b5ea29fe6bbea62ec9c20d80f0",
                    published=_IMAGE_NET,
                    mirrors=(),
                    unpacked_size=250_000_000,
                    contains=Path("ILSVRC/Annotations/CLS-LOC/val"),
                    folder=Path("ILSVRC/Annotations/CLS-LOC"),
                ),
                Archive(
                    # Has data/ILSVRC2014_clsloc_validation_blacklist.txt in its one folder.
                    name="ILSVRC2014_devkit.tgz",
                    size=None,
                    checksum="",
                    published="",
                    mirrors=(),
                    unpacked_size=500_000_000,
                    contains=Path("ILSVRC/devkit"),
                    folder=Path("ILSVRC/devkit"),
                ),
            ),
            note="image-net.org gives these files after registration, for non-commercial research",
        ),
        Distribution(
            name="cub",
            archives=(
                Archive(
                    name="CUB_200_2011.tgz",
                    size=1_150_585_339,
                    checksum="md5:97eceeb196236b17998738112f37df78",
                    published="data.caltech.edu, record 65de6-vp158",
                    mirrors=_CUB,
                    unpacked_size=1_600_000_000,
                    contains=Path("CUB_200_2011"),
                ),
            ),
            note="for non-commercial research and education; the authors do not own the images",
        ),
    )
}

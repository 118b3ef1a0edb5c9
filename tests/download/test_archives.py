"""Facts of the catalogue of official archives."""

import pytest

from pipeline.checksum import parse
from pipeline.download.archives import DISTRIBUTIONS, Archive, Distribution

ARCHIVES = [archive for entry in DISTRIBUTIONS.values() for archive in entry.archives]


def described(archive: Archive) -> str:
    return archive.name


archives = pytest.mark.parametrize("archive", ARCHIVES, ids=described)
distributions = pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)


def test_each_data_set_of_the_papers_has_its_archives() -> None:
    assert {name: len(entry.archives) for name, entry in DISTRIBUTIONS.items()} == {
        "voc2007": 2,
        "voc2012": 1,
        "coco2014": 3,
        "ilsvrc": 4,
        "cub": 1,
    }


def test_no_two_archives_have_one_name_or_checksum() -> None:
    assert len({archive.name for archive in ARCHIVES}) == len(ARCHIVES)
    assert len({archive.checksum for archive in ARCHIVES}) == len(ARCHIVES)


@archives
def test_a_checksum_is_well_formed_and_says_where_it_is_from(archive: Archive) -> None:
    if archive.checksum:
        parse(archive.checksum)
    assert bool(archive.published) == bool(archive.checksum)


def test_only_the_development_kit_has_no_published_checksum() -> None:
    assert [a.name for a in ARCHIVES if not a.checksum] == ["ILSVRC2014_devkit.tgz"]


@archives
def test_photographs_hardly_shrink_in_an_archive(archive: Archive) -> None:
    compressed_text = ("annotations_trainval2014.zip", "ILSVRC2012_bbox_val_v3.tgz")
    if archive.size and archive.name not in compressed_text:
        assert archive.size < archive.unpacked_size < 1.5 * archive.size


@distributions
def test_whatever_can_be_downloaded_has_a_size_and_sound_addresses(
    distribution: Distribution,
) -> None:
    mirrors = {mirror for archive in distribution.archives for mirror in archive.mirrors}
    assert all(mirror.startswith(("http://", "https://")) for mirror in mirrors)
    assert not any(mirror.endswith(("/", ".tar", ".tgz", ".zip")) for mirror in mirrors)
    if distribution.name == "ilsvrc":
        assert not mirrors
        assert "registration" in distribution.note
    else:
        assert all(archive.mirrors and archive.size for archive in distribution.archives)


@archives
def test_an_archive_unpacks_below_the_root(archive: Archive) -> None:
    for path in (archive.folder, archive.contains):
        assert not path.is_absolute()
        assert ".." not in path.parts
    assert archive.contains.is_relative_to(archive.folder)


@distributions
def test_that_one_archive_is_there_says_nothing_of_another(distribution: Distribution) -> None:
    found = [archive.contains for archive in distribution.archives]
    assert len(set(found)) == len(found)


def test_the_layout_is_the_one_that_the_readers_expect() -> None:
    found = {archive.name: archive.contains.as_posix() for archive in ARCHIVES}
    assert found["VOCtrainval_06-Nov-2007.tar"].startswith("VOCdevkit/VOC2007/")
    assert found["VOCtest_06-Nov-2007.tar"].startswith("VOCdevkit/VOC2007/")
    assert found["VOCtrainval_11-May-2012.tar"] == "VOCdevkit/VOC2012"
    assert found["annotations_trainval2014.zip"] == "annotations"
    assert found["ILSVRC2012_bbox_val_v3.tgz"] == "ILSVRC/Annotations/CLS-LOC/val"
    assert found["CUB_200_2011.tgz"] == "CUB_200_2011"
    folders = {archive.name: archive.folder.as_posix() for archive in ARCHIVES}
    assert folders["ILSVRC2012_img_train.tar"] == "ILSVRC/Data/CLS-LOC/train"
    assert folders["ILSVRC2012_img_val.tar"] == "ILSVRC/Data/CLS-LOC/val"
    assert folders["ILSVRC2012_bbox_val_v3.tgz"] == "ILSVRC/Annotations/CLS-LOC"
    assert folders["ILSVRC2014_devkit.tgz"] == "ILSVRC/devkit"
    assert folders["VOCtest_06-Nov-2007.tar"] == "."

"""Tiny data sets for every test: coloured shapes whose boxes are known."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest

from pipeline.datasets.packing import pack
from pipeline.packed.record import SPLITS, Dataset, Split, Task
from pipeline.params import Params, load
from tests.coloured_boxes import COLOURS, coloured_boxes
from tests.parameters import changed
from tests.pictures import SHAPES, draw, write_voc_image

# Tiny tensors: several threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that runs the tests in the background makes them, and what they start, ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[1]
BIRDS = {"001.Red_bird": "red", "002.Blue_bird": "blue"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest file, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's own params.yaml, with fixed dealing and size of photographs."""
    params = load(REPOSITORY / "params.yaml")
    data = params.data.model_copy(update={"val_fraction": 0.2, "short_side": 256})
    return params.model_copy(update={"data": data})


@pytest.fixture
def tiny_voc(tmp_path: Path) -> Path:
    """A VOC devkit: 10 trainval and 4 test pictures of car, cat and person, one or two in each.

    000001 has a difficult person in its last rows and columns; trainval has the odd numbers.
    """
    root = tmp_path / "voc"
    names = list(SHAPES)
    ids = {"trainval": range(1, 21, 2), "test": range(2, 10, 2)}
    for split, numbers in ids.items():
        for number in numbers:
            boxes: list[tuple[str, list[int], int]] = [(names[number % 3], [4, 6, 24, 30], 0)]
            if number % 5 == 1:
                boxes.append(("person", [40, 20, 60, 40], int(number == 1)))
            write_voc_image(root, f"{number:06}", boxes)
        lists = root / "VOCdevkit/VOC2007/ImageSets/Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("".join(f"{number:06}\n" for number in numbers))
    return root


@pytest.fixture
def tiny_cub(tmp_path: Path) -> Path:
    """CUB layout: two classes with 5 training and 2 test pictures (50 x 40) each."""
    root = tmp_path / "cub"
    folder = root / "CUB_200_2011"
    lines: dict[str, list[str]] = {
        "classes": [f"{label} {name}" for label, name in enumerate(BIRDS, start=1)],
        **{k: [] for k in ("images", "image_class_labels", "train_test_split", "bounding_boxes")},
    }
    for key in range(1, 15):
        name, colour = list(BIRDS.items())[key // 8]
        path = f"{name}/bird_{key:02}.jpg"
        draw(folder / "images" / path, (50, 40), [(colour, [10, 5, 40, 30])])
        lines["images"].append(f"{key} {path}")
        lines["image_class_labels"].append(f"{key} {key // 8 + 1}")
        lines["train_test_split"].append(f"{key} {int(key % 7 > 1)}")
        lines["bounding_boxes"].append(f"{key} 10.0 5.0 30.0 25.0")
    for stem, content in lines.items():
        (folder / f"{stem}.txt").write_text("\n".join(content) + "\n")
    return root


def _photographs(variable: str, folder: str, contains: str) -> Path:
    default = REPOSITORY.parent / "shared/data" / folder
    root = Path(os.environ.get(variable, default))
    if not (root / contains).is_dir():
        pytest.skip(f"no real photographs: set {variable} to the folder that contains {contains}")
    return root


@pytest.fixture(scope="session")
def voc_photographs() -> Path:
    """The folder of the five-class VOC-style photographs; skips where it is absent."""
    return _photographs("VOC_ROOT", "voc5", "VOCdevkit")


@pytest.fixture(scope="session")
def cub_photographs() -> Path:
    """The folder of the first ten classes of CUB-200-2011; skips where it is absent."""
    return _photographs("CUB_ROOT", "cub10", "CUB_200_2011")


@pytest.fixture(scope="session")
def quick(params: Params) -> Params:
    """The repository's parameters, cut down until a training of two epochs takes a second."""
    schedule = {"epochs": 2, "batch_size": 4, "decay_epochs": [1]}
    others = (f"{name}__train" for name in ("spg", "wsddn", "rpn", "ranking"))
    schedules = ("spn__train_multi", "spn__train_single", *others)
    small = {f"{name}__{k}": v for name in schedules for k, v in schedule.items()}
    widths = {
        "spn__channels": 16,
        "spg__channels": 8,
        "spg__guidance_channels": 4,
        "wsddn__boxes": 4,
        "wsddn__hidden": 8,
    }
    return changed(
        params,
        backbone__name="test_efficientnet",
        backbone__frozen_stages=2,
        backbone__standardise=True,
        input__size=64,
        input__margin=8,
        spg__warmup_epochs=1,
        spg__localize_from="attention",
        evaluate__batch_size=10,
        evaluate__resamples=20,
        **small,
        **widths,
    )


@pytest.fixture(scope="session")
def packed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `packed` gives, for all tests: to be copied."""
    folder = tmp_path_factory.mktemp("packed")
    numbers = dict(zip(SPLITS, (range(10), range(10, 14), range(14, 18)), strict=True))
    tasks: tuple[Task, ...] = ("multi", "single")
    for task in tasks:
        splits = {
            name: Split(partial(coloured_boxes, task), chosen) for name, chosen in numbers.items()
        }
        pack(Dataset("boxes", task, COLOURS, splits), folder / task, origin="", workers=1)
    return folder


@pytest.fixture
def packed(tmp_path: Path, packed_once: Path) -> Path:
    """Folder <track>/<split> of both tracks: 10, 4 and 4 pictures of three classes."""
    return shutil.copytree(packed_once, tmp_path / "data/packed")


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """First weights of the backbone of `quick`, at random."""
    import timm
    import torch

    from pipeline.models.weights import save_weights

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    save_weights(timm.create_model("test_efficientnet"), path)
    return path


@pytest.fixture
def workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: Path, backbone_file: Path
) -> Path:
    """The current folder, as `preprocess` and `pretrain` leave it."""
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "data/weights/backbone.safetensors"
    weights.parent.mkdir(parents=True)
    shutil.copy(backbone_file, weights)
    return tmp_path

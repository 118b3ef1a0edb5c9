"""The command that writes boxes for pictures of users: what it writes, and what it refuses."""

import json
import os
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faster_coco_eval import COCO
from PIL import Image

import pipeline
from pipeline import predict as command
from pipeline.datasets.annotation_xml import read_objects
from pipeline.locks import locked
from pipeline.prediction.model import TrainedModel

Run = Callable[..., int]


@pytest.fixture
def run(models: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with models and photos; return its exit status."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, model: str = "spn_multi", out: str = "out") -> int:
        options = ["--model", f"data/models/{model}", "--out", out]
        monkeypatch.setattr(sys, "argv", ["predict", *words, *options])
        with pytest.raises(SystemExit) as ended:
            command.main()
        code = ended.value.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            return 1
        return int(code or 0)

    return call


@pytest.fixture
def expected(models: Path, photos: Path) -> dict[str, list[tuple[str, list[float]]]]:
    """Classes and boxes of each picture, by its name."""
    names = ["0.png", "1.png", "2.png", "3.png", "more/4.png", "more/5.png"]
    model = pipeline.load(models / "spn_multi")
    found = model.boxes([photos / name for name in names], min_score=0.4)
    return {
        name: list(zip(each.classes, each.boxes_xyxy.tolist(), strict=True))
        for name, each in zip(names, found, strict=True)
    }


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".predict" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_coco_file_is_read_back_by_another_reader(run: Run, expected: Any) -> None:
    assert run("photos", "--min-score", "0.4") == 0
    coco = COCO("out/predictions.json")
    assert any(expected.values())
    assert [image["file_name"] for image in coco.imgs.values()] == list(expected)
    for id, image in coco.imgs.items():
        assert (image["width"], image["height"]) == (48, 40)
        own = coco.loadAnns(coco.getAnnIds(imgIds=[id]))
        found = [
            (coco.cats[a["category_id"]]["name"], [x, y, x + w, y + h])
            for a in own
            for x, y, w, h in [a["bbox"]]
        ]
        assert found == expected[image["file_name"]]
        assert all(0.4 <= a["score"] <= 1 and a["area"] == a["bbox"][2] * a["bbox"][3] for a in own)


def test_voc_files_are_read_back_by_the_reader_of_voc(run: Run, expected: Any) -> None:
    assert run("photos", "--min-score", "0.4", "--format", "voc") == 0
    assert set(files_of(Path("out"))) == {
        f"Annotations/{name.replace('png', 'xml')}" for name in expected
    }
    for name, boxes in expected.items():
        path = Path("out/Annotations", name).with_suffix(".xml")
        found = [
            (each.name, [xmin - 1, ymin - 1, xmax, ymax])
            for each in read_objects(path)
            for xmin, ymin, xmax, ymax in [each.corners]
        ]
        assert found == boxes
        root = ET.parse(path).getroot()
        assert root.findtext("filename") == Path(name).name
        assert [root.findtext(f"size/{key}") for key in ("width", "height", "depth")] == [
            "48",
            "40",
            "3",
        ]


def test_yolo_files_are_shares_of_the_sides(run: Run, expected: Any) -> None:
    assert run("photos", "--min-score", "0.4", "--format", "yolo") == 0
    classes = Path("out/classes.txt").read_text().split()
    assert classes == ["red", "lime", "blue"]
    for name, boxes in expected.items():
        found = []
        for line in Path("out/labels", name).with_suffix(".txt").read_text().splitlines():
            label, x, y, width, height = map(float, line.split())
            corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
            sides = zip(corners, [48, 40] * 2, strict=True)
            box = [round(share * side, 4) for share, side in sides]
            found.append((classes[int(label)], box))
        assert found == boxes


def test_overlays_show_the_picture_with_its_boxes(run: Run, photos: Path) -> None:
    Image.new("RGB", (1600, 1200), "gray").save(photos / "large.jpg")
    assert run("photos", "--overlay", model="spg") == 0
    overlays = {path.name: Image.open(path).size for path in Path("out/overlays").glob("*.jpg")}
    assert overlays["large.jpg"] == (683, 512)
    assert overlays["0.jpg"] == (48, 40)
    assert Path("out/overlays/more/5.jpg").exists()
    assert Path("out/predictions.json").exists()


def test_a_repeated_call_looks_at_no_picture_twice(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("photos", "--format", "voc") == 0
    before, looked = files_of(Path("out")), watch(monkeypatch)
    assert run("photos", "--format", "voc") == 0
    assert (looked.pop(), files_of(Path("out"))) == ([], before)
    shutil.copy(photos / "0.png", photos / "new.png")
    os.utime(photos / "1.png", (1, 1))
    Path("out/Annotations/2.xml").unlink()
    assert run("photos", "--format", "voc") == 0
    assert looked.pop() == ["1.png", "2.png", "new.png"]
    assert files_of(Path("out")).keys() - before.keys() == {"Annotations/new.xml"}
    assert "7 of 7 pictures" in capsys.readouterr().out


def watch(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Note the names of the pictures that each call looks at."""
    looked, look = [], TrainedModel.look

    def noted(self: TrainedModel, sources: list[Any], *rest: Any, **more: Any) -> Any:
        looked.append([Path(source).name for source in sources])
        return look(self, sources, *rest, **more)

    monkeypatch.setattr(TrainedModel, "look", noted)
    return looked


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
@pytest.mark.parametrize("half", [b"", b'{"name": "0'])
def test_an_interrupted_call_goes_on_to_the_same_bytes(
    run: Run, monkeypatch: pytest.MonkeyPatch, form: str, half: bytes
) -> None:
    words = ("photos", "--format", form, "--overlay", "--batch-size", "2")
    assert run(*words, out="whole") == 0
    write, count = command._Work._write, iter(range(10))

    def interrupted(self: Any, *arguments: Any) -> None:
        if next(count) == 3:
            raise KeyboardInterrupt
        write(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(command._Work, "_write", interrupted)
        # Processes that decode would hold the lock until they have noticed.
        patch.setattr("pipeline.packed.loading.workers", lambda **_: 0)
        assert run(*words) == 130
    with Path("out/.predict/done.jsonl").open("ab") as file:
        file.write(half)
    looked = watch(monkeypatch)
    assert run(*words) == 0
    assert looked == [["3.png", "4.png", "5.png"]]
    assert files_of(Path("out")) == files_of(Path("whole"))


def test_bad_pictures_are_listed_at_the_end_and_the_rest_is_done(
    run: Run, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "0.png").write_bytes(b"")
    (photos / "2.png").write_bytes((photos / "2.png").read_bytes()[:60])
    (photos / "more/4.png").write_text("no picture")
    assert run("photos") == 1
    out, err = capsys.readouterr()
    assert "3 of 6 pictures: out/predictions.json" in out
    told = [line for line in err.splitlines() if line.startswith("predict: ")]
    assert ["0.png" in told[0], "2.png" in told[1], "more/4.png" in told[2]] == [True] * 3
    assert "the file is empty" in told[0] and "none of JPEG, PNG" in told[2]
    assert len(json.loads(Path("out/predictions.json").read_text())["images"]) == 3
    Image.new("RGB", (20, 10)).save(photos / "0.png")
    assert run("photos") == 1
    assert "4 of 6 pictures" in capsys.readouterr().out


def test_a_decompression_bomb_is_a_bad_picture(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (200, 100)).save(photos / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 40)
    assert run("photos") == 1
    assert "bomb.png: unreadable image (Image size (20000 pixels)" in capsys.readouterr().err


def test_boxes_of_a_turned_photograph_refer_to_the_upright_one(
    run: Run, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = Image.Exif()
    metadata[0x112] = 8
    Image.open(photos / "0.png").save(photos / "turned.jpg", exif=metadata)
    assert run("photos/turned.jpg") == 0
    assert "1 picture(s): turned upright" in capsys.readouterr().err
    (image,) = json.loads(Path("out/predictions.json").read_text())["images"]
    assert image == {"id": 1, "file_name": "turned.jpg", "width": 40, "height": 48}


def refused(run: Run, capsys: pytest.CaptureFixture[str], *words: str, **more: str) -> str:
    """Run what must be refused with one message; return that."""
    capsys.readouterr()
    assert run(*words, **more) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("predict: ")
    return line


@pytest.mark.parametrize("words", [("gone.jpg",), ("photos", "gone/*.jpg")])
def test_a_word_that_names_nothing_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert f"{words[-1]}: no such picture, folder or pattern" in refused(run, capsys, *words)
    assert not Path("out").exists()


def test_a_folder_without_pictures_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("empty/notes.txt").touch()
    assert "empty: a folder without pictures; it needs files that end in .bmp" in refused(
        run, capsys, "empty"
    )


def test_pictures_whose_results_would_meet_are_refused(
    run: Run, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open(photos / "0.png").save(photos / "0.jpg")
    told = refused(run, capsys, "photos", "--format", "yolo")
    assert "0.jpg and 0.png: both would give the file 0; rename one" in told
    assert run("photos") == 0


def test_another_call_must_have_another_folder(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("photos") == 0
    before = files_of(Path("out"))
    for words, key in (
        (("photos", "--threshold", "0.5"), "boxes"),
        (("photos", "--min-score", "0.1"), "least score"),
        (("photos", "--format", "voc"), "format"),
        (("photos/0.png",), "pictures"),
    ):
        told = refused(run, capsys, *words)
        assert f"out: holds results of another call ({key} differ); name another folder" in told
    assert "(model, boxes" not in refused(run, capsys, "photos", model="cam_single")
    assert files_of(Path("out")) == before


def test_a_folder_of_other_files_is_left_alone(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/diary.txt").touch()
    assert "out: not empty; name a new folder with --out" in refused(run, capsys, "photos")
    assert [path.name for path in Path("out").iterdir()] == ["diary.txt"]


def test_a_folder_that_cannot_be_written_is_told(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    told = refused(run, capsys, "photos", out="file/out")
    assert "file/out" in told and "cannot be written (Not a directory)" in told


def test_a_damaged_model_is_refused_before_anything_is_written(
    run: Run, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = models / "spg/weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert "weights.safetensors: sha256 is" in refused(run, capsys, "photos", model="spg")
    assert "model.json: cannot be read" in refused(run, capsys, "photos", model="gone")
    assert not Path("out").exists()


def test_two_calls_do_not_meet_in_a_folder(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.locks.PATIENCE", 0)
    assert run("photos") == 0
    with locked(Path("out/.predict/lock"), "the test"):
        assert "another process runs this prediction" in refused(run, capsys, "photos")

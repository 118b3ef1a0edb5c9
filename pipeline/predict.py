"""Boxes for pictures of users, by a trained model.

python -m pipeline.predict PICTURE|FOLDER|PATTERN ... --model data/models/spg
"""

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.files import atomic_path
from pipeline.prediction import overlay
from pipeline.prediction.formats import FORMATS, Format
from pipeline.prediction.listing import Listing, check_stems, pictures_of
from pipeline.prediction.model import BATCH_SIZE, Detections, TrainedModel, load
from pipeline.prediction.results import Box, Result, Results, results_of, stamp_of
from pipeline.progress import say

OVERLAYS = "overlays"
"""Folder of the overlays, below that of the results."""


def main() -> None:
    """Predict; the exit status is 1 if a picture cannot be read, 130 after an interruption."""
    logging.getLogger("timm").setLevel(logging.ERROR)
    given = arguments().parse_args()
    try:
        unreadable = predict(given)
    except InputError as error:
        sys.exit(f"predict: {error}")
    except KeyboardInterrupt:
        print("predict: interrupted; run it again to go on", file=sys.stderr)
        sys.exit(130)
    sys.exit(1 if unreadable else 0)


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.predict", description=__doc__)
    add = parser.add_argument
    add("pictures", nargs="+", metavar="picture", help="file, folder or pattern")
    add("--model", type=Path, required=True, help="folder of a trained model")
    add("--format", choices=FORMATS, default="coco", help="of the results (default: coco)")
    add("--out", type=Path, default=Path("predictions"), help="folder of the results")
    add("--overlay", action="store_true", help="draw boxes and the response map as well")
    add("--threshold", type=float, help="of boxes, share of a map's range: 0 to 1")
    add("--boxes-from", metavar="MAP", help="of SPG, as spg.localize_from: attention, b, ...")
    add("--min-score", type=float, help="least probability of a detection: 0 to 1")
    add("--batch-size", type=_count, default=BATCH_SIZE, help="pictures at a time")
    return parser


def predict(given: argparse.Namespace) -> list[str]:
    """Write the results of the command line `given`; return why pictures could not be read.

    Raises:
        InputError: there are no such pictures, no such model, or the results cannot be written.
    """
    return write(load(given.model, given.threshold, given.boxes_from), given)


def write(model: TrainedModel, given: argparse.Namespace) -> list[str]:
    """Do what `predict` does with a model that is loaded."""
    listing, form = pictures_of(given.pictures), FORMATS[given.format]
    if form.files or given.overlay:
        check_stems(listing.names)
    least = model.least_score(given.min_score)
    call = {
        "model": model.description.weights,
        "boxes": str(model.rule),
        "least score": least,
        "format": given.format,
        "overlays": given.overlay,
        "pictures": [str(Path(word).absolute()) for word in given.pictures],
    }
    print(f"{model.description.model}: boxes surround {model.rule}")
    with results_of(given.out, call) as results:
        work = _Work(listing, form, model, results, given.overlay)
        unreadable = work.run(least, given.batch_size)
        written = form.finish(given.out, lambda: results.of(listing.names), model.classes)
    done = len(listing.names) - len(unreadable)
    print(f"{done} of {len(listing.names)} pictures: {written}")
    for line in unreadable:
        print(f"predict: {line}", file=sys.stderr)
    return unreadable


class _Work:
    """The pictures of a call that are not done."""

    def __init__(
        self,
        listing: Listing,
        form: Format,
        model: TrainedModel,
        results: Results,
        overlays: bool,
    ) -> None:
        self._listing, self._format, self._model = listing, form, model
        self._results, self._overlays = results, overlays

    def run(self, least: float, batch_size: int) -> list[str]:
        """Do them; return why pictures could not be read, and tell what was done to others."""
        names = self._listing.names
        todo = {name: stamp for name in names if (stamp := self._undone(name)) is not None}
        paths = [str(self._listing.path(name)) for name in todo]
        found = self._model.look(list(paths), least, batch_size, maps=self._overlays)
        unreadable, notes = [], Counter[str]()
        bar = tqdm(total=len(names), initial=len(names) - len(todo), unit=" pictures", disable=None)
        with bar:
            for (name, stamp), each in zip(todo.items(), found, strict=True):
                if isinstance(each, InputError):
                    unreadable.append(str(each))
                else:
                    self._write(name, stamp, each)
                    notes.update(each.notes)
                bar.update()
        for note, count in notes.items():
            say(f"{count} picture(s): {note}")
        return unreadable

    def _undone(self, name: str) -> tuple[int, int] | None:
        """Return the stamp of a picture that is to be done, None of one that is done."""
        stamp = stamp_of(self._listing.path(name))
        done = self._results.stamp(name) == stamp and all(p.exists() for p in self._files(name))
        return None if done else stamp

    def _files(self, name: str) -> list[Path]:
        """The files of a picture: its overlay, and its results if the format has such files."""
        own = [(OVERLAYS, overlay.SUFFIX)] if self._overlays else []
        if self._format.files:
            own.append((self._format.files.folder, self._format.files.suffix))
        folder = self._results.folder
        return [(folder / below / name).with_suffix(suffix) for below, suffix in own]

    def _write(self, name: str, stamp: tuple[int, int], found: Detections) -> None:
        """Write the files of a picture, and then note that it is done."""
        result = _result(name, stamp, found)
        paths = self._files(name)
        if self._overlays:
            overlay.draw(self._listing.path(name), found, paths[0])
        if files := self._format.files:
            with atomic_path(paths[-1]) as temporary:
                temporary.write_text(files.text(result, self._model.classes), encoding="utf-8")
        self._results.add(result)


def _result(name: str, stamp: tuple[int, int], found: Detections) -> Result:
    """Return detections as they are kept: numbers alone."""
    rows = zip(found.labels, found.scores.tolist(), found.boxes_xyxy.tolist(), strict=True)
    boxes = tuple(Box(label=c, score=score, box_xyxy=tuple(box)) for c, score, box in rows)
    return Result(name=name, stamp=stamp, width=found.width, height=found.height, boxes=boxes)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError("not above 0")
    return count


if __name__ == "__main__":
    main()

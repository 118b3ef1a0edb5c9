"""Which (image, class) pairs make the difficult subset (SPN Table 2): a rule or a list."""

from collections.abc import Callable, Collection
from pathlib import Path

from pipeline.errors import InputError
from pipeline.evaluation.protocol.answer import Answer
from pipeline.workspace import located

Difficult = Callable[[Answer], Collection[int]]
"""An image -> its classes of the difficult subset."""


def difficult_subset(source: Path | None, classes: tuple[str, ...]) -> Difficult:
    """Return what tells the difficult classes of an image, by the rule or by a list.

    On the boxes of VOC2007 test that are not marked difficult the rule finds 2,270 of 7,013 pairs;
    the list of Excitation Backprop's authors holds 2,230 of these.

    Args:
        source: a list as `read_list` takes it; None for the rule of `metrics.pointing`.

    Raises:
        InputError: here as `read_list`; later, of an image that the list does not name.
    """
    if source is None:
        return lambda answer: answer.difficult
    listed = read_list(located(source), classes)

    def of_image(answer: Answer) -> Collection[int]:
        if answer.record.id not in listed:
            raise InputError(
                f"{source}: image {answer.record.id} is not listed; evaluate.difficult_from needs "
                f"the list of this data set's test images, or rule"
            )
        return listed[answer.record.id]

    return of_image


def read_list(path: Path, classes: tuple[str, ...]) -> dict[str, frozenset[int]]:
    """Return the difficult classes of each image of a list file, by the image's name.

    A line is an image: its name and, after tabs, a flag 0 or 1 for each class of the data set, in
    the alphabetical order of their names.

    Raises:
        InputError: the file is missing or no such list; names the line.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise InputError(
            f"{path}: not found; evaluate.difficult_from is rule or the path of a list"
        ) from None
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as a text file; restore it") from None
    labels = [classes.index(name) for name in sorted(classes)]
    listed = {}
    for number, line in enumerate(lines, start=1):
        name, *flags = line.split("\t")
        if len(flags) != len(classes) or not set(flags) <= {"0", "1"}:
            raise InputError(
                f"{path}: line {number} is no image name with {len(classes)} flags 0 or 1, one for "
                "each class of the data set, separated by tabs"
            )
        listed[name] = frozenset(
            label for label, flag in zip(labels, flags, strict=True) if flag == "1"
        )
    return listed

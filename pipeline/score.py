"""Score maps of any tool by the protocol of this project: `python -m pipeline.score MAPS`.

MAPS is a folder of score maps, one for each image or one for each image and class. They are judged
beside a packed split of this project or a list of boxes, by the functions that judge its own
networks.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pipeline.datasets.box_list import PIXELS
from pipeline.errors import InputError
from pipeline.evaluation.protocol.estimates import Figures
from pipeline.params import load
from pipeline.scoring.figures import Convention, Row, rows, scores_of_maps
from pipeline.scoring.map_folder import MapFolder, read_maps
from pipeline.scoring.truth import read_truth


def main() -> None:
    """Print the figures of a folder of maps; errors end in one message."""
    given = arguments()
    try:
        params = load(given.params)
        maps = read_maps(given.maps, read_truth(given.data, given.pixels))
        tuning = None
        if given.tuning:
            other, data = given.tuning
            tuning = read_maps(other, read_truth(data, given.pixels))
            refuse_other_classes(maps, tuning)
        warn_of_constant(maps)
        scores = scores_of_maps(maps, tuning, given.convention, params)
    except InputError as error:
        sys.exit(f"score: {error}")
    found = list(rows(scores))
    if given.json:
        print(json.dumps([row._asdict() for row in found], indent=1))
    elif given.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(found)
    else:
        print(markdown(found, scores, maps, tuning))


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="score", description=__doc__.splitlines()[0])
    parser.add_argument("maps", type=Path, help="folder of .npy or grey .png, a map an image")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="packed split (data/packed/single/test), COCO's .json, or .csv: "
        "image,width,height[,class],xmin,ymin,xmax,ymax",
    )
    parser.add_argument(
        "--tuning",
        type=Path,
        nargs=2,
        metavar=("MAPS", "DATA"),
        help="choose thresholds on these (default: on the judged images, as the papers do)",
    )
    parser.add_argument(
        "--pixels",
        choices=PIXELS,
        default="from-0",
        help="of a .csv: number of the first pixel (VOC: from-1); half-open: xmax, ymax lie behind",
    )
    parser.add_argument(
        "--convention",
        choices=get_args(Convention),
        default="half-open",
        help="of boxes by threshold; wsolevaluation: that of Choe et al.'s evaluator",
    )
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="evaluate, input.align_corners"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--csv", action="store_true")
    return parser.parse_args()


def refuse_other_classes(maps: MapFolder, tuning: MapFolder) -> None:
    """Raise InputError for tuning data of another kind."""
    if tuning.truth.task != maps.truth.task or maps.truth.task == "multi":
        raise InputError(
            f"--tuning: thresholds are chosen for data of one class an image, and "
            f"{maps.truth.name} is {maps.truth.task}-label, {tuning.truth.name} "
            f"{tuning.truth.task}-label; leave --tuning out or name other data"
        )


def warn_of_constant(maps: MapFolder) -> None:
    """Tell of maps that say nothing: they point at the first pixel and box the whole image."""
    if maps.constant:
        print(
            f"score: {len(maps.constant)} constant map(s), {maps.constant[0]} the first: they "
            "point at the pixel (0, 0), and their box is the whole image",
            file=sys.stderr,
        )


def markdown(
    found: Sequence[Row], scores: Figures, maps: MapFolder, tuning: MapFolder | None
) -> str:
    """Return a Markdown table and what its thresholds rest on."""
    lines = ["| figure | value | 95 % interval | n |", "|---|---:|---:|---:|"]
    lines += [
        f"| {row.figure} | {row.value:.1f} | [{row.low:.1f}, {row.high:.1f}] | {row.n:,} |"
        for row in found
    ]
    if "threshold" in scores:
        source = tuning.truth.name if tuning else "the judged images themselves"
        lines += ["", f"Box threshold {scores['threshold']:.2f} of the range, chosen on {source}."]
    return "\n".join([f"Data: {maps.truth.name}. Percent.", "", *lines])


if __name__ == "__main__":
    main()

"""Boxes for millions of pictures, here or in an object store, on Ray Data.

python -m pipeline.predict_ray FOLDER|s3://BUCKET/FOLDER ... --model data/models/spg --out boxes
"""

import argparse
import logging
import sys
from itertools import islice

from pipeline.errors import InputError
from pipeline.prediction.model import BATCH_SIZE
from pipeline.prediction.ray_data import Job, faults, predict

TOLD = 20
"""Pictures that cannot be read, told at the end; the results name all."""


def main() -> None:
    """Predict; the exit status is 1 if a picture cannot be read."""
    logging.getLogger("timm").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(prog="python -m pipeline.predict_ray", description=__doc__)
    add = parser.add_argument
    add("addresses", nargs="+", metavar="address", help="picture or folder, path or address")
    add("--model", required=True, help="folder of a trained model")
    add("--out", required=True, help="folder of the results, path or address")
    add("--threshold", type=float, help="as for pipeline.predict")
    add("--boxes-from", metavar="MAP", help="as for pipeline.predict")
    add("--min-score", type=float, help="as for pipeline.predict")
    add("--batch-size", type=int, default=BATCH_SIZE, help="pictures at a time")
    add("--networks", type=int, default=1, help="networks at a time, each on its own GPU if any")
    given = vars(parser.parse_args())
    addresses, out = given.pop("addresses"), given.pop("out")
    try:
        count = predict(addresses, out, Job(**given))
        unreadable = list(islice(faults(out), TOLD))
    except InputError as error:
        sys.exit(f"predict_ray: {error}")
    print(f"{count} pictures: {out}")
    for line in unreadable:
        print(f"predict_ray: {line}", file=sys.stderr)
    sys.exit(1 if unreadable else 0)


if __name__ == "__main__":
    main()

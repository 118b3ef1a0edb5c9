"""One short module per DVC stage: read params, call the pipeline, write the outs."""

import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import InputError
from pipeline.params import load

PARAMS = Path("params.yaml")


def run(stage: Callable[..., None]) -> None:
    """Call `stage(params, *command-line arguments)`; bad input ends in one message and status 1."""
    # timm tells at each start which weights of the classifier a backbone has no use for.
    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        names = list(inspect.signature(stage).parameters)[1:]
        if len(sys.argv) - 1 != len(names):
            usage = " ".join([f"sh stages/run {stage.__name__}", *map(str.upper, names)])
            raise InputError(f"{len(sys.argv) - 1} argument(s) given; usage: {usage}")
        stage(load(PARAMS), *sys.argv[1:])
    except InputError as error:
        sys.exit(f"{stage.__name__}: {error}")

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
    """Call `stage(params, *command-line arguments)`; an error ends in one message.

    The exit status is then 1, or 130 after an interruption from the keyboard.
    """
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
    except KeyboardInterrupt:
        print(f"{stage.__name__}: interrupted; run it again to go on", file=sys.stderr)
        sys.exit(130)

"""One short module per DVC stage: read params, call the pipeline, write the outs."""

import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import InputError
from pipeline.params import load
from pipeline.processes import lost_workers_told
from pipeline.signals import Terminated, raise_on_term

PARAMS = Path("params.yaml")


def run(stage: Callable[..., None]) -> None:
    """Call `stage(params, *command-line arguments)`; an error ends in one message.

    The exit status is then 1; it is 130 after Ctrl-C and 143 after SIGTERM, which a cluster sends
    before it takes the machine away: run again, the stage then goes on.
    """
    # timm tells at each start which weights of the classifier a backbone has no use for.
    logging.getLogger("timm").setLevel(logging.ERROR)
    raise_on_term()
    try:
        names = list(inspect.signature(stage).parameters)[1:]
        if len(sys.argv) - 1 != len(names):
            usage = " ".join([f"sh stages/run {stage.__name__}", *map(str.upper, names)])
            raise InputError(f"{len(sys.argv) - 1} argument(s) given; usage: {usage}")
        with lost_workers_told():
            stage(load(PARAMS), *sys.argv[1:])
    except InputError as error:
        sys.exit(f"{stage.__name__}: {error}")
    except (KeyboardInterrupt, Terminated) as asked:
        name, status = ("Ctrl-C", 130) if isinstance(asked, KeyboardInterrupt) else ("SIGTERM", 143)
        kept = f" after {asked}" if str(asked) else ""
        print(f"{stage.__name__}: ended by {name}{kept}; run it again to go on", file=sys.stderr)
        sys.exit(status)

"""Stage `train`: one model, from the backbone's first weights."""

from pipeline.methods import registry
from pipeline.params import Params
from pipeline.training.fit import fit
from stages import run
from stages.paths import BACKBONE, PACKED, SCRATCH, model_folder


def train(params: Params, model: str) -> None:
    """Write data/models/<model>: its weights and the history of its losses.

    Raises:
        InputError: no such model, one that params.yaml does not list, a missing input, or a loss
            that is not finite.
    """
    found = registry.find(model, params)
    fit(
        found.load(),
        params,
        found.track,
        data=PACKED / found.track,
        backbone=BACKBONE,
        folder=model_folder(model),
        scratch=SCRATCH,
    )


if __name__ == "__main__":
    run(train)

"""Stage `evaluate_twins`: SPN and SPG against their twins, image by image."""

from collections.abc import Sequence

from pipeline.evaluation.protocol.differences import differences
from pipeline.evaluation.protocol.estimates import Judged
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, judge
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.params import Params
from pipeline.reporting.catalogue import TWINS
from stages import run
from stages.paths import scores_file
from stages.stored import stored_pairs


def evaluate_twins(params: Params) -> None:
    """Write data/scores/twins.json: of each model of `TWINS` its gain over its twin.

    Raises:
        InputError: a missing input, or one of other images.
    """
    found = {
        model: differences(judged(params, model), judged(params, twin), params)
        for model, twin in TWINS.items()
    }
    write_json(scores_file("twins"), found)


def judged(params: Params, model: str) -> Sequence[Judged]:
    """Return the figures of a model, from its stored predictions."""
    track = registry.find(model).track
    pairs = stored_pairs(model, track, SCORED_SPLITS[track])
    return judge(pairs, pairs["test"].split.classes, params, track)


if __name__ == "__main__":
    run(evaluate_twins)

"""Stage `evaluate`: one network's predictions and scores."""

from itertools import chain

from pipeline.evaluation.localization.inference import predict
from pipeline.evaluation.localization.predictions import write_predictions
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, scores_of
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.params import Params
from stages import run
from stages.off import score_nothing, switched_off
from stages.paths import predictions_file, scores_file, weights_file
from stages.stored import stored_pairs


def evaluate(params: Params, model: str) -> None:
    """Write data/predictions/<model>.arrow and data/scores/<model>.json.

    Of a method that is switched off they hold no image and no score.

    Raises:
        InputError: no such model, a missing or foreign input, values that are not finite, nothing
            to score.
    """
    if switched_off(params, model):
        return score_nothing(model)
    track = registry.find(model).track
    pairs = stored_pairs(model, track, SCORED_SPLITS[track])
    splits = [pair.split for pair in pairs.values()]
    test = pairs["test"].split
    network = registry.trained(model, len(test.classes), params, weights_file(model))
    found = (predict(network, split, params.input, params.evaluate) for split in splits)
    write_predictions(predictions_file(model), chain.from_iterable(found))
    described = {
        "model": model,
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.name,
        "classes": list(test.classes),
    }
    write_json(scores_file(model), described | scores_of(pairs, test.classes, params, track))


if __name__ == "__main__":
    run(evaluate)

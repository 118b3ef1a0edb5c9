"""Stage `evaluate`: one network's predictions and scores."""

from collections.abc import Iterator
from itertools import chain

from pipeline.datasets.store import PackedSplit
from pipeline.files import write_json
from pipeline.localization.inference import predict
from pipeline.localization.predictions import Prediction, read_predictions, write_predictions
from pipeline.models import registry
from pipeline.params import Params
from pipeline.protocol.scores import SCORED_SPLITS, scores_of
from stages import run
from stages.paths import predictions_file, scores_file, split_file, weights_file


def evaluate(params: Params, model: str) -> None:
    """Write data/predictions/<model>.arrow and data/scores/<model>.json.

    Raises:
        InputError: no such model, a missing or foreign input, values that are not finite.
    """
    track = registry.find(model).track
    splits = {name: PackedSplit(split_file(track, name)) for name in SCORED_SPLITS[track]}
    classes = splits["test"].classes
    network = registry.trained(model, len(classes), params, weights_file(model))

    def predictions() -> Iterator[Prediction]:
        return chain.from_iterable(
            predict(network, split, params.input, params.evaluate) for split in splits.values()
        )

    write_predictions(predictions_file(model), predictions())
    scores = scores_of(read_predictions(predictions_file(model)), splits, params)
    described = {"model": model, "backbone": params.backbone.name, "seed": params.seed}
    write_json(scores_file(model), described | scores)


if __name__ == "__main__":
    run(evaluate)

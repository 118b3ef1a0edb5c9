"""Stage `evaluate_saliency`: the CAM network of a track, localizing by other methods."""

from collections.abc import Callable, Mapping
from functools import partial

from pipeline.datasets.record import Task
from pipeline.datasets.store import PackedSplit
from pipeline.files import write_json
from pipeline.localization.predictions import read_predictions
from pipeline.localization.saliency.inference import with_saliency
from pipeline.models import registry
from pipeline.params import Params, SaliencyMethod
from pipeline.protocol.estimates import Figures
from pipeline.protocol.multi_label import pointing_scores
from pipeline.protocol.pairs import Pairs, StoredPairs
from pipeline.protocol.scores import scores_of
from stages import run
from stages.paths import predictions_file, scores_file, split_folder, weights_file

SCORERS: dict[Task, Callable[[Mapping[str, Pairs], tuple[str, ...], Params], Figures]] = {
    "multi": lambda pairs, classes, params: pointing_scores(pairs["test"], classes, params),
    "single": partial(scores_of, task="single"),
}
"""What the maps of a track are judged by: their maximum, or the box around them."""


def evaluate_saliency(params: Params, track: Task) -> None:
    """Write data/scores/saliency_<track>.json: the scores of each `<method>_<track>`.

    Maps are made by the trained cam_<track> and are not kept; class scores are those that stage
    evaluate wrote for it.

    Raises:
        InputError: no such track, a missing or foreign input, a stride that the backbone does not
            have, a map that is not finite, nothing to score.
    """
    model = f"cam_{track}"
    task, path = registry.find(model).track, predictions_file(model)
    names = ("test", params.evaluate.threshold_from)
    splits = {name: PackedSplit(split_folder(track, name)) for name in names}
    test = splits["test"]
    network = registry.trained(model, len(test.classes), params, weights_file(model))

    def pairs(method: SaliencyMethod, name: str) -> Pairs:
        stored = StoredPairs(partial(read_predictions, path, name), splits[name])
        return with_saliency(stored, splits[name], network, method, params)

    described = {
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.name,
        "classes": list(test.classes),
    }
    scores = {
        f"{method}_{track}": described
        | {"model": f"{method}_{track}"}
        | SCORERS[task]({name: pairs(method, name) for name in splits}, test.classes, params)
        for method in params.saliency.methods
    }
    write_json(scores_file(f"saliency_{track}"), scores)


if __name__ == "__main__":
    run(evaluate_saliency)

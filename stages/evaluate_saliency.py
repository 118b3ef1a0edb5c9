"""Stage `evaluate_saliency`: the CAM network of a track, localizing by other methods."""

from collections.abc import Callable, Mapping
from functools import partial

from pipeline.evaluation.protocol.estimates import Figures
from pipeline.evaluation.protocol.multi_label import pointing_figures
from pipeline.evaluation.protocol.pairs import Pairs
from pipeline.evaluation.protocol.scores import scores_of
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.packed.record import Task
from pipeline.params import Params, SaliencyMethod
from pipeline.saliency.inference import with_saliency
from stages import run
from stages.paths import scores_file, weights_file
from stages.stored import stored_pairs

SCORERS: dict[Task, Callable[[Mapping[str, Pairs], tuple[str, ...], Params], Figures]] = {
    "multi": lambda pairs, classes, params: pointing_figures(pairs["test"], classes, params).scores(
        params
    ),
    "single": partial(scores_of, task="single"),
}
"""What the maps of a track are judged by: their maximum, or the box around them."""


def evaluate_saliency(params: Params, track: Task) -> None:
    """Write data/scores/saliency_<track>.json: the scores of each `<method>_<track>`.

    Maps are made by the trained cam_<track> and are not kept; class scores are those that stage
    evaluate wrote for it.

    Raises:
        InputError: no such track, a missing or foreign input, a layer that the backbone does not
            have, a map that is not finite, nothing to score.
    """
    model = f"cam_{track}"
    task = registry.find(model).track
    stored = stored_pairs(model, track, ("test", params.evaluate.threshold_from))
    test = stored["test"].split
    network = registry.trained(model, len(test.classes), params, weights_file(model))

    def pairs(method: SaliencyMethod) -> dict[str, Pairs]:
        return {
            name: with_saliency(own, own.split, network, method, params)
            for name, own in stored.items()
        }

    described = {
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.name,
        "classes": list(test.classes),
    }
    scores = {
        f"{method}_{track}": described
        | {"model": f"{method}_{track}"}
        | SCORERS[task](pairs(method), test.classes, params)
        for method in params.saliency.methods
    }
    write_json(scores_file(f"saliency_{track}"), scores)


if __name__ == "__main__":
    run(evaluate_saliency)

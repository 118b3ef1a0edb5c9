"""Stage `evaluate_saliency`: the CAM network of a track, localizing by other methods."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import partial

from pipeline.distributed import gathered, is_main, process_count, process_index
from pipeline.errors import unlisted
from pipeline.evaluation.protocol.estimates import Figures
from pipeline.evaluation.protocol.multi_label import pointing_figures
from pipeline.evaluation.protocol.pairs import Pairs, stored_pairs
from pipeline.evaluation.protocol.scores import scores_of
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.packed.record import Task
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, SaliencyMethod
from pipeline.saliency.inference import with_saliency
from stages import run
from stages.paths import model_folder, predictions_file, scores_file, split_folder

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
    evaluate wrote for it. Of several processes each takes every so many-th method.

    Raises:
        InputError: a track that params.yaml does not list, a missing or foreign input, a
            layer that the backbone does not have, a map that is not finite, nothing to score.
    """
    if track not in params.saliency.tracks:
        raise unlisted(track, "saliency.tracks")
    cam = registry.find(f"cam_{track}", params)
    stored = {
        name: stored_pairs(predictions_file(cam.name), PackedSplit(split_folder(track, name)))
        for name in ("test", params.evaluate.threshold_from)
    }
    test = stored["test"].split
    folder = model_folder(cam.name)
    network = cam.load().trained(folder, len(test.classes), params, cam.stage("train"))

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
    methods: list[SaliencyMethod] = getattr(params.saliency.methods, track)
    own = {
        f"{method}_{track}": described
        | {"model": f"{method}_{track}"}
        | SCORERS[cam.track](pairs(method), test.classes, params)
        for method in methods[process_index() :: process_count()]
    }
    scores = dict(ChainMap(*gathered(own)))
    if is_main():
        write_json(scores_file(f"saliency_{track}"), scores)


if __name__ == "__main__":
    run(evaluate_saliency)

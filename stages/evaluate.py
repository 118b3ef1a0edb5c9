"""Stage `evaluate`: what one trained model answers, and its scores."""

from typing import Any

from pipeline.distributed import is_main
from pipeline.evaluation.answers import answers_of
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.packed.record import SPLITS
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages import run
from stages.paths import SCRATCH, model_folder, predictions_file, scores_file, split_folder


def evaluate(params: Params, model: str) -> None:
    """Write data/predictions/<model>.arrow and data/scores/<model>.json.

    Raises:
        InputError: no such model, one that params.yaml does not list, a missing or foreign input,
            values that are not finite, nothing to score.
    """
    found = registry.find(model, params)
    folder, test = model_folder(model), PackedSplit(split_folder(found.track, "test"))
    network = found.load().trained(folder, len(test.classes), params, found.stage("train"))
    answers = answers_of(network)
    splits = {
        name: PackedSplit(split_folder(found.track, name)) for name in answers.splits(found.track)
    }
    answers.write(predictions_file(model), network, splits, folder, params, SCRATCH)
    if not is_main():
        return
    described: dict[str, Any] = {
        "model": model,
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.name,
        "classes": list(test.classes),
    }
    skipped = sum(len(PackedSplit(split_folder(found.track, name)).skipped) for name in SPLITS)
    if skipped:
        described["skipped_images"] = skipped
    scores = answers.judge(predictions_file(model), network, splits, params)
    write_json(scores_file(model), described | scores)


if __name__ == "__main__":
    run(evaluate)

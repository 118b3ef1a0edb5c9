"""Stage `compare`: models against their twins, and SPG's boxes under other rankings."""

from collections.abc import Sequence
from functools import partial

from pipeline.evaluation.localization.predictions import EVALUATE, read_predictions
from pipeline.evaluation.protocol.differences import differences
from pipeline.evaluation.protocol.estimates import Figures, Judged
from pipeline.evaluation.protocol.pairs import stored_pairs
from pipeline.evaluation.protocol.ranking import Ranker, ranked_scores
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, judge
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.methods.registry import MODELS
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, RankingParams
from stages import run
from stages.paths import classifier_file, predictions_file, scores_file, split_folder


def compare(params: Params) -> None:
    """Write data/scores/compare.json.

    `differences` has the gain of each model over its twin, image by image; `ranking` the scores of
    each `spg+<ranker>` (SPG Table 3).

    Raises:
        InputError: a missing input, or one of other images or classes.
    """
    pairs = [(m.name, m.twin) for m in registry.models(params) if m.twin]
    found = {
        model: differences(judged(model, params), judged(twin, params), params)
        for model, twin in pairs
    }
    write_json(scores_file("compare"), {"differences": found, "ranking": ranking(params)})


def judged(model: str, params: Params) -> Sequence[Judged]:
    """Return the figures of a model, from its stored predictions."""
    track = MODELS[model].track
    splits = {name: PackedSplit(split_folder(track, name)) for name in SCORED_SPLITS[track]}
    pairs = {name: stored_pairs(predictions_file(model), own) for name, own in splits.items()}
    return judge(pairs, splits["test"].classes, params, track)


def ranking(params: Params) -> dict[str, Figures]:
    """Return the scores of SPG's boxes by `spg+<ranker>`."""
    pairs = {
        name: stored_pairs(predictions_file("spg"), PackedSplit(split_folder("single", name)))
        for name in ("test", params.evaluate.threshold_from)
    }
    test, tuning = pairs["test"], pairs[params.evaluate.threshold_from]
    described = {
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.split.name,
        "classes": list(test.split.classes),
    }
    found = ranked_scores(test, tuning, rankers_of(params.ranking), params)
    return {
        f"spg+{name}": described | {"model": f"spg+{name}", "ranker": name} | scores
        for name, scores in found.items()
    }


def rankers_of(params: RankingParams) -> list[Ranker]:
    """Return SPG-plain and the classifiers of section `ranking`."""
    stored = {"spg_plain": (predictions_file("spg_plain"), EVALUATE)} | {
        name: (classifier_file(name), f"classify@{name}") for name in params.classifiers
    }
    return [
        Ranker(name, partial(read_predictions, path, "test", stages), stages)
        for name, (path, stages) in stored.items()
    ]


if __name__ == "__main__":
    run(compare)

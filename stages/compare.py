"""Stage `compare`: models against their twins, SPG's boxes under other rankings, by other maps."""

from collections.abc import Sequence
from functools import partial

from pipeline.evaluation.localization.predictions import EVALUATE, read_predictions
from pipeline.evaluation.protocol.differences import differences
from pipeline.evaluation.protocol.estimates import Figures, Judged
from pipeline.evaluation.protocol.pairs import StoredPairs, stored_pairs
from pipeline.evaluation.protocol.ranking import Ranker, ranked_scores
from pipeline.evaluation.protocol.scores import SCORED_SPLITS, judge
from pipeline.evaluation.protocol.sources import figures_by_source
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
    each `spg+<ranker>` (SPG Table 3); `sources` those of each `spg:<source>`, whose boxes come from
    other maps than the attention, and of controls. The twin of them all is SPG-plain.

    Raises:
        InputError: a missing input, or one of other images or classes.
    """
    pairs = [(m.name, m.twin) for m in registry.models(params) if m.twin]
    found = {
        model: differences(judged(model, params), judged(twin, params), params)
        for model, twin in pairs
    }
    stored = {model: test_and_tuning(model, params) for model in ("spg", "spg_plain")}
    located = figures_by_source(stored["spg"], stored["spg_plain"], params)
    plain = located.pop("spg_plain:attention", None)
    if plain:  # Without boxes there is nothing to compare.
        found |= {name: differences([own], [plain], params) for name, own in located.items()}
    described = description(params)
    scores = {
        name: described | {"model": name} | own.scores(params) for name, own in located.items()
    }
    content = {"differences": found, "ranking": ranking(params), "sources": scores}
    write_json(scores_file("compare"), content)


def judged(model: str, params: Params) -> Sequence[Judged]:
    """Return the figures of a model, from its stored predictions."""
    track = MODELS[model].track
    splits = {name: PackedSplit(split_folder(track, name)) for name in SCORED_SPLITS[track]}
    pairs = {name: stored_pairs(predictions_file(model), own) for name, own in splits.items()}
    return judge(pairs, splits["test"].classes, params, track)


def ranking(params: Params) -> dict[str, Figures]:
    """Return the scores of SPG's boxes by `spg+<ranker>`."""
    found = ranked_scores(*test_and_tuning("spg", params), rankers_of(params.ranking), params)
    described = description(params)
    return {
        f"spg+{name}": described | {"model": f"spg+{name}", "ranker": name} | scores
        for name, scores in found.items()
    }


def test_and_tuning(model: str, params: Params) -> tuple[StoredPairs, StoredPairs]:
    """Return the stored predictions of the test images, and of those that choose thresholds."""
    pairs = {
        name: stored_pairs(predictions_file(model), PackedSplit(split_folder("single", name)))
        for name in ("test", params.evaluate.threshold_from)
    }
    return pairs["test"], pairs[params.evaluate.threshold_from]


def description(params: Params) -> Figures:
    """Return what scores of the single-label track are of, but for the model."""
    test = PackedSplit(split_folder("single", "test"))
    return {
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.name,
        "classes": list(test.classes),
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

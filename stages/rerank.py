"""Stage `rerank`: SPG's boxes, with the classes ranked by other networks (SPG Table 3)."""

from functools import partial

from pipeline.evaluation.localization.predictions import EVALUATE, read_predictions
from pipeline.evaluation.protocol.ranking import Ranker, ranked_scores
from pipeline.files import write_json
from pipeline.params import Params, RankingParams
from stages import run
from stages.paths import predictions_file, scores_file
from stages.stored import stored_pairs


def rerank(params: Params) -> None:
    """Write data/scores/ranking.json: the scores of each `spg+<ranker>`.

    Raises:
        InputError: a missing input, or one of other images or classes.
    """
    source = params.evaluate.threshold_from
    pairs = stored_pairs("spg", "single", {"test", source})
    test = pairs["test"].split
    described = {
        "backbone": params.backbone.name,
        "seed": params.seed,
        "dataset": test.name,
        "classes": list(test.classes),
    }
    found = ranked_scores(pairs["test"], pairs[source], rankers_of(params.ranking), params)
    named = {
        f"spg+{name}": described | {"model": f"spg+{name}", "ranker": name} | scores
        for name, scores in found.items()
    }
    write_json(scores_file("ranking"), named)


def rankers_of(params: RankingParams) -> list[Ranker]:
    """Return SPG-plain and the classifiers of section `ranking`, each once."""
    stored = {"spg_plain": (predictions_file("spg_plain"), EVALUATE)} | {
        name: (predictions_file(f"classifiers/{name}"), "classify") for name in params.classifiers
    }
    return [
        Ranker(name, partial(read_predictions, path, "test", stages), stages)
        for name, (path, stages) in stored.items()
    ]


if __name__ == "__main__":
    run(rerank)

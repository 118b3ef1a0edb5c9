"""Stage `evaluate_proposals`: boxes that one method proposes without learning, and their scores."""

from pipeline.distributed import is_main
from pipeline.evaluation.protocol.proposal_scores import proposal_scores
from pipeline.evaluation.sharing import PROPOSALS, write_answers
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.methods.bases.search import search
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from stages import run
from stages.paths import SCRATCH, predictions_file, scores_file, split_folder


def evaluate_proposals(params: Params, method: str) -> None:
    """Write data/predictions/<method>.arrow, of the test images, and data/scores/<method>.json.

    Raises:
        InputError: no such method, one that params.yaml does not list, a missing input, no test
            image with an object.
    """
    found = registry.proposer(method, params)
    test = PackedSplit(split_folder(found.track, "test"))
    file, look = predictions_file(method), found.load()(params)
    write_answers(file, PROPOSALS, [test], lambda split: search(split, look), 1, SCRATCH)
    if is_main():
        described = {
            "model": method,
            "backbone": "none",
            "seed": params.seed,
            "dataset": test.name,
        }
        scores = proposal_scores(file, test, params)
        write_json(scores_file(method), described | scores)


if __name__ == "__main__":
    run(evaluate_proposals)

"""Methods that are switched off: their stages run, and write outs that are valid and empty.

DVC knows no stage that makes its outs or not.
"""

from torch import nn

from pipeline.evaluation.localization.predictions import write_predictions
from pipeline.files import atomic_path, write_json
from pipeline.models.weights import save_weights
from pipeline.params import Params
from stages.paths import history_file, predictions_file, scores_file, weights_file


def switched_off(params: Params, model: str) -> bool:
    """Return whether `model` is a method of `methods` that is off; others are always on."""
    return not params.methods.model_dump().get(model, True)


def train_nothing(model: str) -> None:
    """Write weights without a layer and a history without an epoch."""
    save_weights(nn.Module(), weights_file(model))
    with atomic_path(history_file(model)) as temporary:
        temporary.write_text("epoch,loss\n")


def score_nothing(model: str) -> None:
    """Write predictions without an image, and the scores {}."""
    write_predictions(predictions_file(model), ())
    write_json(scores_file(model), {})

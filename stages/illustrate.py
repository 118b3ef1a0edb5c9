"""Stage `illustrate`: the papers' figures, from what was trained and what it answers."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.evaluation.localization.predictions import Prediction, read_predictions
from pipeline.evaluation.protocol.energy_map import object_energies
from pipeline.evaluation.protocol.pairs import stored_pairs
from pipeline.folders import atomic_folder
from pipeline.methods.bases.spn.evolution import read_evolution
from pipeline.methods.registry import METHODS, MODELS
from pipeline.packed.proposals import Proposals, StoredProposals
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.reporting.examples import Panels, predictions_of
from pipeline.reporting.figures import read_history
from pipeline.reporting.illustrations import (
    guidance,
    localization,
    object_energy,
    receptive_fields,
    soft_proposals,
)
from pipeline.reporting.illustrations.choosing import (
    boxed_labels,
    first_of_each_class,
    hard_labels,
)
from pipeline.reporting.illustrations.listing import Illustration, write_listing
from pipeline.reporting.tables import find, read_scores
from stages import run
from stages.paths import (
    ILLUSTRATIONS,
    LISTING,
    history_file,
    model_folder,
    predictions_file,
    scores_file,
    split_folder,
)

Records = Mapping[int, Record]
FEW = 4
"""Pictures of the figures that take a line or a network for each."""


def illustrate(params: Params) -> None:
    """Write the figures into reports/illustrations/, and data/illustrations.json, their list.

    Raises:
        InputError: an input is missing or foreign.
    """
    panels = Panels(params.input.align_corners)
    with atomic_folder(ILLUSTRATIONS) as folder:
        figures = (maps_of_spn, answers_of_spn, answers_of_spg)
        found = [each for make in figures for each in make(folder, params, panels)]
    write_listing(LISTING, found)


def maps_of_spn(folder: Path, params: Params, panels: Panels) -> Iterator[Illustration]:
    """Draw what SPN's own network makes: SPN Fig. 3 to 5."""
    test, val = (PackedSplit(split_folder("multi", name)) for name in ("test", "val"))
    epochs = read_evolution(model_folder("spn_multi"))
    shown = {name for epoch in epochs for name in epoch.ids}
    records = {record.id: record for record in val if record.id in shown}
    yield soft_proposals.evolution(folder / "spn-3.jpg", epochs, records, test.classes, panels)
    model, size = MODELS["spn_multi"], params.input.size
    network = model.load().trained(
        model_folder("spn_multi"), len(test.classes), params, model.stage("train")
    )
    few = first_of_each_class(test, len(test.classes), FEW)
    yield soft_proposals.walk(folder / "spn-4.jpg", network, few, size, test.classes, panels)
    stride = network.backbone.strides[-1]
    fields = receptive_fields.receptive_fields(network, size, stride) / size
    chosen = first_of_each_class(test, len(test.classes))
    found = answers("spn_multi", chosen)
    yield soft_proposals.proposals(
        folder / "spn-5.jpg", chosen, found, fields, test.classes, panels
    )


def answers_of_spn(folder: Path, params: Params, panels: Panels) -> Iterator[Illustration]:
    """Draw what SPN answers: SPN Fig. 6 to 8."""
    test = PackedSplit(split_folder("multi", "test"))
    pairs = stored_pairs(predictions_file("spn_multi"), test)
    sizes, energies = object_energy.sizes_and_energies(pairs, params.input.align_corners)
    proposers = (*params.proposals, *(name for name in params.methods if name == "rpn"))
    others = {
        METHODS[name].label: object_energies(StoredProposals(predictions_file(name), "test"), test)
        for name in proposers
    }
    yield object_energy.against_size(folder / "spn-6a.png", sizes, {**energies, **others})
    history = read_history(history_file("spn_multi"), "object_energy")
    yield object_energy.over_epochs(folder / "spn-6b.png", *history)
    hard = first_of_each_class(test, len(test.classes), shown=hard_labels)
    networks = {"CAM": "cam_multi", "SPN": "spn_multi"}
    pointed = {name: answers(model, hard) for name, model in networks.items()}
    yield localization.pointing(
        folder / "spn-7.jpg", hard, pointed, test.classes, panels, params.evaluate
    )
    boxed = first_of_each_class(test, len(test.classes), shown=boxed_labels)
    boxes = {name: answers(model, boxed) for name, model in networks.items()}
    detectors = {
        METHODS[name].label: detections(name, boxed) for name in params.methods if name == "wsddn"
    }
    yield localization.boxes(folder / "spn-8.jpg", boxed, boxes, detectors, test.classes, panels)


def answers_of_spg(folder: Path, params: Params, panels: Panels) -> Iterator[Illustration]:
    """Draw what SPG and SPG-plain answer: SPG Fig. 3 and 4."""
    test = PackedSplit(split_folder("single", "test"))
    models = ("spg_plain", "spg")
    scores = read_scores(map(scores_file, models))
    chosen = first_of_each_class(test, len(test.classes))
    networks = {
        METHODS[model].label: (answers(model, chosen), find(scores, model, "threshold"))
        for model in models
    }
    yield localization.attention(folder / "spg-3.jpg", chosen, networks, test.classes, panels)
    predictions, _ = networks[METHODS["spg"].label]
    yield guidance.guidance(folder / "spg-4.jpg", chosen, predictions, test.classes, panels, params)


def answers(model: str, records: Records) -> Mapping[str, Prediction]:
    """Return what a network says of test pictures, by their ids."""
    return predictions_of(records.values(), read_predictions(predictions_file(model), "test"))


def detections(model: str, records: Records) -> Mapping[str, Proposals]:
    """Return a detector's boxes of test pictures, by their ids."""
    shown = {record.id for record in records.values()}
    stored = StoredProposals(predictions_file(model), "test")
    return {each.id: each for each in stored if each.id in shown}


if __name__ == "__main__":
    run(illustrate)

"""settings.yaml holds a checked setting, with sources, for every table of both papers."""

import re
from typing import get_args

import pytest
import torch

from paper import settings
from paper.experiment import Experiment, differences, experiments, target
from paper.settings import FILE, parse
from pipeline.errors import InputError
from pipeline.models.backbones import Backbone
from pipeline.params import Params, SaliencyMethod
from pipeline.reporting.catalogue import ANY_OTHER, TABLES
from pipeline.reporting.published import of_table
from pipeline.saliency.layers import maps_of
from tests.test_dvc_yaml import INSTANCES

FOUND = settings.load()
EVERY = [e for table in FOUND.tables for e in experiments(FOUND, table)]
NAMES = [e.name for e in EVERY]
TEXT = FILE.read_text()


def named(name: str) -> Experiment:
    return next(e for e in EVERY if e.name == name)


def test_all_ten_tables_and_the_three_ablations_have_settings() -> None:
    assert list(FOUND.tables) == [table.id for table in TABLES]
    assert {"spg-4-no-cascade", "spg-4-not-shared", "spg-4-no-c"} <= set(NAMES)


@pytest.mark.parametrize("experiment", EVERY, ids=NAMES)
def test_a_setting_is_valid_and_makes_a_difference(experiment: Experiment, params: Params) -> None:
    changed = {key for key, *_ in differences(params, experiment.applied(params))}
    assert {"backbone.name", "data.val_fraction"} <= changed <= set(experiment.values)


@pytest.mark.parametrize("experiment", EVERY, ids=NAMES)
def test_every_value_has_a_source(experiment: Experiment) -> None:
    assert all(len(source) > 4 for _, source in experiment.values.values())


@pytest.mark.parametrize("experiment", EVERY, ids=NAMES)
def test_the_targets_are_stages_of_dvc_yaml(experiment: Experiment) -> None:
    names = (*experiment.models, *experiment.further)
    assert {target(name) for name in names} <= set(INSTANCES)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.id)
def test_the_runs_of_a_table_fill_all_its_measured_rows(table) -> None:  # type: ignore[no-untyped-def]
    runs = experiments(FOUND, table.id)
    # Boxes from other maps are in no paper; they need the predictions of all models.
    made = {ANY_OTHER, "spg*:*"} | {name for e in runs for name in (*e.models, *e.further)}
    for track in ("multi", "single"):
        if f"saliency_{track}" in made:
            made |= {f"{method}_{track}" for method in get_args(SaliencyMethod)}
    if "compare" in made:
        made.add("spg+*")
    missing = {line.row for line in table.measured if line.model not in made}
    assert missing == set()


def test_no_run_trains_the_track_that_its_table_does_not_need() -> None:
    for experiment in EVERY:
        multi = any(model.endswith("_multi") for model in experiment.models)
        single = any(not model.endswith("_multi") for model in experiment.models)
        assert multi != single
        unused = experiment.values["data.single" if multi else "data.multi"][0]
        assert unused == "cutouts"


READERS = {
    "spn": ("spn.channels", {"cam_multi", "cam_single", "spn_multi", "spn_single", "has", "oquab"}),
    "spn.train_multi": ("spn.train_multi.epochs", {"cam_multi", "spn_multi", "oquab"}),
    "spn.train_single": ("spn.train_single.epochs", {"cam_single", "spn_single", "has"}),
    "spg": ("spg.channels", {"spg_plain", "spg", "acol"}),
    "has": ("has.patch", {"has"}),
    "acol": ("acol.erase_above", {"acol"}),
    "wsddn": ("wsddn.boxes", {"wsddn"}),
    "edge_boxes": ("edge_boxes.boxes", {"edge_boxes", "wsddn"}),
    "rpn": ("rpn.boxes", {"rpn"}),
    "ranking": ("ranking.classifiers", {"ranking"}),
}
"""Sections that only some models read, with a key of each."""


def within(key: str, section: str) -> bool:
    return key.startswith(f"{section}.")


def test_no_value_of_one_run_can_leak_into_another() -> None:
    """A killed run leaves its values in params.yaml: every other run must set them itself.

    Values of a section that no model of the other run reads cannot harm.
    """
    every = {key for e in EVERY for key in e.values}
    for experiment in EVERY:
        made = {*experiment.models, *experiment.further}
        unread = [name for name, (_, models) in READERS.items() if not models & made]
        wanted = {key for key in every if not any(within(key, name) for name in unread)}
        assert wanted <= set(experiment.values), experiment.name


def test_what_a_method_reads_has_a_source_in_its_run() -> None:
    for experiment in EVERY:
        for key, models in READERS.values():
            if models & {*experiment.models, *experiment.further}:
                assert key in experiment.values, experiment.name


@pytest.mark.parametrize("experiment", EVERY, ids=NAMES)
def test_the_layers_of_saliency_methods_are_layers_of_the_network(
    experiment: Experiment, params: Params
) -> None:
    """A run would otherwise fail after its training."""
    applied = experiment.applied(params)
    layers = (applied.saliency.excitation_layer, applied.saliency.grad_cam_layer)
    with torch.device("meta"):
        network = Headed(Backbone(applied.backbone))
        images = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
        for name in layers:
            with maps_of(network, name, "saliency") as maps:
                network(images)
            assert maps[-1].ndim == 4


class Headed(torch.nn.Module):
    """What saliency methods look for a layer in."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        found: list[torch.Tensor] = self.backbone(images)
        return found


def test_the_renamed_rows_of_the_ablations_are_published_ones() -> None:
    published = {figure.row for figure in of_table("spg-4")}
    rows = [row for e in EVERY for row in e.rows.values()]
    assert len(rows) == 3 and set(rows) <= published


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("spn-1-vgg16", "spn.train_multi.decay_epochs", [10]),
        ("spn-1-vgg16", "input.size", 224),
        ("spn-1-vgg16", "input.margin", 30),
        ("spn-1-vgg16", "spn.epsilon", 0.15),
        ("spn-1-vgg16", "spn.epsilon_relative_to", "side"),
        ("spn-1-vgg16", "spn.train_multi.epochs", 20),
        ("spn-1-vgg16", "spn.train_multi.batch_size", 16),
        ("spn-1-vgg16", "spn.train_multi.learning_rate", 0.01),
        ("spn-1-vgg16", "spn.train_multi.added_learning_rate", 0.01),
        ("spn-1-vgg16", "spn.train_multi.momentum", 0.9),
        ("spn-1-vgg16", "spn.train_multi.weight_decay", 5e-4),
        ("spn-2-vgg16", "evaluate.pointing_tolerance", 15.0),
        ("spn-3-voc2012", "evaluate.prediction_tolerance", 18.0),
        ("spn-2-vgg16", "input.align_corners", True),
        ("spg-1-ilsvrc", "input.align_corners", True),
        ("spn-2-vgg16", "saliency.smoothing", 0.02),
        ("spg-1-vgg16", "saliency.smoothing", 0.0),
        ("spn-2-vgg16", "evaluate.scales", [1.0]),
        ("spn-4-vgg16", "evaluate.scales", [0.5, 1.0, 2.5]),
        ("spn-2-cnn_s", "backbone.output_stride", 12),
        ("spn-2-vgg16", "saliency.excitation_layer", "features.23"),
        ("spn-2-googlenet", "saliency.excitation_layer", "maxpool2"),
        ("spn-5-ilsvrc", "saliency.excitation_layer", "maxpool2"),
        ("spn-2-cnn_s", "pretrain.source", "file"),
        ("spn-3-coco2014", "spn.train_multi.epochs", 20),
        ("spn-5-ilsvrc", "spn.train_single.epochs", 90),
        ("spn-6-coco2014", "spn.train_multi.epochs", 50),
        ("spg-1-ilsvrc", "spg.train.decay_epochs", [1, 2, 3, 4]),
        ("spn-5-ilsvrc", "spn.train_single.learning_rate", 0.01),
        ("spn-5-ilsvrc", "spn.train_single.weight_decay", 5e-4),
        ("spg-1-ilsvrc", "input.size", 224),
        ("spg-1-ilsvrc", "input.margin", 32),
        ("spg-1-ilsvrc", "spg.delta_h", 0.7),
        ("spg-1-ilsvrc", "spg.delta_l", 0.1),
        ("spg-1-ilsvrc", "spg.b1.delta_h", 0.5),
        ("spg-1-ilsvrc", "spg.b1.delta_l", 0.05),
        ("spg-1-ilsvrc", "spg.channels", 1024),
        ("spg-1-ilsvrc", "spg.guidance_channels", 512),
        ("spg-1-ilsvrc", "spg.c_convolutions", 2),
        ("spg-1-ilsvrc", "spg.train.nesterov", True),
        ("spg-1-ilsvrc", "spg.train.bias_rate", 2.0),
        ("spg-1-ilsvrc", "backbone.normalisation", "imagenet"),
        ("spg-1-googlenet", "backbone.normalisation", "own"),
        ("spg-1-vgg16", "acol.pooling", 3),
        ("spg-1-ilsvrc", "spg.train.learning_rate", 0.001),
        ("spg-1-ilsvrc", "spg.train.added_learning_rate", 0.01),
        ("spg-1-ilsvrc", "spg.train.batch_size", 30),
        ("spg-1-ilsvrc", "spg.train.momentum", 0.9),
        ("spg-1-ilsvrc", "spg.train.weight_decay", 5e-4),
        ("spg-1-ilsvrc", "spg.train.decay_factor", 0.1),
        ("spg-1-ilsvrc", "evaluate.ten_crop", True),
        ("spg-1-googlenet", "has.patch", 32),
        ("spg-1-vgg16", "backbone.name", "vgg16"),
        ("spn-4-vgg16", "wsddn.train.batch_size", 1),
        ("spn-1-vgg16", "rpn.train.learning_rate", 0.001),
        ("spg-4-no-c", "spg.with_c", False),
        ("spg-4-no-cascade", "spg.cascade", False),
        ("spg-4-not-shared", "spg.share_b", False),
    ],
)
def test_what_the_papers_say_is_what_is_set(name: str, key: str, value: object) -> None:
    assert named(name).values[key][0] == value


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("models: [spn_multi]", "model: [spn_multi]", r"tables\.spn-1\.runs\.vgg16\.model"),
        ("blocks: [protocol, spn,", "blocks: [protocol, snp,", "spn-1-vgg16.*no block snp"),
        ("source: SPN Sec. 3.1", "sauce: SPN Sec. 3.1", r"blocks\.spn\.\d\.source: Field required"),
        ("blocks:\n  protocol:", "blocks: [\n  protocol:", "not valid YAML"),
    ],
)
def test_a_bad_settings_file_is_refused_naming_the_key(old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=f"settings.yaml: .*{told}"):
        parse(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("spn.epsilon: 0.15", "spn.epsilno: 0.15", "spn-1-vgg16: params.yaml has no key spn.epsil"),
        ("spn.epsilon: 0.15", "spn.epsilon.x: 0.15", "spn-1-vgg16: params.yaml has no key"),
        ("spn.epsilon: 0.15", "spn.train_multi: 0.15", "spn-1-vgg16: params.yaml has no key"),
        ("spn.epsilon: 0.15", "spn.epsilon: -1.0", r"spn-1-vgg16: spn\.epsilon: .*greater than 0"),
    ],
)
def test_a_value_that_params_yaml_does_not_take_names_table_and_key(
    params: Params, old: str, new: str, told: str
) -> None:
    bad = parse(TEXT.replace(old, new, 1))
    with pytest.raises(InputError, match=told):
        experiments(bad, "spn-1")[0].applied(params)


def test_the_notes_of_a_table_are_sentences() -> None:
    for setting in FOUND.tables.values():
        assert all(re.search(r"[.)]$", note) for note in setting.notes)
        assert setting.notes

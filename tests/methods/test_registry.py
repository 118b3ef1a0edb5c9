"""The methods by name: which there are, which a run has, and what their parameters decide."""

import pytest
import torch

from pipeline.errors import InputError
from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.interface import WEIGHTS
from pipeline.models.weights import save_weights
from pipeline.packed.pictures import Window
from pipeline.packed.proposals import Proposals, write_proposals
from pipeline.packed.store import PackedSplit
from tests.parameters import changed

ALWAYS = ["cam_multi", "cam_single", "spn_multi", "spn_single", "spg_plain", "spg"]
TRAINED = [name for name, model in registry.MODELS.items() if model.entry.listed != "proposals"]


def names(params):
    return [model.name for model in registry.models(params)]


def test_the_papers_networks_belong_to_every_run(quick):
    assert names(changed(quick, methods=[], proposals=[])) == ALWAYS


def test_what_is_listed_is_run_besides_in_the_order_of_the_registry(quick):
    chosen = changed(quick, methods=["rpn", "has"], proposals=["edge_boxes"])
    assert names(chosen) == [*ALWAYS, "has", "rpn", "edge_boxes"]


@pytest.mark.parametrize("model", [m for m in registry.MODELS.values() if m.twin], ids=str)
def test_a_model_is_compared_with_one_of_every_run_on_its_own_track(model):
    assert model.twin in ALWAYS
    assert registry.MODELS[model.twin].track == model.track


def test_an_unknown_model_is_refused_with_the_names_there_are(quick):
    with pytest.raises(InputError, match="model 'spm' is none of cam_multi, cam_single, spn_multi"):
        registry.find("spm", quick)
    with pytest.raises(InputError, match="model 'bing' is none of selective_search, edge_boxes$"):
        registry.proposer("bing", quick)


def test_a_model_that_is_not_listed_is_refused_with_the_way_to_list_it(quick):
    chosen = changed(quick, methods=["acol"], proposals=["edge_boxes"])
    assert registry.find("acol", chosen).name == "acol"
    told = r"has is not on the list `methods` of params.yaml; .* -S 'methods=\[has\]'`"
    with pytest.raises(InputError, match=told):
        registry.find("has", chosen)
    with pytest.raises(InputError, match="selective_search is not on the list `proposals` of"):
        registry.proposer("selective_search", chosen)


def test_what_learns_and_what_does_not_are_no_substitutes(quick):
    chosen = changed(quick, methods=["has"], proposals=["edge_boxes"])
    with pytest.raises(InputError, match="'edge_boxes' is none of cam_multi"):
        registry.find("edge_boxes", chosen)
    with pytest.raises(InputError, match="'has' is none of selective_search"):
        registry.proposer("has", chosen)


@pytest.mark.parametrize("model", [n for n in TRAINED if n not in ("wsddn", "rpn")])
def test_every_localizer_scores_and_localizes_its_classes(quick, model):
    network = registry.method(model).network(Backbone(quick.backbone), 3, quick).eval()
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    found = network.localize(images)
    assert network(images).shape == found.logits.shape == (2, 3)
    assert found.response_maps.shape == (2, 3, 4, 4)


@pytest.mark.parametrize("model", TRAINED)
def test_trained_weights_are_those_of_the_folder(quick, tmp_path, model):
    method = registry.method(model)
    network = method.network(Backbone(quick.backbone), 3, quick)
    save_weights(network, tmp_path / WEIGHTS)
    loaded = method.trained(tmp_path, 3, quick, "train")
    assert not loaded.training
    stored = network.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in loaded.state_dict().items())


def test_weights_of_another_network_or_of_none_are_refused(quick, tmp_path):
    spg = registry.method("spg")
    with pytest.raises(InputError, match="weights.safetensors: not found; run `dvc repro train_sp"):
        spg.trained(tmp_path, 3, quick, "train_spg")
    save_weights(spg.network(Backbone(quick.backbone), 3, quick), tmp_path / WEIGHTS)
    for model, classes in (("spg", 4), ("spg_plain", 3)):
        with pytest.raises(InputError, match="weights.safetensors: not the weights of this netwo"):
            registry.method(model).trained(tmp_path, classes, quick, "train")


@pytest.fixture
def first_step(packed, tmp_path):
    """The gradient of the first training images, for a model under parameters."""

    def make(model, params):
        method, track = registry.method(model), registry.MODELS[model].track
        split = PackedSplit(packed / track / "train")
        boxes = (Proposals(r.id, "train", r.boxes_xyxy, r.boxes_xyxy[:, 2]) for r in split)
        write_proposals(tmp_path / "proposals.arrow", boxes)
        targets = method.targets(split, tmp_path, params)
        learnt = [targets(index, split[index], Window()) for index in range(4)]
        torch.manual_seed(0)
        network = method.network(Backbone(params.backbone), 3, params)
        objective = method.objective(network, params)
        images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
        batch = torch.utils.data.default_collate(learnt)
        sum(objective(images, batch, 1).values()).backward()
        return [p.grad for p in network.parameters() if p.grad is not None]

    return make


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("spn_multi", {"spn__solver": "power", "spn__max_iterations": 1}),
        ("spn_multi", {"spn__epsilon_relative_to": "area"}),
        ("spn_multi", {"spn__differentiate_through_m": True}),
        ("spn_multi", {"spn__border_correction": True}),
        ("spn_multi", {"spn__sharpness": 0.5}),
        ("spn_corrected", {"spn_corrected__border_correction": False}),
        ("spn_corrected", {"spn_corrected__sharpness": 4.0}),
        ("spn_corrected", {"spn__epsilon": 0.3}),
        ("spg", {"spg__delta_h": 0.4}),
        ("spg", {"spg__b1__delta_h": 0.9}),
        ("spg", {"spg__cascade": False}),
        ("spg", {"spg__share_b": False}),
        ("spg", {"spg__with_c": False}),
        ("has", {"has__patch": 8}),
        ("has", {"has__probability": 0.1}),
        ("acol", {"acol__erase_above": 0.2}),
        ("oquab", {"spn__groups": 1}),
        ("wsddn", {"wsddn__boxes": 1}),
        ("wsddn", {"wsddn__grid": 2}),
    ],
    ids=str,
)
def test_the_parameters_of_a_method_reach_its_training(first_step, quick, model, change):
    # Thresholds that label every pixel of any map, however little the branches have learnt.
    labelled = {"b1__delta_h": 0.5, "b1__delta_l": 0.499999, "min_foreground": 0}
    plain = changed(quick, **{f"spg__{key}": value for key, value in labelled.items()})
    before, after = first_step(model, plain), first_step(model, changed(plain, **change))
    same = len(before) == len(after) and all(map(torch.equal, before, after))
    assert not same


@pytest.mark.parametrize("model", TRAINED)
def test_the_first_step_of_every_method_is_finite(first_step, quick, model):
    gradients = first_step(model, quick)
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def test_a_picture_of_one_colour_gives_a_finite_step(first_step, quick, monkeypatch):
    def flat(self, images):
        return torch.ones(len(images), 16, 4, 4, requires_grad=True)

    monkeypatch.setattr("pipeline.methods.bases.cam.ClassActivationNetwork.features", flat)
    gradients = first_step("spn_multi", changed(quick, spn__differentiate_through_m=True))
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)

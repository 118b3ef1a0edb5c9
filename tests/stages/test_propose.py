from pathlib import Path

import numpy as np
import pytest
import torch
from stages.propose import METHODS, propose

from pipeline.errors import InputError
from pipeline.methods.rpn import RegionProposer
from pipeline.models.backbones import Backbone
from pipeline.models.weights import save_weights
from pipeline.packed.proposals import StoredProposals
from pipeline.packed.store import PackedSplit
from tests.parameters import changed

SPLITS = ("train", "val", "test")


@pytest.fixture
def network(workspace, quick):
    """Leave random weights of the RPN where its training would."""
    torch.manual_seed(0)
    network = RegionProposer(Backbone(quick.backbone), quick.input.size)
    save_weights(network, Path("data/models/rpn.safetensors"))


def out(method):
    return Path(f"data/proposals/{method}.arrow")


def images(method):
    """The ids of the images that have proposals, by split."""
    stored = {split: StoredProposals(out(method), split) for split in SPLITS}
    return {split: [each.id for each in own] for split, own in stored.items() if len(own)}


def records(*splits):
    return {s: [r.id for r in PackedSplit(Path(f"data/packed/multi/{s}"))] for s in splits}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_off_leaves_an_empty_store(tmp_path, monkeypatch, params, method):
    monkeypatch.chdir(tmp_path)  # without any input
    propose(params, method)
    assert images(method) == {}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_on_proposes_on_the_test_images(network, quick, method):
    propose(changed(quick, **{f"methods__{method}": True}), method)
    assert images(method) == records("test")
    for each in StoredProposals(out(method), "test"):
        assert each.boxes_xyxy.shape == (len(each.scores), 4)
        assert each.boxes_xyxy.min() >= 0 and (each.boxes_xyxy <= [48, 40] * 2).all()
        assert (np.diff(each.scores) <= 0).all()


@pytest.mark.parametrize("own", [False, True])
def test_wsddn_needs_edge_boxes_on_all_images(workspace, quick, own):
    propose(changed(quick, methods__wsddn=True, methods__edge_boxes=own), "edge_boxes")
    assert images("edge_boxes") == records(*SPLITS)


@pytest.mark.parametrize("method", ["selective_search", "rpn"])
def test_wsddn_needs_no_other_proposals(workspace, quick, method):
    propose(changed(quick, methods__wsddn=True), method)
    assert images(method) == {}


@pytest.mark.parametrize("method", METHODS)
def test_proposing_twice_gives_the_same_bytes(network, quick, method):
    params = changed(quick, **{f"methods__{method}": True})
    propose(params, method)
    first = out(method).read_bytes()
    propose(params, method)
    assert out(method).read_bytes() == first


@pytest.mark.parametrize(("method", "key"), [("edge_boxes", "edge_boxes"), ("rpn", "rpn")])
def test_the_number_of_boxes_is_limited(network, quick, method, key):
    propose(changed(quick, **{f"methods__{method}": True, f"{key}__boxes": 1}), method)
    assert [len(each.scores) for each in StoredProposals(out(method), "test")] == [1] * 4


def test_a_missing_input_names_its_stage(workspace, quick):
    with pytest.raises(InputError, match="rpn.safetensors: not found; run .*train_method@rpn"):
        propose(changed(quick, methods__rpn=True), "rpn")
    Path("data/packed/multi/test/index.json").unlink()
    with pytest.raises(InputError, match="index.json: not found; run `dvc repro preprocess`"):
        propose(changed(quick, methods__edge_boxes=True), "edge_boxes")
    assert not any(map(Path.exists, map(out, METHODS)))


def test_an_unknown_method_is_refused(workspace, quick):
    with pytest.raises(InputError, match="method 'bing' is none of selective_search, edge_boxes"):
        propose(quick, "bing")

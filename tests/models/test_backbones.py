"""Backbones: what any of them gives, learns, freezes and refuses, on tiny networks of timm."""

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import InputError
from pipeline.models.backbones import Backbone, Classifier, Normalise, network_for
from pipeline.models.networks.registry import find
from pipeline.models.weights import layer_name, save_weights
from tests.parameters import changed

NAMES = ["test_efficientnet", "test_resnet", "test_convnext"]
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture
def build(params):
    """Build a backbone, by default a tiny one that learns as a whole, with raw maps."""

    def make(weights=None, **values):
        plain = {
            "name": "test_efficientnet",
            "output_stride": 16,
            "frozen_stages": 0,
            "standardise": False,
        }
        chosen = {f"backbone__{key}": value for key, value in (plain | values).items()}
        torch.manual_seed(0)
        return Backbone(changed(params, **chosen).backbone, weights)

    return make


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (4, 3, 64, 64), generator=generator, dtype=torch.uint8)


def test_bytes_are_normalised_as_the_network_was_trained(images):
    network = timm.create_model("test_efficientnet")
    mean = torch.tensor(network.pretrained_cfg["mean"])[:, None, None]
    std = torch.tensor(network.pretrained_cfg["std"])[:, None, None]
    torch.testing.assert_close(Normalise(network)(images), (images / 255 - mean) / std)


def test_images_may_be_normalised_as_imagenet_whatever_the_network(build, params, images):
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    expected = (images / 255 - mean) / std
    plain = {"name": "googlenet", "output_stride": 32}
    own, imagenet = build(**plain), build(**plain, normalisation="imagenet")
    torch.testing.assert_close(own.normalise(images), (images / 255 - 0.5) / 0.5)
    torch.testing.assert_close(imagenet.normalise(images), expected)
    scratch = changed(params, backbone__name="googlenet", backbone__normalisation="imagenet")
    torch.testing.assert_close(Classifier(scratch.backbone, 3).normalise(images), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output_stride", [16, 32])
def test_channels_and_strides_are_those_of_the_maps(build, images, name, output_stride):
    network = build(name=name, output_stride=output_stride)
    maps = network(images)
    assert [m.shape[1] for m in maps] == network.channels
    assert [64 // m.shape[2] for m in maps] == network.strides
    assert network.strides[-1] == output_stride


def test_the_first_weights_are_those_of_the_file(build, backbone_file):
    stored = load_file(backbone_file)
    loaded = build(backbone_file).network.state_dict()
    assert set(loaded) <= set(stored)
    assert all(torch.equal(value, stored[name]) for name, value in loaded.items())


def step(network, images):
    """Train `network` for one step on the sum of its maps; return its state before and after."""
    before = {name: value.clone() for name, value in network.network.state_dict().items()}
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    sum(features.square().mean() for features in network(images)).backward()
    optimizer.step()
    return before, network.network.state_dict()


@pytest.mark.parametrize(
    ("stages", "frozen"), [(0, ()), (2, ("conv_stem.", "bn1.", "blocks.0.", "blocks.1."))]
)
def test_training_moves_the_later_stages_and_no_statistics(build, images, stages, frozen):
    before, after = step(build(frozen_stages=stages), images)
    still = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert still == {n for n in before if n.endswith(STATISTICS) or n.startswith(frozen)}


def test_statistics_that_are_not_frozen_follow_the_batches(build, images):
    before, after = step(build(frozen_stages=0, freeze_statistics=False), images)
    assert not any(torch.equal(before[n], after[n]) for n in before if n.endswith(STATISTICS))


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [*((n, 16) for n in NAMES), ("test_mambaout", 32), ("test_nfnet", 16)],
)
@pytest.mark.parametrize("stages", [1, 2, 4])
def test_exactly_the_leading_maps_are_constants(build, images, name, output_stride, stages):
    network = build(name=name, output_stride=output_stride, frozen_stages=stages)
    maps = network.train()(images)
    learning = [features.requires_grad for features in maps]
    assert learning == [index >= stages for index in range(len(maps))]


def test_standardised_channels_have_mean_0_and_deviation_1(build, images):
    network = build(standardise=True).train()
    for features in network(images):
        flat = features.transpose(0, 1).flatten(1)
        torch.testing.assert_close(flat.mean(1), torch.zeros(len(flat)), rtol=0, atol=1e-4)
        varied = flat.var(1, correction=0)
        assert ((varied > 0.2) & (varied < 1.0001)).all()  # below 1 by the 1e-5 under the root


def test_standardising_in_evaluation_is_the_same_for_every_batch(build, images):
    network = build(standardise=True)
    network.train()(images)
    network.eval()
    torch.testing.assert_close(network(images)[-1][:1], network(images[:1])[-1])


def test_evaluation_mode_reaches_every_layer(build):
    network = build(frozen_stages=1, standardise=True).train().eval()
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize(
    ("name", "output_stride", "size"),
    [("test_vit", 16, 160), ("hrnet_w18_small", 32, 64), ("densenet121", 32, 64)],
)
def test_embeddings_and_stages_that_are_no_single_layer_freeze_too(
    build, name, output_stride, size
):
    network = build(name=name, output_stride=output_stride, frozen_stages=1)
    first, *_, last = network(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    assert not first.requires_grad and last.requires_grad


@pytest.mark.parametrize("name", ["densenet121", "test_mambaout", "swin_tiny_patch4_window7_224"])
def test_a_network_that_has_one_stride_gives_maps_at_it_channels_first(build, name):
    with torch.device("meta"):
        network = build(name=name, output_stride=32)
        maps = network(torch.zeros(2, 3, 224, 224, dtype=torch.uint8))
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, 224 // stride, 224 // stride)
        for channels, stride in zip(network.channels, network.strides, strict=True)
    ]
    assert network.strides[-1] == 32


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("densenet121", r"densenet121 has 32, not 16; set it to 32 \(TypeError: .*\)"),
        ("efficientnet_b0.none_in1k", r"timm has no features of efficientnet_b0.none_in1k \(.*\)"),
    ],
)
def test_a_network_that_cannot_be_built_says_why_in_one_line(build, name, said):
    with pytest.raises(InputError, match=f"^backbone.(output_stride|name): {said}$"):
        build(name=name, output_stride=16)


def test_a_network_of_one_input_size_says_so_before_anything_is_trained(params):
    values = {"name": "test_coatnet", "output_stride": 32, "frozen_stages": 0}
    chosen = changed(params, **{f"backbone__{k}": v for k, v in values.items()}).backbone
    assert network_for(chosen, 160) is not None
    told = r"test_coatnet takes no images of 96 px, its own are of 160 px \(RuntimeError: .*\)"
    with pytest.raises(InputError, match=f"^input.size: {told}$"):
        network_for(chosen, 96)


def test_more_frozen_stages_than_stages_are_refused(build):
    with pytest.raises(InputError, match="backbone.frozen_stages: 6 is more than 5 stages"):
        build(frozen_stages=6)


def test_an_unknown_network_is_refused(build):
    with pytest.raises(InputError, match="backbone.name: 'resnet5000' is none of"):
        build(name="resnet5000")


@pytest.mark.parametrize("stages", [4, 5, 6])
def test_the_head_is_one_more_stage_and_its_weights_come_from_the_file(
    build, images, backbone_file, stages
):
    plain = build(backbone_file)
    network = build(backbone_file, last="head", frozen_stages=stages).train()
    assert network.channels[:-1] == plain.channels and network.channels[-1] == 256
    assert [m.requires_grad for m in network(images)] == [index >= stages for index in range(6)]
    stored = {layer_name(layer): value for layer, value in load_file(backbone_file).items()}
    loaded = network.network.state_dict()
    assert {"conv_head.weight", "bn2.weight"} <= set(loaded)
    assert all(torch.equal(value, stored[layer_name(n)]) for n, value in loaded.items())


def test_first_weights_without_the_head_are_refused_where_it_is_needed(build, tmp_path):
    def cut(state):
        del state["conv_head.weight"]

    path = stored(tmp_path / "headless.safetensors", cut)
    assert build(path)
    with pytest.raises(InputError, match=r"conv_head.weight \(.*\) is missing$"):
        build(path, last="head")


def test_missing_first_weights_name_the_stage(build, tmp_path):
    with pytest.raises(InputError, match="gone.safetensors: not found; run `dvc repro pretrain`"):
        build(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("name", [*NAMES, "test_nfnet", "test_vit", "alexnet", "googlenet_gap"])
def test_every_layer_has_its_weights_from_the_file(build, tmp_path, name):
    path = tmp_path / "backbone.safetensors"
    save_weights(find(name).classifier(3), path)
    stored = {layer_name(layer): value for layer, value in load_file(path).items()}
    loaded = build(path, name=name).network.state_dict()
    assert loaded
    for layer, value in loaded.items():
        assert torch.equal(value, stored[layer_name(layer)])


def test_first_weights_of_another_network_are_refused(build, tmp_path):
    path = tmp_path / "resnet.safetensors"
    save_weights(timm.create_model("test_resnet"), path)
    expected = "weights of test_resnet, but backbone.name is test_efficientnet; run `dvc repro pret"
    with pytest.raises(InputError, match=expected):
        build(path)


def stored(path, change):
    """Write the weights of test_efficientnet to `path`, after `change` of their state dict."""
    state = timm.create_model("test_efficientnet").state_dict()
    change(state)
    save_file(state, path, {"network": "test_efficientnet"})
    return path


def test_first_weights_that_name_no_network_are_refused(build, tmp_path):
    path = tmp_path / "nameless.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), path)
    with pytest.raises(InputError, match="weights of no network that it names, but backbone.name"):
        build(path)


def test_first_weights_without_a_layer_are_never_loaded_in_part(build, tmp_path):
    path = stored(tmp_path / "part.safetensors", lambda state: state.pop("blocks.4.0.bn1.bias"))
    expected = r"part.safetensors: not all of test_eff.*: blocks.4.0.bn1.bias \(\d+\) is missing$"
    with pytest.raises(InputError, match=expected):
        build(path)


def test_first_weights_of_another_shape_are_refused(build, tmp_path):
    def widen(state):
        state["conv_stem.weight"] = torch.zeros(20, 3, 3, 3)

    path = stored(tmp_path / "wide.safetensors", widen)
    with pytest.raises(InputError, match="conv_stem.weight is 20x3x3x3, expected 24x3x3x3$"):
        build(path)


def test_damaged_first_weights_are_refused(build, tmp_path, backbone_file):
    path = tmp_path / "half.safetensors"
    path.write_bytes(backbone_file.read_bytes()[:1000])
    with pytest.raises(InputError, match="half.safetensors: damaged"):
        build(path)


def test_a_classifier_from_scratch_scores_its_classes(params, images):
    known, unknown = (
        changed(params, backbone__name=n).backbone for n in ("test_efficientnet", "resnet5000")
    )
    assert Classifier(known, 3)(images).shape == (4, 3)
    with pytest.raises(InputError, match="backbone.name: 'resnet5000' is none of"):
        Classifier(unknown, 3)

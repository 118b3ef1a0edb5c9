"""Costs come from the real networks, without running or storing them."""

import pytest
import timm
from torch import nn

from paper import cost
from paper.experiment import experiments
from paper.settings import load as load_settings
from pipeline.params import Params
from tests.parameters import changed

FOUND = load_settings()


class OneConvolution(nn.Module):
    """A convolution 3 -> 5 channels, 3x3, and a linear layer on its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, padding=1, device="meta")
        self.linear = nn.Linear(5, 2, device="meta")

    def forward(self, images):
        return self.linear(self.convolution(images.float()).mean((2, 3)))


def test_the_arithmetic_of_a_small_network_is_the_analytic_number(params: Params) -> None:
    image = cost.meta_image(changed(params, input__size=32))
    forward = 2 * 32 * 32 * 3 * 5 * 9
    linear = 2 * 5 * 2
    # Backward costs the forward again for the weights, and for the inputs where they need it.
    assert cost.step_flops(OneConvolution(), image) == 2 * forward + 3 * linear


@pytest.mark.parametrize("model", ["cam_multi", "spn_multi", "spg_plain", "spg"])
def test_every_kind_of_network_is_counted(quick: Params, model: str) -> None:
    params = changed(quick, data__multi="voc2007", data__single="cub", evaluate__ten_crop=False)
    found = cost.cost(model, FOUND, params)
    data = FOUND.data_sets[cost.data_set(model, params)]
    assert found.forward < found.step
    assert found.training == found.step * data.train * 2  # epochs of `quick`
    images = data.test + (data.train if model.endswith("multi") else 0)
    assert found.evaluation == found.forward * images


def test_guidance_costs_more_than_its_plain_twin(quick: Params) -> None:
    params = changed(quick, data__single="cub")
    plain, guided = (cost.cost(model, FOUND, params).step for model in ("spg_plain", "spg"))
    assert guided > plain


def test_ten_crops_are_ten_more_forward_passes(quick: Params) -> None:
    one, ten = (
        cost.cost("spg_plain", FOUND, changed(quick, data__single="cub", evaluate__ten_crop=crops))
        for crops in (False, True)
    )
    assert ten.evaluation == 11 * one.evaluation


def test_hours_fall_with_the_rate() -> None:
    each = cost.Cost("spg", 3, 1, training=3.6e16, evaluation=0.0, predictions=0.0)
    assert (each.hours(10), each.hours(5)) == (1, 2)


def test_predictions_keep_all_maps_of_the_multi_label_track_and_six_of_the_other(
    params: Params,
) -> None:
    multi = cost.cost("spn_multi", FOUND, experiments(FOUND, "spn-1")[0].applied(params))
    assert multi.predictions == (4952 + 5011) * 4 * (20 + 21 * 14 * 14)
    single = cost.cost("spg_plain", FOUND, experiments(FOUND, "spg-2")[0].applied(params))
    assert single.predictions == 5794 * 4 * (200 + 6 * 28 * 28)


def test_vgg16_costs_what_its_layers_do(params: Params) -> None:
    spn = cost.cost("spn_multi", FOUND, experiments(FOUND, "spn-1")[0].applied(params))
    assert spn.forward == pytest.approx(31.7e9, rel=0.01)
    assert spn.step == pytest.approx(3 * spn.forward, rel=0.02)


def test_disk_space_counts_each_data_set_once_and_all_predictions(params: Params) -> None:
    experiment = experiments(FOUND, "spg-2")[0]
    applied = experiment.applied(params)
    models = list(cost.costs(experiment, FOUND, applied))
    needed = cost.distributions(["spg", "spg_plain"], applied) * 2
    space = cost.disk(needed, FOUND, 256, models)
    assert space.download == 1_150_585_339
    assert space.unpacked == 1_600_000_000
    assert space.packed == pytest.approx(11788 * 256 * 256 * 4 / 3 * 0.35)
    assert space.predictions == sum(each.predictions for each in models) > 0
    assert space.most == pytest.approx(
        1_150_585_339 + 1_600_000_000 + space.packed + space.predictions
    )


def test_downloaded_weights_have_the_published_size_of_their_file() -> None:
    assert cost.weights_bytes("vgg16") == 553_433_881
    assert cost.weights_bytes("googlenet_gap") == cost.weights_bytes("googlenet") == 52_147_035


def test_weights_of_timm_are_four_bytes_for_each_number() -> None:
    network = timm.create_model("test_resnet")
    assert cost.weights_bytes("test_resnet") == 4 * sum(p.numel() for p in network.parameters())

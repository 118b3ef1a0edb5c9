import math

import pytest
import torch

from pipeline.models.soft_proposal import (
    SoftProposal,
    distance_kernel,
    edge_weights,
    feature_distances,
    power_map,
    stationary_map,
)
from tests.parameters import changed

SIZES = [(7, 7), (14, 14), (28, 28), (6, 11)]


@pytest.fixture
def module(params):
    """Make a Soft Proposal with the paper's parameters but for those given."""

    def make(**values):
        paper = {
            "solver": "stationary",
            "epsilon": 0.15,
            "epsilon_relative_to": "side",
            "differentiate_through_m": False,
            "max_iterations": 20,
            "tolerance": 1e-4,
        }
        chosen = {f"spn__{key}": value for key, value in (paper | values).items()}
        return SoftProposal(changed(params, **chosen).spn)

    return make


def rectified(height, width, batch=2, channels=16, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, channels, height, width)
    return torch.randn(shape, generator=generator, dtype=dtype).relu()


def weights_of(height, width):
    return edge_weights(rectified(height, width), 0.15 * math.sqrt(height * width))


@pytest.mark.parametrize("size", SIZES)
def test_the_column_normalised_walk_comes_to_rest_at_the_degrees(size):
    weights = weights_of(*size)
    walked = power_map(weights, max_iterations=300, tolerance=0)
    torch.testing.assert_close(walked, stationary_map(weights), rtol=1e-9, atol=0)


def test_each_further_step_of_the_walk_comes_closer():
    weights = weights_of(14, 14)
    rest = stationary_map(weights)
    errors = [
        float((power_map(weights, steps, 0) / rest - 1).abs().max()) for steps in (1, 5, 10, 20, 40)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 1e-2


@pytest.mark.parametrize("size", SIZES)
def test_a_row_normalised_walk_would_rest_at_the_uniform_map(size):
    weights = weights_of(*size)
    uniform = torch.full(weights.shape[:2], 1 / weights.shape[1], dtype=weights.dtype)
    rows = weights / weights.sum(2, keepdim=True)
    stepped = (rows @ uniform[:, :, None])[:, :, 0]
    torch.testing.assert_close(stepped, uniform)
    assert (stationary_map(weights) / uniform - 1).abs().max() > 0.1


def test_the_walk_ends_early_once_no_map_of_the_batch_moves_by_the_tolerance():
    weights = weights_of(7, 7)
    first_step = power_map(weights, 1, 0)
    assert torch.equal(power_map(weights, 50, tolerance=10), first_step)
    assert not torch.equal(power_map(weights, 50, tolerance=1e-6), first_step)


def test_degrees_of_three_cells_by_hand():
    features = torch.tensor([0.0, 1.0, 3.0]).reshape(1, 1, 1, 3)
    near, far = math.exp(-1 / 2), math.exp(-4 / 2)  # one and two cells apart, epsilon 1
    degrees = torch.tensor([[1 * near + 3 * far, 1 * near + 2 * near, 3 * far + 2 * near]])
    found = stationary_map(edge_weights(features, epsilon=1))
    torch.testing.assert_close(found, degrees / degrees.sum())


def test_the_kernel_falls_with_the_distance_between_cells():
    kernel = distance_kernel(3, 4, epsilon=2)
    assert kernel.shape == (12, 12)
    first, opposite = 0, 2 * 4 + 3  # (0, 0) and row 2, column 3
    assert kernel[first, opposite] == pytest.approx(math.exp(-(2**2 + 3**2) / (2 * 2**2)))
    assert torch.equal(kernel, kernel.T)
    assert torch.equal(kernel.diagonal(), torch.ones(12))


@pytest.mark.parametrize("offset", [0, 1000])
def test_feature_distances_are_euclidean(offset):
    features = rectified(5, 6) + offset
    cells = features.flatten(2).transpose(1, 2)
    expected = (cells[:, :, None] - cells[:, None]).norm(dim=3)
    torch.testing.assert_close(feature_distances(features), expected, rtol=1e-6, atol=1e-6)


def test_feature_distances_keep_their_digits_in_single_precision():
    exact = rectified(5, 6)
    found = feature_distances((exact + 100).float()).double()
    torch.testing.assert_close(found, feature_distances(exact), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", ["stationary", "power"])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (6, 11)])
def test_a_proposal_map_is_a_distribution_over_the_cells(module, solver, size):
    maps = module(solver=solver)(rectified(*size, batch=3, dtype=torch.float32))
    assert maps.shape == (3, *size)
    assert (maps >= 0).all()
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(3))


@pytest.mark.parametrize("solver", ["stationary", "power"])
@pytest.mark.parametrize("value", [0.0, 0.1, 3e4])
def test_constant_features_give_the_uniform_map(module, solver, value):
    maps = module(solver=solver)(torch.full((2, 8, 5, 7), value))
    assert torch.equal(maps, torch.full((2, 5, 7), 1 / 35))


def test_a_constant_image_is_uniform_in_a_batch_with_another(module):
    features = rectified(7, 7, dtype=torch.float32)
    features[0] = 1.5
    maps = module()(features)
    assert torch.equal(maps[0], torch.full((7, 7), 1 / 49))
    assert torch.equal(maps[1], module()(features[1:])[0])


def test_the_one_cell_that_differs_gets_the_most(module):
    features = torch.zeros(1, 4, 9, 9)
    features[0, :, 4, 5] = 1
    assert int(module()(features).argmax()) == 4 * 9 + 5


@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_scale_offset_and_order_of_channels_do_not_matter(module, solver):
    features = rectified(6, 11)
    expected = module(solver=solver)(features)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    for same in (features * 37, features + 5, features[:, order]):
        torch.testing.assert_close(module(solver=solver)(same), expected)


def test_the_map_turns_with_the_image(module):
    features = rectified(6, 11)
    expected = module()(features)
    torch.testing.assert_close(module()(features.flip(3)), expected.flip(2))
    torch.testing.assert_close(module()(features.transpose(2, 3)), expected.transpose(1, 2))


def test_epsilon_is_a_share_of_the_side_or_of_the_area(module):
    assert module().epsilon(14, 14) == pytest.approx(2.1)
    assert module().epsilon(4, 9) == pytest.approx(0.15 * 6)
    assert module(epsilon_relative_to="area").epsilon(14, 14) == pytest.approx(29.4)


def test_a_wider_kernel_gives_another_map(module):
    features = rectified(7, 7)
    by_area = module(epsilon_relative_to="area")(features)
    expected = stationary_map(edge_weights(features, 0.15 * 49)).reshape(-1, 7, 7)
    torch.testing.assert_close(by_area, expected)
    assert not torch.allclose(by_area, module()(features), rtol=1e-2)


def coupling_gradient(module, features, outer):
    features = features.clone().requires_grad_()
    coupled = features * module(features)[:, None]
    (coupled * outer).sum().backward()
    return features.grad


@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_the_gradient_through_the_coupling_is_the_map_alone(module, solver):
    features, outer = rectified(7, 7), torch.randn(2, 16, 7, 7, dtype=torch.float64)
    constant = module(solver=solver)
    expected = outer * constant(features)[:, None]
    torch.testing.assert_close(coupling_gradient(constant, features, outer), expected)


@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_the_gradient_can_pass_through_the_map_as_well(module, solver):
    features, outer = rectified(7, 7), torch.randn(2, 16, 7, 7, dtype=torch.float64)
    features[:, :, :3] = 0  # equal cells, where a distance has no slope
    through = module(solver=solver, differentiate_through_m=True)
    gradient = coupling_gradient(through, features, outer)
    assert gradient.isfinite().all()
    assert not torch.allclose(gradient, outer * through(features)[:, None], rtol=1e-2)


@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_the_gradient_of_the_map_is_that_of_finite_differences(module, solver):
    features = torch.randn(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    through = module(solver=solver, differentiate_through_m=True)
    assert torch.autograd.gradcheck(through, features)

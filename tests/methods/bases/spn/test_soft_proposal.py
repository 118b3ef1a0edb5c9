import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.methods.bases.spn import soft_proposal
from pipeline.methods.bases.spn.soft_proposal import (
    Degrees,
    SoftProposal,
    Weights,
    distance_kernel,
    kernel_mass,
    power_map,
    stationary_map,
)
from tests.parameters import changed

SIZES = [(7, 7), (14, 14), (28, 28), (6, 11)]
PRECISE = {"rtol": 1e-5, "atol": 0}
CORRECTED = {"border_correction": True, "sharpness": 2.0}
BEYOND = pytest.mark.parametrize("beyond", [{}, CORRECTED], ids=["paper", "corrected"])


@pytest.fixture
def module(params):
    """Make a Soft Proposal with the paper's parameters but for those given."""

    def make(**values):
        paper = {
            "solver": "stationary",
            "epsilon": 0.15,
            "epsilon_relative_to": "side",
            "border_correction": False,
            "sharpness": 1.0,
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


def graph_of(height, width, **given):
    """Return the features of cells (B, N, K) and their kernel, at the paper's epsilon."""
    cells = rectified(height, width, **given).flatten(2).transpose(1, 2)
    return cells, distance_kernel(height, width, 0.15 * math.sqrt(height * width))


def explicit_weights(features):
    """Return D' (B, N, N) in float64 from each pair's difference, at the paper's epsilon."""
    height, width = features.shape[2:]
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()
    places = places.reshape(-1, 2)
    kernel = (-torch.cdist(places, places).square() / (2 * 0.15**2 * height * width)).exp()
    cells = features.double().flatten(2).transpose(1, 2)
    differences = (cells[:, :, None] - cells[:, None]).norm(dim=3)
    return differences * kernel


def explicit_map(features):
    degrees = explicit_weights(features).sum(2)
    return (degrees / degrees.sum(1, keepdim=True)).unflatten(1, features.shape[2:])


@pytest.mark.parametrize("size", SIZES)
def test_the_column_normalised_walk_comes_to_rest_at_the_degrees(size):
    graph = graph_of(*size)
    walked = power_map(*graph, max_iterations=300, tolerance=0)
    torch.testing.assert_close(walked, stationary_map(*graph), rtol=1e-9, atol=0)


def test_each_further_step_of_the_walk_comes_closer():
    graph = graph_of(14, 14)
    rest = stationary_map(*graph)
    errors = [
        float((power_map(*graph, steps, 0) / rest - 1).abs().max()) for steps in (1, 5, 10, 20, 40)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < 1e-2


@pytest.mark.parametrize("size", SIZES)
def test_a_row_normalised_walk_would_rest_at_the_uniform_map(size):
    graph = graph_of(*size)
    weights = Weights.apply(*graph)
    uniform = torch.full(weights.shape[:2], 1 / weights.shape[1], dtype=weights.dtype)
    rows = weights / weights.sum(2, keepdim=True)
    stepped = (rows @ uniform[:, :, None])[:, :, 0]
    torch.testing.assert_close(stepped, uniform)
    assert (stationary_map(*graph) / uniform - 1).abs().max() > 0.1


def test_a_walk_ends_early_once_its_map_does_not_move_by_the_tolerance():
    graph = graph_of(7, 7)
    first_step = power_map(*graph, 1, 0)
    assert torch.equal(power_map(*graph, 50, tolerance=10), first_step)
    assert not torch.equal(power_map(*graph, 50, tolerance=1e-6), first_step)


def test_a_walk_ends_when_its_own_image_is_at_rest_not_the_batch():
    cells, kernel = graph_of(7, 7, batch=2)
    cells[0] = 0.0
    cells[0, 24] = 1.0  # Comes to rest much later than the other image.
    steps = [power_map(cells[1:], kernel, n, 0) for n in range(1, 40)]
    moves = [float((b - a).norm()) for a, b in zip(steps, steps[1:], strict=False)]
    tolerance = 1e-4
    ends = next(n for n, moved in enumerate(moves) if moved < tolerance) + 1
    assert ends < 20
    together = power_map(cells, kernel, 40, tolerance)
    assert torch.equal(together[1], steps[ends][0])
    assert torch.equal(together[:1], power_map(cells[:1], kernel, 40, tolerance))


def released_walk(weights, most, tolerance):
    """M (N,) of D' (N, N) by SPN.pytorch's loop: a step below the tolerance is not applied."""
    walk = weights / weights.sum(0)
    current = torch.full((len(weights),), 1 / len(weights), dtype=weights.dtype)
    for _ in range(most):
        difference = walk @ current - current
        if difference.norm() < tolerance:
            return current, True
        current = (current + difference) / (current + difference).sum()
    return current, False


@pytest.mark.parametrize("tolerance", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("size", SIZES)
def test_the_released_walk_ends_less_than_the_tolerance_before_ours(size, tolerance):
    features = rectified(*size, batch=1)
    released, rested = released_walk(explicit_weights(features)[0], 20, tolerance)
    ours = power_map(*graph_of(*size, batch=1), 20, tolerance)[0]
    apart = float((ours - released).norm())
    assert apart < tolerance
    assert (apart > 1e-9) == rested


def test_the_walk_is_that_of_algorithm_1_step_by_step():
    features = rectified(5, 6, batch=1)
    weights = explicit_weights(features)[0]
    transition = weights / weights.sum(0)
    expected = torch.full((30,), 1 / 30, dtype=torch.float64)
    for _ in range(3):
        expected = transition @ expected
        expected /= expected.sum()
    kernel = distance_kernel(5, 6, 0.15 * math.sqrt(30))
    found = power_map(features.flatten(2).transpose(1, 2), kernel, 3, 0)
    torch.testing.assert_close(found[0], expected)


def test_degrees_of_three_cells_by_hand():
    features = torch.tensor([0.0, 1.0, 3.0]).reshape(1, 3, 1)
    near, far = math.exp(-1 / 2), math.exp(-4 / 2)  # one and two cells apart, epsilon 1
    degrees = torch.tensor([[1 * near + 3 * far, 1 * near + 2 * near, 3 * far + 2 * near]])
    torch.testing.assert_close(Degrees.apply(features, distance_kernel(1, 3, 1)), degrees)


def test_the_kernel_falls_with_the_distance_between_cells():
    kernel = distance_kernel(3, 4, epsilon=2).block(slice(0, 12))
    assert kernel.shape == (12, 12)
    first, opposite = 0, 2 * 4 + 3  # (0, 0) and row 2, column 3
    assert kernel[first, opposite] == pytest.approx(math.exp(-(2**2 + 3**2) / (2 * 2**2)))
    assert torch.equal(kernel, kernel.T)
    assert torch.equal(kernel.diagonal(), torch.ones(12, dtype=torch.float64))


@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 11)])
def test_weights_in_any_blocks_are_those_of_each_pair(monkeypatch, rows, size):
    monkeypatch.setitem(soft_proposal.ROWS, "cpu", rows)
    features = rectified(*size, batch=3)
    weights = Weights.apply(*graph_of(*size, batch=3))
    torch.testing.assert_close(weights, explicit_weights(features))
    assert (weights.diagonal(dim1=1, dim2=2) == 0).all()
    degrees = Degrees.apply(*graph_of(*size, batch=3))
    torch.testing.assert_close(degrees, explicit_weights(features).sum(2))


def test_images_worked_on_apart_give_the_bits_of_images_together(module, monkeypatch):
    features = rectified(9, 9, batch=5, dtype=torch.float32)
    together = module()(features)
    monkeypatch.setattr(soft_proposal, "ELEMENTS", 2 * 81 * 16)
    assert torch.equal(module()(features), together)
    assert torch.equal(module()(features[3:4])[0], together[3])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_repeated_runs_give_the_same_bits(module, solver, layout):
    features = rectified(14, 14, dtype=torch.float32).contiguous(memory_format=layout)
    assert torch.equal(module(solver=solver)(features), module(solver=solver)(features))


class Largest(TorchDispatchMode):
    """Notes the elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        found = operation(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            self.elements = max(self.elements, found.numel())
        return found


@pytest.mark.parametrize("through", [False, True])
def test_the_closed_form_holds_no_more_than_the_features(module, monkeypatch, through):
    features = smooth(28, 28).requires_grad_()  # Many of its cells are near each other.
    monkeypatch.setattr(soft_proposal, "ELEMENTS", features[0].numel())
    with Largest() as largest:
        coupling = features * module(differentiate_through_m=through)(features)[:, None]
        coupling.square().sum().backward()
    assert largest.elements == features.numel() < 28**4


@pytest.mark.parametrize("through", [False, True])
def test_the_walk_holds_the_graph_of_one_image(module, through):
    features = rectified(14, 14, batch=5).requires_grad_()
    with Largest() as largest:
        coupling = (
            features * module(solver="power", differentiate_through_m=through)(features)[:, None]
        )
        coupling.square().sum().backward()
    assert largest.elements == (14 * 14) ** 2


def test_the_walk_keeps_no_graph_for_the_backward_pass(module):
    features = rectified(14, 14, batch=5).requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()), lambda _: _):
        module(solver="power", differentiate_through_m=True)(features)
    assert sum(saved) == features.numel() < (14 * 14) ** 2


def smooth(height, width):
    coarse = rectified(2, 2, channels=64, dtype=torch.float32)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")


def region(height, width):
    features = rectified(height, width, channels=64, dtype=torch.float32)
    features[:, :, 1:-2] = features[:, :, 1:2, :1]
    return features


def first_stands_out(height, width):
    features = rectified(height, width, channels=64, dtype=torch.float32)
    features[:, :, 0, 0] += 1e4
    return features


def one_differs(height, width):
    features = torch.full((2, 64, height, width), 0.7)
    features[:, :, 2, 3] = 1
    return features


def first_differs(height, width):
    return one_differs(height, width).roll((-2, -3), (2, 3))


DIFFICULT = [smooth, region, first_stands_out, one_differs, first_differs]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(7, 7), (14, 14), (6, 11)])
@pytest.mark.parametrize("features", DIFFICULT)
def test_single_precision_keeps_the_digits_of_near_and_equal_cells(module, features, size, layout):
    given = features(*size).contiguous(memory_format=layout)
    torch.testing.assert_close(module()(given).double(), explicit_map(given), **PRECISE)


@pytest.mark.parametrize("offset", [0, 100, -3e4])
def test_single_precision_keeps_its_digits_beside_a_common_offset(module, offset):
    features = rectified(6, 11, dtype=torch.float32) + offset
    torch.testing.assert_close(module()(features).double(), explicit_map(features), **PRECISE)


def test_an_offset_brings_no_cells_near_each_other(module, monkeypatch):
    features = rectified(6, 11, dtype=torch.float32)
    monkeypatch.setattr(soft_proposal, "recompute", None)
    module()(features + 1000)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("make", [region, smooth])
def test_half_precision_features_are_computed_in_single_precision(module, make, dtype, autocast):
    features = make(6, 11).to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        maps = module()(features)
        of_single = module()(features.float())
    assert maps.dtype == dtype
    assert torch.equal(maps, of_single.to(dtype))
    torch.testing.assert_close(of_single.double(), explicit_map(features), **PRECISE)


@BEYOND
@pytest.mark.parametrize("solver", ["stationary", "power"])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (6, 11)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bad_feature_makes_its_whole_map_nan_and_no_other(module, solver, beyond, size, value):
    features = rectified(*size, batch=3, dtype=torch.float32)
    expected = module(solver=solver, **beyond)(features)
    features[1, 3, -1, -1] = value
    found = module(solver=solver, **beyond)(features)
    assert found[1].isnan().all()
    assert torch.equal(found[::2], expected[::2])


def test_differences_whose_square_overflows_make_the_map_nan(module):
    features = rectified(3, 4, dtype=torch.float32)
    features[0, 3, 1, 2] = 1e20
    found = module()(features)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@BEYOND
@pytest.mark.parametrize("solver", ["stationary", "power"])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (6, 11)])
def test_a_proposal_map_is_a_distribution_over_the_cells(module, solver, beyond, size):
    maps = module(solver=solver, **beyond)(rectified(*size, batch=3, dtype=torch.float32))
    assert maps.shape == (3, *size)
    assert (maps >= 0).all()
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(3))


@BEYOND
@pytest.mark.parametrize("solver", ["stationary", "power"])
@pytest.mark.parametrize("value", [0.0, 0.1, 3e4])
def test_constant_features_give_the_uniform_map(module, solver, beyond, value):
    maps = module(solver=solver, **beyond)(torch.full((2, 8, 5, 7), value))
    assert torch.equal(maps, torch.full((2, 5, 7), 1 / 35))


@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_a_constant_image_is_uniform_in_a_batch_with_another(module, solver):
    features = rectified(7, 7, dtype=torch.float32)
    features[0] = 1.5
    maps = module(solver=solver)(features)
    assert torch.equal(maps[0], torch.full((7, 7), 1 / 49))
    assert torch.equal(maps[1], module(solver=solver)(features[1:])[0])


def test_the_one_cell_that_differs_gets_the_most(module):
    features = torch.zeros(1, 4, 9, 9)
    features[0, :, 4, 5] = 1
    assert int(module()(features).argmax()) == 4 * 9 + 5


@BEYOND
@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_scale_offset_and_order_of_channels_do_not_matter(module, solver, beyond):
    features = rectified(6, 11)
    expected = module(solver=solver, **beyond)(features)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    for same in (features * 37, features + 5, features[:, order]):
        torch.testing.assert_close(module(solver=solver, **beyond)(same), expected)


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
    cells = features.flatten(2).transpose(1, 2)
    expected = stationary_map(cells, distance_kernel(7, 7, 0.15 * 49))
    torch.testing.assert_close(by_area.flatten(1), expected)
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


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("correction", [False, True])
@pytest.mark.parametrize(("solver", "rows"), [("stationary", 1), ("stationary", 5), ("power", 5)])
def test_the_gradient_of_the_map_is_that_of_finite_differences(
    module, monkeypatch, solver, rows, correction, sharpness
):
    monkeypatch.setitem(soft_proposal.ROWS, "cpu", rows)
    monkeypatch.setattr(soft_proposal, "ELEMENTS", 1)  # One image, one pair at a time.
    features = rectified(3, 4, channels=2).sub(0.4).requires_grad_()
    beyond = {"border_correction": correction, "sharpness": sharpness}
    through = module(solver=solver, differentiate_through_m=True, **beyond)
    assert torch.autograd.gradcheck(through, features)


@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_the_gradient_at_equal_cells_is_that_of_the_other_pairs(module, solver):
    features = rectified(3, 4, batch=1)
    features[:, :, :, 2] = features[:, :, :, 1]
    outer = torch.randn(1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = features.clone().requires_grad_()
    (module(solver=solver, differentiate_through_m=True)(found) * outer).sum().backward()

    given = features.clone().requires_grad_()
    cells = given.flatten(2).transpose(1, 2)
    squared = (cells[:, :, None] - cells[:, None]).square().sum(3)
    apart = squared > 0
    distances = torch.where(apart, squared.where(apart, 1).sqrt(), 0)
    kernel = distance_kernel(3, 4, 0.15 * math.sqrt(12)).block(slice(0, 12))
    weights = distances * kernel
    degrees = weights.sum(1, keepdim=True)
    expected = degrees / degrees.sum()
    if solver == "power":
        expected = torch.full_like(degrees, 1 / 12)
        for _ in range(20):
            following = expected / degrees @ weights
            following = following / following.sum()
            moved = (following - expected).norm()
            expected = following
            if moved < 1e-4:
                break
    (expected.reshape(1, 3, 4) * outer).sum().backward()
    torch.testing.assert_close(found.grad, given.grad)


@pytest.mark.parametrize("beyond", [{}, CORRECTED, {"sharpness": 0.5}], ids=str)
@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_constant_features_have_the_gradient_zero_through_the_map(module, solver, beyond):
    features = torch.full((1, 3, 3, 4), 0.1, requires_grad=True)
    module(solver=solver, differentiate_through_m=True, **beyond)(features)[0, 1, 1].backward()
    assert torch.equal(features.grad, torch.zeros(1, 3, 3, 4))


def kernel_masses(height, width, epsilon):
    kernel = distance_kernel(height, width, epsilon).block(slice(0, height * width))
    return (kernel - torch.eye(height * width, dtype=torch.float64)).sum(1)


@pytest.mark.parametrize("epsilon", [0.3, 2.1, 29.4, 1e9])
@pytest.mark.parametrize("size", [(1, 9), (7, 7), (6, 11)])
def test_the_mass_of_a_kernel_is_its_sum_over_the_other_cells(size, epsilon):
    expected = kernel_masses(*size, epsilon)
    torch.testing.assert_close(kernel_mass(*size, epsilon), expected / expected.max())


def test_a_kernel_too_narrow_for_its_own_1_still_has_fewer_neighbours_at_the_border():
    neighbours = torch.tensor([2.0, 3, 2, 3, 4, 3, 2, 3, 2], dtype=torch.float64)
    torch.testing.assert_close(kernel_mass(3, 3, 0.05), neighbours / 4)
    assert torch.equal(kernel_mass(3, 3, 1e-3), torch.ones(9, dtype=torch.float64))
    assert torch.equal(kernel_mass(1, 1, 1.0), torch.ones(1, dtype=torch.float64))


def equally_far(height, width, dtype):
    """Features of one image in which each cell has a channel of its own."""
    return torch.eye(height * width, dtype=dtype).unflatten(1, (height, width))[None]


@pytest.mark.parametrize("relative_to", ["side", "area"])
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("solver", ["stationary", "power"])
def test_equal_distances_give_the_uniform_map_once_corrected(
    module, solver, sharpness, relative_to
):
    features = equally_far(6, 11, torch.float64)
    chosen = {"solver": solver, "epsilon_relative_to": relative_to, "sharpness": sharpness}
    rested = {"max_iterations": 300, "tolerance": 0.0}
    uniform = torch.full((1, 6, 11), 1 / 66, dtype=torch.float64)
    torch.testing.assert_close(
        module(**chosen, **rested, border_correction=True)(features), uniform
    )
    of_paper = module(**chosen, **rested)(features)
    assert of_paper[0, 3, 5] > 1.05 * of_paper[0, 0, 0]


def test_the_expectation_of_independent_features_is_the_uniform_map_once_corrected(module):
    features = rectified(7, 7, batch=4000, channels=8)
    corrected, of_paper = (module(border_correction=on)(features) for on in (True, False))
    assert (49 * corrected.mean(0) - 1).abs().max() < 0.01
    assert (49 * of_paper.mean(0) - 1).abs().max() > 0.3


@pytest.mark.parametrize("size", [(7, 7), (6, 11)])
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0, 4.5])
def test_a_corrected_map_is_that_of_the_weighted_mean_distances(module, sharpness, size):
    features = rectified(*size)
    masses = kernel_masses(*size, 0.15 * math.sqrt(math.prod(size)))
    means = (explicit_weights(features).sum(2) / masses) ** sharpness
    expected = (means / means.sum(1, keepdim=True)).unflatten(1, size)
    for values in ({}, {"solver": "power", "max_iterations": 500, "tolerance": 0.0}):
        found = module(border_correction=True, sharpness=sharpness, **values)(features)
        torch.testing.assert_close(found, expected)


def test_what_the_walk_rested_at_is_corrected_after_it_has_ended(module):
    features = rectified(7, 7)
    ended = module(solver="power", max_iterations=3)(features).flatten(1)
    found = module(solver="power", max_iterations=3, **CORRECTED)(features).flatten(1)
    expected = (ended / kernel_mass(7, 7, 0.15 * 7)) ** 2
    torch.testing.assert_close(found, expected / expected.sum(1, keepdim=True))


def test_a_larger_exponent_leaves_the_order_of_cells_and_raises_the_peak(module):
    features = rectified(7, 7, batch=1)
    maps = [module(sharpness=each)(features).flatten() for each in (0.5, 1.0, 2.0, 4.0, 50.0)]
    peaks = [float(each.max()) for each in maps]
    assert peaks == sorted(set(peaks))
    assert all(torch.equal(each.argsort(), maps[0].argsort()) for each in maps)


@pytest.mark.parametrize("solver", ["stationary", "power"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("sharpness", [1e-300, 1e4, 1e30, 1e308])
def test_no_exponent_overflows(module, sharpness, dtype, solver):
    features = rectified(7, 7, dtype=torch.float32).to(dtype).requires_grad_()
    beyond = {"border_correction": True, "sharpness": sharpness}
    maps = module(solver=solver, differentiate_through_m=True, **beyond)(features)
    if sharpness > 1:
        of_paper = module(solver=solver, border_correction=True)(features.float())
        assert torch.equal(maps.flatten(1).argmax(1), of_paper.flatten(1).argmax(1))
        assert (maps.flatten(1).amax(1) == 1).all() and (maps.sum((1, 2)) == 1).all()
    else:
        torch.testing.assert_close(maps, torch.full_like(maps, 1 / 49))
    (maps * torch.arange(7)).sum().backward()
    assert features.grad.isfinite().all()


def test_cells_that_share_the_peak_share_the_map(module):
    features = torch.zeros(1, 4, 9, 9)
    features[0, :, 4, 2] = features[0, :, 4, 6] = 1
    maps = module(sharpness=1e30)(features)
    assert maps[0, 4, 2] == maps[0, 4, 6] == 0.5


def test_a_training_can_follow_an_evaluation_of_the_same_size(module):
    kernel_mass.cache_clear()
    corrected = module(differentiate_through_m=True, **CORRECTED)
    features = rectified(5, 8)
    with torch.inference_mode():
        corrected(features)
    features.requires_grad_()
    corrected(features)[0, 1, 1].sum().backward()
    assert features.grad.isfinite().all()

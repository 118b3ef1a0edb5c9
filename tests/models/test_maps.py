import torch

from pipeline.models.maps import normalise_maps


def test_each_map_is_stretched_to_0_to_1_by_itself():
    maps = torch.tensor([[[1.0, 2, 3]], [[-40, 0, 40]]])
    assert normalise_maps(maps).tolist() == [[[0, 0.5, 1]], [[0, 0.5, 1]]]


def test_a_constant_map_becomes_0():
    maps = torch.stack([torch.full((2, 2), 7.0), torch.eye(2)])
    assert torch.equal(normalise_maps(maps), torch.stack([torch.zeros(2, 2), torch.eye(2)]))

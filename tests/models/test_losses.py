import pytest
import torch
from torch import nn

from pipeline.models.losses import Classification, classification_loss


@pytest.fixture
def logits():
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def test_a_class_index_gets_softmax_cross_entropy(logits):
    targets = torch.tensor([0, 2, 1, 1])
    expected = -logits.log_softmax(1)[torch.arange(4), targets].mean()
    torch.testing.assert_close(classification_loss(logits, targets), expected)


def test_a_label_vector_gets_the_mean_logistic_loss_of_all_classes(logits):
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    signs = 2 * targets - 1
    expected = torch.log1p(torch.exp(-signs * logits)).mean()
    torch.testing.assert_close(classification_loss(logits, targets), expected)


def test_an_image_without_labels_pushes_every_score_down(logits):
    scores = logits.clone().requires_grad_()
    classification_loss(scores, torch.zeros(4, 3)).backward()
    assert (scores.grad > 0).all()


def test_the_objective_is_one_named_term_in_every_epoch():
    network = nn.Linear(5, 3)
    images, targets = torch.randn(4, 5), torch.tensor([0, 2, 1, 1])
    for epoch in (0, 7):
        terms = Classification(network)(images, targets, epoch)
        assert list(terms) == ["classification"]
        expected = classification_loss(network(images), targets)
        assert torch.equal(terms["classification"], expected)

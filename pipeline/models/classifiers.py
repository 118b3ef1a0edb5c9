"""Whole classifiers of timm that rank the classes for another network's boxes (SPG Table 3)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.models.backbones import Normalise
from pipeline.models.networks.network import IMAGENET_CLASSES
from pipeline.models.networks.registry import find
from pipeline.models.networks.timm_network import TimmNetwork
from pipeline.models.pretrained import imagenet_classifier
from pipeline.params import Params


class FineTunedClassifier(nn.Module):
    """A classifier with a new last layer, images (B, 3, S, S) uint8 -> logits (B, classes)."""

    def __init__(self, classifier: nn.Module, classes: int, size: int) -> None:
        super().__init__()
        body: Any = classifier
        body.reset_classifier(0)
        self.backbone = classifier
        self.normalise = Normalise(classifier)
        self.head = nn.Linear(_outputs(classifier, size), classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(self.normalise(images)))
        return logits


def build(name: str, classes: int, params: Params) -> nn.Module:
    """Return the classifier `name` of timm, images (B, 3, S, S) uint8 -> logits (B, classes).

    With `ranking.fine_tune` its last layer is new and it is to be trained; else it is complete, as
    published. `pretrain.source` gives the weights.

    Raises:
        InputError: there is no such classifier, no weights for it, it takes no images of
            `input.size`, or its own last layer does not fit the data.
    """
    whole = _with_weights(name, params)
    if params.ranking.fine_tune:
        return FineTunedClassifier(whole, classes, params.input.size)
    if classes != IMAGENET_CLASSES or params.pretrain.source == "scratch":
        raise InputError(
            "ranking.fine_tune: false needs the 1000 classes of ImageNet and published weights "
            f"(got {classes} classes, pretrain.source {params.pretrain.source}); set it to true"
        )
    _outputs(whole, params.input.size)
    return nn.Sequential(Normalise(whole), whole)


def check(names: Iterable[str], classes: int, params: Params) -> None:
    """Build each classifier once, before any is trained; one InputError tells all that fail."""
    problems = []
    for name in names:
        try:
            build(name, classes, params)
        except InputError as error:
            problems.append(f"  {name}: {error}")
    if problems:
        raise InputError("ranking.classifiers:\n" + "\n".join(problems))


def _with_weights(name: str, params: Params) -> nn.Module:
    """Return the classifier of ImageNet's classes with its first weights."""
    network = find(name)
    if not isinstance(network, TimmNetwork):
        raise InputError("no network of timm here; name one by its tag, as in vgg16.tv_in1k")
    if params.pretrain.source == "scratch":
        return network.classifier()
    named = params.backbone.model_copy(update={"name": name})
    return imagenet_classifier(named, params.pretrain)


def _outputs(network: nn.Module, size: int) -> int:
    """Return how many numbers the network makes of an image of `size` x `size` px."""
    try:
        with torch.no_grad():
            return int(network.eval()(torch.zeros(1, 3, size, size)).shape[1])
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f"it takes no images of input.size {size} px ({error}); name another classifier"
        ) from error

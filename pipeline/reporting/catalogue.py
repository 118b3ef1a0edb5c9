"""The ten tables: which score fills which cell, how to read them, what is not run and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measured:
    """Where one score goes: `key` of the scores file of `model` fills `row` and `column`.

    `key` and `n` are dotted paths; `n` counts the images (for pointing: image and class pairs).
    A `key` that leads to a mapping fills one column for each of its entries.
    "{network}" in a column stands for the backbone. `paper` is the (row, column) of the paper's
    counterpart where it is named differently.
    """

    model: str
    key: str
    row: str
    column: str
    n: str = "test"
    paper: tuple[str, str] | None = None


def _every_dataset(dataset: str) -> bool:
    return True


@dataclass(frozen=True)
class Table:
    """One table of a paper.

    `published_on` names the paper's data and network in words. `not_run` gives the reason for
    rows that need one; `default_reason` goes for the others. `thresholds_of` names the models
    whose boxes rest on a chosen threshold, which the table then states. `accepts` tells whether
    scores on a data set of that name belong here.
    """

    id: str
    title: str
    how_to_read: str
    published_on: str
    measured: tuple[Measured, ...]
    default_reason: str
    not_run: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    thresholds_of: tuple[str, ...] = ()
    accepts: Callable[[str], bool] = _every_dataset


# Name of a backbone -> its name in the papers' columns.
PAPER_NETWORKS = {"cnn_s": "CNN-S", "vgg16": "VGG16", "googlenet": "GoogLeNet"}


def is_cub(dataset: str) -> bool:
    """Tell whether a data set's name is CUB-200-2011 or a subset of it."""
    return dataset.startswith("CUB-200-2011")


def _is_not_cub(dataset: str) -> bool:
    return not is_cub(dataset)


def _pointing(model: str, key: str, row: str, paper_network: str = "") -> tuple[Measured, ...]:
    """All and Difficult of one method; the paper's column is that of `paper_network` if given."""
    return tuple(
        Measured(
            model,
            f"{key}.{part}",
            row,
            f"{{network}} {part}",
            f"pointing_{part}",
            (row, f"{paper_network} {part}") if paper_network else None,
        )
        for part in ("all", "difficult")
    )


def _cor_loc(model: str, row: str, paper_row: str) -> tuple[Measured, ...]:
    return (
        Measured(model, "cor_loc.mean", row, "mean", "trainval", (paper_row, "mean")),
        Measured(model, "cor_loc.per_class", row, "{entry}", "trainval", (paper_row, "{entry}")),
    )


def _classification(name: str, row: str, paper_row: str) -> tuple[Measured, ...]:
    single, multi = f"{name}_single", f"{name}_multi"
    return (
        Measured(
            single,
            "top1_classification_error",
            row,
            "top-1 error",
            paper=(paper_row, "top-1 error"),
        ),
        Measured(
            single,
            "top5_classification_error",
            row,
            "top-5 error",
            paper=(paper_row, "top-5 error"),
        ),
        Measured(multi, "classification_map", row, "mAP", paper=(paper_row, "mAP")),
    )


_LOCALIZATION = (
    Measured("spg_plain", "top1_localization_error", "SPG-plain", "top-1 error"),
    Measured("spg_plain", "top5_localization_error", "SPG-plain", "top-5 error"),
    Measured("spg", "top1_localization_error", "SPG", "top-1 error"),
    Measured("spg", "top5_localization_error", "SPG", "top-5 error"),
    Measured("spg", "top1_localization_error", "SPG*", "top-1 error"),
    Measured("spg", "top5_star_localization_error", "SPG*", "top-5 error"),
)
_LOCALIZATION_READING = (
    "Percent of the images that are missed; lower is better. An image counts as found when one of "
    "the best 1 (or 5) classes is right and its box overlaps an object by half (IoU 0.5). "
    "SPG-plain is the same network without guidance, trained with the same budget. SPG* may "
    "answer with five boxes taken from the best three classes."
)
_NOT_IMPLEMENTED = "method not implemented"
_OTHER_SYSTEM = "another system; not rebuilt"

TABLES = (
    Table(
        id="spn-1",
        title="Quality of the proposal map: Object Energy",
        how_to_read=(
            "Percent of the map's mass that lies inside the boxes of the objects; higher is "
            "better. The controls have learnt nothing: a uniform map gives the share of the image "
            "that boxes cover, and a map that cannot beat the centred Gaussian tells no more than "
            "that objects stand in the middle."
        ),
        published_on="VOC2007 test; the paper does not name SPN's network",
        measured=(
            Measured("spn_multi", "object_energy.model", "SPN", "Object Energy"),
            Measured(
                "spn_multi", "object_energy.gaussian", "control: centred Gaussian", "Object Energy"
            ),
            Measured(
                "spn_multi",
                "object_energy.random_features",
                "control: Soft Proposal on random features",
                "Object Energy",
            ),
            Measured("spn_multi", "object_energy.uniform", "control: uniform map", "Object Energy"),
        ),
        default_reason="needs that proposal method",
        not_run={"RPN (supervised)": "needs a detector trained with boxes"},
        notes=(
            "The paper's times (Tesla K80 for RPN and SPN, CPU for the others) have no measured "
            "counterpart: a stage's output must not depend on the machine.",
            "The paper's text gives 63.2 for RPN, its table 63.3; the table's figure stands here.",
        ),
    ),
    Table(
        id="spn-2",
        title="Pointing localization accuracy",
        how_to_read=(
            "Percent of (image, class) pairs whose strongest response lies on an object of the "
            "class, 15 px of tolerance, mean over classes; higher is better. Difficult: the class "
            "covers less than a quarter of the image and another class is present. Center points "
            "at the middle of every image. CAM is the same network without Soft Proposal, trained "
            "with the same budget."
        ),
        published_on="VOC2007 test",
        measured=(
            *_pointing("spn_multi", "center_pointing", "Center", paper_network="VGG16"),
            *_pointing("cam_multi", "pointing", "CAM"),
            *_pointing("spn_multi", "pointing", "SPN"),
        ),
        default_reason=_NOT_IMPLEMENTED,
        notes=("Center does not depend on the network: the paper prints it in all three columns.",),
    ),
    Table(
        id="spn-3",
        title="Pointing with prediction",
        how_to_read=(
            "Mean average precision in percent; higher is better. Every image gives one prediction "
            "for each class, ranked by the class score; it is right when the class is present and "
            "the strongest response lies within 18 px of a box of it."
        ),
        published_on="VOC2012 val and COCO2014 val, VGG16",
        measured=(
            Measured("cam_multi", "pointing_with_prediction_map", "CAM", "mAP"),
            Measured("spn_multi", "pointing_with_prediction_map", "SPN", "mAP"),
        ),
        default_reason=_OTHER_SYSTEM,
    ),
    Table(
        id="spn-4",
        title="Correct localization (CorLoc) on the positive trainval images",
        how_to_read=(
            "Percent of the images holding a class whose one predicted box overlaps an object of "
            "it by half (IoU 0.5); higher is better. The box is the tightest one around all pixels "
            "above the response map's mean. n counts all trainval images; a class stands on the "
            "part of them that holds it."
        ),
        published_on="VOC2007 trainval, VGG16 (SP-VGGNet)",
        measured=(
            *_cor_loc("cam_multi", "CAM", "CAM"),
            *_cor_loc("spn_multi", "SPN", "SP-VGGNet"),
        ),
        default_reason=_OTHER_SYSTEM,
        notes=(
            "Wang et al.: the printed classes average to 47.7, the printed mean is 48.5; both "
            "stand here as printed.",
        ),
    ),
    Table(
        id="spn-5",
        title="Box localization error with the class known",
        how_to_read=(
            "Percent of the images whose predicted box overlaps the object by less than half "
            "(IoU 0.5); lower is better. The class is given; the box is the tightest one around "
            "all pixels above the response map's mean."
        ),
        published_on="ILSVRC2014 val",
        measured=(
            Measured("cam_single", "mean_box_error", "CAM", "error"),
            Measured("spn_single", "mean_box_error", "SPN", "error"),
        ),
        default_reason=_NOT_IMPLEMENTED,
    ),
    Table(
        id="spn-6",
        title="Classification",
        how_to_read=(
            "Top-1 and top-5 error in percent (lower is better) on the single-label track, mean "
            "average precision in percent (higher is better) on the multi-label track. CAM is the "
            "network with global average pooling (GoogLeNetGAP in the paper). With few classes the "
            "top-5 error says little."
        ),
        published_on="ILSVRC2014 val, COCO val and VOC2007 test, GoogLeNet",
        measured=(
            *_classification("cam", "CAM", "GoogLeNetGAP"),
            *_classification("spn", "SPN", "SP-GoogLeNetGAP"),
        ),
        default_reason=_NOT_IMPLEMENTED,
        notes=(
            "The paper contradicts itself: its text speaks of a gain of 4.5 points on VOC2007, its "
            "table of 0.8 (83.4 to 84.2). The table's figures stand here.",
            "The paper's caption names the last two columns in the other order than their heads; "
            "the heads are followed here.",
        ),
    ),
    Table(
        id="spg-1",
        title="Localization error on ILSVRC",
        how_to_read=_LOCALIZATION_READING,
        published_on="ILSVRC val; SPG: Inception-v3",
        measured=_LOCALIZATION,
        default_reason="another network or method",
        notes=(
            "Measured rows stand here whenever the data set is not CUB-200-2011 (which has Table "
            "2), so that no figure is reported twice.",
            "The paper prints no top-5 error for GoogLeNet-HaS-32.",
        ),
        thresholds_of=("spg_plain", "spg"),
        accepts=_is_not_cub,
    ),
    Table(
        id="spg-2",
        title="Localization error on CUB-200-2011",
        how_to_read=_LOCALIZATION_READING,
        published_on="CUB-200-2011 test; SPG: Inception-v3",
        measured=_LOCALIZATION,
        default_reason="another network or method",
        notes=(
            "Measured rows stand here when the single-label track runs on CUB-200-2011 or a part "
            "of it (`data.single: cub`); those of any other data set stand in Table 1.",
            "The paper prints no top-5 error for GoogLeNet-GAP.",
        ),
        thresholds_of=("spg_plain", "spg"),
        accepts=is_cub,
    ),
    Table(
        id="spg-3",
        title="Localization with another classifier's ranking",
        how_to_read=(
            "Localization and classification error in percent; lower is better. Boxes are SPG's; "
            "the published rows rank the classes with a stronger classifier, the measured one with "
            "SPG's own scores. * : five boxes from the best three classes."
        ),
        published_on="ILSVRC val; SPG: Inception-v3",
        measured=tuple(
            Measured(
                "spg",
                f"top{k}_{kind}_error",
                "SPG, own ranking",
                f"top-{k} {kind} error",
            )
            for k in (1, 5)
            for kind in ("localization", "classification")
        ),
        default_reason="needs that classifier's scores on the same images",
        thresholds_of=("spg",),
    ),
    Table(
        id="spg-4",
        title="Localization error with the class known (GT-known)",
        how_to_read=(
            "Percent of the images whose predicted box overlaps the object by less than half "
            "(IoU 0.5); lower is better. The class is given; the box surrounds the largest "
            "component above a threshold chosen once for all images."
        ),
        published_on="ILSVRC val; SPG: Inception-v3; rows marked Sec. 4.3 are from the text",
        measured=(
            Measured("spg_plain", "gt_known_error", "SPG-plain", "GT-known error"),
            Measured("spg", "gt_known_error", "SPG", "GT-known error"),
        ),
        default_reason=_NOT_IMPLEMENTED,
        not_run={
            "SPG, both B from the attention seeds (Sec. 4.3)": "`dvc exp run -S spg.cascade=false`",
            "SPG, B1 and B2 not shared (Sec. 4.3)": "`dvc exp run -S spg.share_b=false`",
            "SPG without C (Sec. 4.3)": "`dvc exp run -S spg.with_c=false`",
        },
        thresholds_of=("spg_plain", "spg"),
    ),
)

MODELS = tuple(sorted({measured.model for table in TABLES for measured in table.measured}))

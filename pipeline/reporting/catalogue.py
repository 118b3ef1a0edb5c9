"""The ten tables: which score fills which cell, how to read them, what is not run and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SPN_NETWORKS = {"cnn_s": "CNN-S", "vgg16": "VGG16", "googlenet": "GoogLeNet"}
"""Name of a backbone -> its name in the columns of SPN's tables."""

SPG_NETWORKS = {
    "alexnet": "AlexNet",
    "vgg16": "VGGnet",
    "googlenet": "GoogLeNet",
    "googlenet_gap": "GoogLeNet",
}
"""Name of a backbone -> its name in the rows of SPG's tables."""

RANKERS = {
    "spg_plain": "SPG-plain",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "resnet152": "ResNet-152",
    "dpn92": "DPN-92",
    "dpn98": "DPN-98",
    "dpn131": "DPN-131",
}
"""Name of a ranker -> its name in SPG Table 3; of classifiers it is timm's."""


@dataclass(frozen=True)
class Measured:
    """Where one score goes: `key` of the scores of `model` fills `row` and `column`.

    `key` and `n` are dotted paths; `n` counts the images (for pointing: image and class pairs).
    A `key` that leads to several estimates fills one column for each. `model` may be a pattern
    ("spg+*"). "{network}" stands for the backbone in the words of SPN's tables, "{spg_network}" in
    those of SPG's, "{ranker}" for what follows the "+" of the model. `paper` is the (row, column)
    of the paper's counterpart where it is named differently. `optional` scores may be absent.
    `switch` tells how to have the model when it was not run.
    """

    model: str
    key: str
    row: str
    column: str
    n: str = "test"
    paper: tuple[str, str] | None = None
    optional: bool = False
    switch: str = "not on this data set"

    def rows_in_papers(self, model: str) -> frozenset[str]:
        """Return the paper's rows, one for each network, of a `model` of this line."""
        row = self.paper[0] if self.paper else self.row
        backbones = (*SPN_NETWORKS, *SPG_NETWORKS)
        return frozenset(row.format(**names_in_papers(b, model), entry="") for b in backbones)

    def has_in_papers(self, row: str) -> bool:
        """Tell whether the paper's `row` is that of a model of this line."""
        models = (self.model.replace("*", ranker) for ranker in RANKERS)
        return any(row in self.rows_in_papers(model) for model in models)


def names_in_papers(backbone: str, model: str) -> dict[str, str]:
    """Return what a backbone and a ranker are called in the papers' tables."""
    ranker = model.partition("+")[2]
    return {
        "network": SPN_NETWORKS.get(backbone, backbone),
        "spg_network": SPG_NETWORKS.get(backbone, backbone),
        "ranker": RANKERS.get(ranker, ranker),
    }


@dataclass(frozen=True)
class Table:
    """One table of a paper.

    `published_on` names the paper's data and network in words. `not_run` gives the reason for
    rows that need one; `default_reason` goes for the others. `thresholded` tables state the
    thresholds that their boxes rest on.
    """

    id: str
    title: str
    how_to_read: str
    published_on: str
    measured: tuple[Measured, ...]
    default_reason: str
    not_run: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    thresholded: bool = False


def _switch(method: str) -> str:
    return f"off by default, `dvc exp run -S methods.{method}=true`"


_SALIENCY = "add it to `saliency.methods`"
_INTERVAL = (
    "In brackets: the 95 % interval over images (bootstrap); it holds no spread of trainings."
)


def _pointing(
    model: str, key: str, row: str, paper_network: str = "", switch: str = ""
) -> tuple[Measured, ...]:
    """All and Difficult of one method; the paper's column is that of `paper_network` if given."""
    return tuple(
        Measured(
            model,
            f"{key}.{part}",
            row,
            f"{{network}} {part}",
            f"pointing_{part}",
            (row, f"{paper_network} {part}") if paper_network else None,
            switch=switch,
        )
        for part in ("all", "difficult")
    )


def _cor_loc(model: str, row: str, paper_row: str, switch: str = "") -> tuple[Measured, ...]:
    return (
        Measured(
            model, "cor_loc.mean", row, "mean", "trainval", (paper_row, "mean"), switch=switch
        ),
        Measured(
            model,
            "cor_loc.per_class",
            row,
            "{entry}",
            "trainval",
            (paper_row, "{entry}"),
            switch=switch,
        ),
    )


def _classification(name: str, row: str, paper_row: str) -> tuple[Measured, ...]:
    places = (
        (f"{name}_single", "top1_classification_error", "top-1 error"),
        (f"{name}_single", "top5_classification_error", "top-5 error"),
        (f"{name}_multi", "classification_map", "mAP"),
    )
    return tuple(
        Measured(model, key, row, column, paper=(paper_row, column))
        for model, key, column in places
    )


def _localization(
    model: str, row: str, paper_row: str = "", switch: str = ""
) -> Iterator[Measured]:
    """Top-1, top-5 and top-5* of one method."""
    for key, column in (("top1", "top-1"), ("top5", "top-5"), ("top5_star", "top-5*")):
        yield Measured(
            model,
            f"{key}_localization_error",
            row,
            f"{column} error",
            paper=(paper_row, f"{column} error") if paper_row else None,
            switch=switch,
        )


def _compared(gap: str, has: str, acol: str, backprop: str) -> tuple[Measured, ...]:
    """The lines of SPG Tables 1 and 2, beside the paper's rows of those names."""
    return (
        *_localization("gradient_single", "Backprop", backprop, _SALIENCY),
        *_localization("cam_single", "GAP", gap),
        *_localization("has", "HaS", has, _switch("has")),
        *_localization("acol", "ACoL", acol, _switch("acol")),
        *_localization("spg_plain", "SPG-plain"),
        *_localization("spg", "SPG"),
        Measured("spg", "top1_localization_error", "SPG*", "top-1 error"),
        Measured("spg", "top5_star_localization_error", "SPG*", "top-5 error"),
    )


def _known_class(model: str, row: str, paper_row: str = "", switch: str = "") -> Iterator[Measured]:
    """The GT-known error of one method and the metrics of Choe et al. beside it."""
    yield Measured(
        model,
        "gt_known_error",
        row,
        "GT-known error",
        paper=(paper_row, "GT-known error") if paper_row else None,
        switch=switch,
    )
    for key, column in (
        ("max_box_acc", "MaxBoxAcc"),
        ("max_box_acc_v2", "MaxBoxAccV2"),
        ("px_ap", "PxAP"),
        ("mask_iou", "mask IoU"),
    ):
        yield Measured(model, key, row, column, optional=True)


_LOCALIZATION_READING = (
    "Percent of the images that are missed; lower is better. An image counts as found when one of "
    "the best 1 (or 5) classes is right and its box overlaps an object by half (IoU 0.5). "
    "GAP is the CAM twin of SPN, SPG-plain the network of SPG without guidance; all methods have "
    "the same backbone. top-5*: five boxes taken from the best three classes; SPG* reports it as "
    f"its top-5 error. {_INTERVAL}"
)
_OTHER_SYSTEM = "another system, not rebuilt"

TABLES = (
    Table(
        id="spn-1",
        title="Quality of the proposal map: Object Energy",
        how_to_read=(
            "Percent of the map's mass that lies inside the boxes of the objects; higher is "
            "better. The energy of a pixel is the sum of the scores of the boxes that cover it; "
            "for SPN it is the proposal map. The controls have learnt nothing: a uniform map gives "
            "the share of the image that boxes cover, and a map that cannot beat the centred "
            "Gaussian tells no more than that objects stand in the middle. The RPN alone is "
            f"trained with boxes. {_INTERVAL}"
        ),
        published_on="VOC2007 test; the paper does not name SPN's network",
        measured=(
            Measured(
                "selective_search",
                "object_energy",
                "Selective Search",
                "Object Energy",
                switch=_switch("selective_search"),
            ),
            Measured(
                "edge_boxes",
                "object_energy",
                "EdgeBoxes",
                "Object Energy",
                switch=_switch("edge_boxes"),
            ),
            Measured(
                "rpn", "object_energy", "RPN (supervised)", "Object Energy", switch=_switch("rpn")
            ),
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
        default_reason=_OTHER_SYSTEM,
        notes=(
            "The paper's times (Tesla K80 for RPN and SPN, CPU for the others) have their measured "
            "counterpart in benchmarks/RESULTS.md: a stage's out must not depend on the machine.",
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
            "at the middle of every image. All other methods but SPN look at one network, CAM's: "
            "that of SPN without Soft Proposal, trained with the same budget. Each class: "
            f"per-class.csv. {_INTERVAL}"
        ),
        published_on="VOC2007 test",
        measured=(
            *_pointing("spn_multi", "center_pointing", "Center", paper_network="VGG16"),
            *_pointing("gradient_multi", "pointing", "Grad", switch=_SALIENCY),
            *_pointing("deconvolution_multi", "pointing", "Deconv", switch=_SALIENCY),
            *_pointing(
                "guided_backpropagation_multi",
                "pointing",
                "Guided backpropagation",
                switch=_SALIENCY,
            ),
            *_pointing("lrp_multi", "pointing", "LRP", switch=_SALIENCY),
            *_pointing("cam_multi", "pointing", "CAM"),
            *_pointing("grad_cam_multi", "pointing", "Grad-CAM", switch=_SALIENCY),
            *_pointing("mwp_multi", "pointing", "MWP", switch=_SALIENCY),
            *_pointing("c_mwp_multi", "pointing", "c-MWP", switch=_SALIENCY),
            *_pointing("feedback_multi", "pointing", "Feedback", switch=_SALIENCY),
            *_pointing("spn_multi", "pointing", "SPN"),
        ),
        default_reason=_OTHER_SYSTEM,
        notes=("Center does not depend on the network: the paper prints it in all three columns.",),
    ),
    Table(
        id="spn-3",
        title="Pointing with prediction",
        how_to_read=(
            "Mean average precision in percent; higher is better. Every image gives one prediction "
            "for each class, ranked by the class score; it is right when the class is present and "
            "the strongest response lies within 18 px of a box of it. Global max pooling is the "
            f"idea of Oquab et al. on the network and budget of the CAM twin. {_INTERVAL}"
        ),
        published_on="VOC2012 val and COCO2014 val, VGG16",
        measured=(
            Measured(
                "oquab",
                "pointing_with_prediction_map",
                "Global max pooling",
                "mAP",
                paper=("Oquab et al.", "mAP"),
                switch=_switch("oquab"),
            ),
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
            "above the response map's mean; WSDDN's is its best proposal. n counts all trainval "
            f"images; a class stands on the part of them that holds it. {_INTERVAL}"
        ),
        published_on="VOC2007 trainval, VGG16 (SP-VGGNet)",
        measured=(
            *_cor_loc("wsddn", "WSDDN", "WSDDN", _switch("wsddn")),
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
            "all pixels above the map's mean, by which maps of fine grain box nearly the whole "
            f"image. {_INTERVAL}"
        ),
        published_on="ILSVRC2014 val",
        measured=(
            Measured("cam_single", "mean_box_error", "CAM", "error"),
            Measured("c_mwp_single", "mean_box_error", "c-MWP", "error", switch=_SALIENCY),
            Measured("mwp_single", "mean_box_error", "MWP", "error", switch=_SALIENCY),
            Measured("feedback_single", "mean_box_error", "Feedback", "error", switch=_SALIENCY),
            Measured("spn_single", "mean_box_error", "SPN", "error"),
        ),
        default_reason=_OTHER_SYSTEM,
    ),
    Table(
        id="spn-6",
        title="Classification",
        how_to_read=(
            "Top-1 and top-5 error in percent (lower is better) on the single-label track, mean "
            "average precision in percent (higher is better) on the multi-label track. CAM is the "
            "network with global average pooling (GoogLeNetGAP in the paper). With few classes the "
            f"top-5 error says little. {_INTERVAL}"
        ),
        published_on="ILSVRC2014 val, COCO val and VOC2007 test, GoogLeNet",
        measured=(
            *_classification("cam", "CAM", "GoogLeNetGAP"),
            *_classification("spn", "SPN", "SP-GoogLeNetGAP"),
        ),
        default_reason=_OTHER_SYSTEM,
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
        measured=_compared(
            "{spg_network}-GAP",
            "{spg_network}-HaS-32",
            "{spg_network}-ACoL",
            "Backprop on {spg_network}",
        ),
        default_reason=_OTHER_SYSTEM,
        notes=("The paper prints no top-5 error for GoogLeNet-HaS-32.",),
        thresholded=True,
    ),
    Table(
        id="spg-2",
        title="Localization error on CUB-200-2011",
        how_to_read=_LOCALIZATION_READING,
        published_on="CUB-200-2011 test; SPG: Inception-v3",
        measured=_compared("{spg_network}-GAP", "HaS", "ACoL", "Backprop"),
        default_reason=_OTHER_SYSTEM,
        notes=(
            "One single-label data set is measured at a time: Tables 1 and 2 have the same "
            "measured figures beside different published ones.",
            "The paper prints no top-5 error for GoogLeNet-GAP.",
        ),
        thresholded=True,
    ),
    Table(
        id="spg-3",
        title="Localization with another classifier's ranking",
        how_to_read=(
            "Localization and classification error in percent; lower is better. Boxes are SPG's; "
            "the classes are ranked by SPG's own scores, by another classifier, or by the mean of "
            "the probabilities of all those classifiers (ensemble). top-5*: five boxes from the "
            f"best three classes. {_INTERVAL}"
        ),
        published_on="ILSVRC val; SPG: Inception-v3",
        measured=tuple(
            Measured(
                model,
                f"{key}_{kind}_error",
                row,
                f"{column} {kind} error",
                paper=("GoogLeNet-SPG-{ranker}", f"{column} {kind} error"),
                switch="`dvc exp run -S ranking.classifiers=[...]` with ImageNet weights of it",
            )
            for model, row in (("spg", "SPG, own ranking"), ("spg+*", "SPG, ranked by {ranker}"))
            for key, column, kind in (
                ("top1", "top-1", "localization"),
                ("top1", "top-1", "classification"),
                ("top5", "top-5", "localization"),
                ("top5_star", "top-5*", "localization"),
                ("top5", "top-5", "classification"),
            )
        ),
        default_reason="an ensemble of those DPN classifiers",
        thresholded=True,
    ),
    Table(
        id="spg-4",
        title="Localization error with the class known (GT-known)",
        how_to_read=(
            "GT-known error: percent of the images whose predicted box overlaps the object by less "
            "than half (IoU 0.5); lower is better. The class is given; the box surrounds the "
            "largest component above a threshold chosen once for all images. Of Choe et al. (CVPR "
            "2020), higher is better: MaxBoxAcc has the best threshold of the test images "
            "themselves, MaxBoxAccV2 is the mean for IoU 0.3, 0.5 and 0.7 with the best of all "
            "components; PxAP and mask IoU compare pixels, where the data have masks. "
            f"{_INTERVAL}"
        ),
        published_on="ILSVRC val; SPG: Inception-v3; rows marked Sec. 4.3 are from the text",
        measured=(
            *_known_class("cam_single", "GAP", "{spg_network}-GAP"),
            *_known_class("has", "HaS", "{spg_network}-HaS", _switch("has")),
            *_known_class("deconvolution_single", "Deconv", switch=_SALIENCY),
            *_known_class("feedback_single", "Feedback", switch=_SALIENCY),
            *_known_class("mwp_single", "MWP", switch=_SALIENCY),
            *_known_class("c_mwp_single", "c-MWP", switch=_SALIENCY),
            *_known_class("acol", "ACoL", switch=_switch("acol")),
            *_known_class("spn_single", "SPN"),
            *_known_class("spg_plain", "SPG-plain"),
            *_known_class("spg", "SPG"),
        ),
        default_reason="an ensemble of several trainings, not rebuilt",
        not_run={
            "SPG, both B from the attention seeds (Sec. 4.3)": "`dvc exp run -S spg.cascade=false`",
            "SPG, B1 and B2 not shared (Sec. 4.3)": "`dvc exp run -S spg.share_b=false`",
            "SPG without C (Sec. 4.3)": "`dvc exp run -S spg.with_c=false`",
        },
        thresholded=True,
    ),
)

MODELS = ("cam_multi", "cam_single", "spg", "spg_plain", "spn_multi", "spn_single")
"""The models that every run of the pipeline has."""

TWINS = {"spn_multi": "cam_multi", "spn_single": "cam_single", "spg": "spg_plain"}
"""Model -> the same network without the paper's idea, trained by the same budget."""

FURTHER = {
    "has": "evaluate_method@has",
    "acol": "evaluate_method@acol",
    "oquab": "evaluate_method@oquab",
    "wsddn": "evaluate_wsddn",
    "selective_search": "evaluate_proposals@selective_search",
    "edge_boxes": "evaluate_proposals@edge_boxes",
    "rpn": "evaluate_proposals@rpn",
    "saliency_multi": "evaluate_saliency@multi",
    "saliency_single": "evaluate_saliency@single",
    "ranking": "rerank",
}
"""Scores files of the other methods, which may be empty, and the stage that writes each."""

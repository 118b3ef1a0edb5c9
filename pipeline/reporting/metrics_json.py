"""`reports/metrics.json`: the headline values, as DVC shows and compares them on one screen."""

from collections.abc import Iterable

from pipeline.evaluation.protocol.sources import RECOMMENDED
from pipeline.reporting.tables import Scores, absence, find, finite, score

LIMIT = 24
"""What is readable at once; all values stand in reports/tables."""

HEADLINES = {
    "spn_table1_object_energy": ("spn_multi", "object_energy.model"),
    "spn_table1_gaussian": ("spn_multi", "object_energy.gaussian_20"),
    "cam_table2_pointing_all": ("cam_multi", "pointing.all"),
    "spn_table2_pointing_all": ("spn_multi", "pointing.all"),
    "cam_table3_map": ("cam_multi", "pointing_with_prediction_map"),
    "spn_table3_map": ("spn_multi", "pointing_with_prediction_map"),
    "cam_table4_corloc": ("cam_multi", "cor_loc.mean"),
    "spn_table4_corloc": ("spn_multi", "cor_loc.mean"),
    "cam_table5_box_error": ("cam_single", "mean_box_error"),
    "spn_table5_box_error": ("spn_single", "mean_box_error"),
    "cam_table6_map": ("cam_multi", "classification_map"),
    "spn_table6_map": ("spn_multi", "classification_map"),
    "spg_plain_table1_top1_error": ("spg_plain", "top1_localization_error"),
    "spg_table1_top1_error": ("spg", "top1_localization_error"),
    "spg_plain_table4_gt_known_error": ("spg_plain", "gt_known_error"),
    "spg_table4_gt_known_error": ("spg", "gt_known_error"),
}
"""Name of a headline -> model and score. SPN and CAM: tables of SPN; SPG, SPG-plain: of SPG."""

COUNTED = {"pointing.all": "pointing_all", "cor_loc.mean": "trainval"}
"""Score -> the name of what counts its images, where that is not "test"."""

CLASSES_ALONE = ("classification_map",)
"""Headline scores that need no boxes."""

GUIDED = {"spg_guidance_table4_gt_known_error": (RECOMMENDED, "gt_known_error")}
"""Headline of SPG's boxes from `spg.localize_from`, where that is not the attention."""

FURTHER = {
    "table4_gt_known_error": "gt_known_error",
    "table3_map": "pointing_with_prediction_map",
    "table4_corloc": "cor_loc.mean",
    "table1_object_energy": "object_energy",
}
"""Headline of a further method: the first of these that it has a score for, if any."""


DATA_OF = ("cam_multi", "cam_single")
"""Models whose scores tell of the data sets of both tracks."""


def metrics(scores: Scores, further: Iterable[str]) -> dict[str, float]:
    """Return name -> percent with one decimal, for the headlines and one of each `further` model.

    The first `LIMIT` are kept, without those that cannot be had of these images. Images that could
    not be read are counted before them, if there are any.

    Raises:
        InputError: a score is missing or not a finite number.
    """
    found = HEADLINES | (GUIDED if RECOMMENDED in scores else {})
    found |= {
        f"{model}_{name}": (model, key)
        for model in further
        for name, key in _headlines_of(scores, model)[:1]
    }
    skipped = sum(scores.get(model, {}).get("skipped_images", 0) for model in DATA_OF)
    counted = {"skipped_images": float(skipped)} if skipped else {}
    kept = list(found.items())[: LIMIT - len(counted)]
    return counted | {
        name: _percent(scores, model, key)
        for name, (model, key) in kept
        if not absence(scores, model, key, COUNTED.get(key, "test"), key not in CLASSES_ALONE)
    }


def _headlines_of(scores: Scores, model: str) -> list[tuple[str, str]]:
    return [item for item in FURTHER.items() if find(scores, model, item[1]) is not None]


def _percent(scores: Scores, model: str, key: str) -> float:
    value, _, _ = finite(score(scores, model, key), model, key)
    return round(value, 1)

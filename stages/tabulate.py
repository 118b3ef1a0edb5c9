"""Stage `tabulate`: scores and predictions into tables, metrics.json, figures and one page."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.evaluation.localization.predictions import read_predictions
from pipeline.evaluation.protocol.sources import RECOMMENDED, SPG_SOURCES, Source
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.methods.registry import Model
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.reporting import examples
from pipeline.reporting.figures import draw_examples, draw_history, read_history
from pipeline.reporting.html import Picture, write_page
from pipeline.reporting.metrics_json import metrics
from pipeline.reporting.per_class import write_per_class
from pipeline.reporting.readme import write_results
from pipeline.reporting.tables import (
    Scores,
    absence,
    fill,
    read_differences,
    read_scores,
    score,
    write_tables,
)
from pipeline.reporting.twins import compare_twins, write_twins
from stages import run
from stages.paths import REPORTS, history_file, predictions_file, scores_file, split_folder

FIGURES = REPORTS / "figures"
README = Path("README.md")
_BOXES = "Blue: true boxes. Yellow, dashed: the predicted box. Each map has its own scale."


def tabulate(params: Params) -> None:
    """Write tables/, metrics.json, figures/ and index.html into reports/, results into README.md.

    Scores of methods that params.yaml does not list are not looked at.

    Raises:
        InputError: an input is missing or lacks a score; the message names the stage to run.
    """
    models = sorted(registry.models(params), key=lambda model: model.name)
    further = [model.name for model in models if model.entry.listed]
    saliency = [f"saliency_{track}" for track in params.saliency.tracks]
    names = [*(model.name for model in models), *saliency, "compare"]
    scores = read_scores(map(scores_file, names))
    tables = fill(scores, registry.labels(further))
    twins = compare_twins(scores, read_differences(scores_file("compare")))
    aligned = params.input.align_corners
    pictures = [multi_picture(aligned), single_picture(scores, params), history_picture(models)]
    write_tables(tables, REPORTS / "tables")
    write_twins(twins, REPORTS / "tables")
    write_per_class(scores, REPORTS / "tables/per-class.csv")
    write_json(REPORTS / "metrics.json", metrics(scores, further))
    write_page(REPORTS / "index.html", tables, twins, pictures, params.model_dump())
    write_results(README, twins)


def multi_picture(align_corners: bool) -> Picture:
    """Draw the multi-label examples."""
    split = PackedSplit(split_folder("multi", "test"))
    cam, spn = (read_predictions(predictions_file(m), "test") for m in ("cam_multi", "spn_multi"))
    gallery = examples.multi_gallery(examples.choose(split), split.classes, cam, spn, align_corners)
    path = draw_examples(FIGURES / "multi.webp", gallery.columns, gallery.rows)
    alt = "Test pictures, each with CAM's response map, SPN's proposal map and SPN's response map."
    return Picture(path, f"SPN and CAM on {split.name}", alt, f"{examples.RULE} {_BOXES}")


def single_picture(scores: Scores, params: Params) -> Picture:
    """Draw the single-label examples, with each model's own threshold."""
    split = PackedSplit(split_folder("single", "test"))
    plain, spg = (
        (read_predictions(predictions_file(model), "test"), threshold(scores, model))
        for model in ("spg_plain", "spg")
    )
    gallery = examples.single_gallery(
        examples.choose(split),
        split.classes,
        plain,
        spg,
        recommended(scores, params),
        params.input.align_corners,
    )
    path = draw_examples(FIGURES / "single.webp", gallery.columns, gallery.rows)
    alt = "Test pictures, each with the attention maps of SPG-plain and SPG and SPG's branches."
    return Picture(path, f"SPG and SPG-plain on {split.name}", alt, f"{examples.RULE} {_BOXES}")


def recommended(scores: Scores, params: Params) -> tuple[Source, float] | None:
    """Return the source of SPG's recommended boxes and its threshold.

    None: it is the attention, or there were no boxes to choose a threshold by.
    """
    source = params.spg.localize_from
    if source == "attention" or RECOMMENDED not in scores:
        return None
    return SPG_SOURCES[source].source, score(scores, RECOMMENDED, "threshold")


def threshold(scores: Scores, model: str) -> float | None:
    """Return the threshold of a model's boxes; None if there were no boxes to choose it by."""
    absent = absence(scores, model, "threshold", "test", boxes=True)
    found: float | None = None if absent else score(scores, model, "threshold")
    return found


def history_picture(models: Iterable[Model]) -> Picture:
    """Draw the loss of every model that is trained."""
    trained = [model.name for model in models if model.entry.listed != "proposals"]
    curves = {name: read_history(history_file(name)) for name in trained}
    path = draw_history(FIGURES / "history.webp", curves)
    alt = f"Training loss by epoch of {', '.join(trained)}."
    caption = "Mean of each epoch. After SPG's warm-up its loss is a sum with the guidance losses."
    return Picture(path, "Training", alt, caption)


if __name__ == "__main__":
    run(tabulate)

"""Stage `tabulate`: scores and predictions into tables, metrics.json, figures and one page."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.evaluation.localization.predictions import Prediction, read_predictions
from pipeline.evaluation.protocol.sources import RECOMMENDED, SPG_SOURCES, Source
from pipeline.files import write_json
from pipeline.methods import registry
from pipeline.methods.registry import MODELS, Model, Track
from pipeline.packed.record import SPLITS
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.reporting import examples
from pipeline.reporting.figures import draw_examples, read_history
from pipeline.reporting.illustrations.listing import Illustration, read_listing
from pipeline.reporting.metrics_json import metrics
from pipeline.reporting.page.curves import Chart, chart
from pipeline.reporting.page.data_card import DataCard, data_card
from pipeline.reporting.page.environment import environment
from pipeline.reporting.page.galleries import multi_gallery, single_gallery
from pipeline.reporting.page.gallery import Gallery
from pipeline.reporting.page.rendering import Report, write_page
from pipeline.reporting.per_class import write_per_class
from pipeline.reporting.readme import write_results
from pipeline.reporting.tables import (
    Scores,
    absence,
    fill,
    find,
    read_differences,
    read_scores,
    score,
    write_tables,
)
from pipeline.reporting.twins import compare_twins, write_twins
from stages import run
from stages.paths import (
    ILLUSTRATIONS,
    LISTING,
    REPORTS,
    history_file,
    predictions_file,
    scores_file,
    split_folder,
)

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
    differences = read_differences(scores_file("compare"))
    tables = fill(scores, registry.labels(further))
    twins = compare_twins(scores, differences)
    aligned = params.input.align_corners
    report = Report(
        tables=tables,
        differences=differences,
        twins=twins,
        galleries=galleries(scores, params),
        pictures=[multi_picture(aligned), single_picture(scores, params)],
        illustrations=read_listing(LISTING, ILLUSTRATIONS),
        charts=charts(models),
        cards=[card("multi", params.data.multi), card("single", params.data.single)],
        params=params.model_dump(),
        environment=environment(),
    )
    write_tables(tables, REPORTS / "tables")
    write_twins(twins, REPORTS / "tables")
    write_per_class(scores, REPORTS / "tables/per-class.csv")
    write_json(REPORTS / "metrics.json", metrics(scores, further))
    write_page(REPORTS / "index.html", report)
    write_results(README, twins)


def galleries(scores: Scores, params: Params) -> list[Gallery]:
    """Return random test pictures of both tracks with the maps of the models of every run."""
    multi, single = (PackedSplit(split_folder(track, "test")) for track in ("multi", "single"))
    every = [m.name for m in MODELS.values() if m.track == "single" and m.entry.listed is None]
    thresholds = {name: threshold(scores, name) for name in every}
    chosen = recommended(scores, params)
    boxes = chosen and (find(scores, RECOMMENDED, "label"), *chosen)
    return [
        multi_gallery(multi, predictions, params),
        single_gallery(single, predictions, thresholds, boxes, params),
    ]


def predictions(model: str) -> Iterator[Prediction]:
    """Yield the predictions of the test pictures."""
    return read_predictions(predictions_file(model), "test")


def charts(models: Iterable[Model]) -> list[Chart]:
    """Return the losses of every model that is trained, in a chart with its twin's."""
    groups: dict[str, list[Model]] = {}
    for model in sorted(models, key=lambda model: model.twin or ""):  # twins first
        if model.entry.listed != "proposals":
            groups.setdefault(model.twin or model.name, []).append(model)
    titles = {"multi": "several objects", "single": "one object"}
    return [
        chart(
            f"{' and '.join(model.entry.label for model in group)}, {titles[group[0].track]}",
            {model.entry.label: read_history(history_file(model.name)) for model in group},
        )
        for group in groups.values()
    ]


def card(track: Track, source: str) -> DataCard:
    """Return the data-set card of a track, whose pictures come from `source`."""
    splits = {name: PackedSplit(split_folder(track, name)) for name in SPLITS}
    return data_card(track, source, splits)


def multi_picture(align_corners: bool) -> Illustration:
    """Draw the multi-label examples."""
    split = PackedSplit(split_folder("multi", "test"))
    cam, spn = (predictions(model) for model in ("cam_multi", "spn_multi"))
    gallery = examples.multi_gallery(examples.choose(split), split.classes, cam, spn, align_corners)
    path = draw_examples(FIGURES / "multi.webp", gallery.columns, gallery.rows)
    alt = "Test pictures, each with CAM's response map, SPN's proposal map and SPN's response map."
    return Illustration(path, f"SPN and CAM on {split.name}", alt, f"{examples.RULE} {_BOXES}")


def single_picture(scores: Scores, params: Params) -> Illustration:
    """Draw the single-label examples, with each model's own threshold."""
    split = PackedSplit(split_folder("single", "test"))
    plain, spg = ((predictions(model), threshold(scores, model)) for model in ("spg_plain", "spg"))
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
    title = f"SPG and SPG-plain on {split.name}"
    return Illustration(path, title, alt, f"{examples.RULE} {_BOXES}")


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


if __name__ == "__main__":
    run(tabulate)

"""Which methods stand in the galleries, and what is shown of theirs."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.sources import Source
from pipeline.methods.registry import MODELS
from pipeline.packed.store import PackedSplit
from pipeline.params import Params
from pipeline.reporting.page.gallery import (
    Gallery,
    Look,
    Method,
    box_criterion,
    box_view,
    gallery,
    guided_view,
    pointing_criterion,
    pointing_view,
    source_view,
)

Predictions = Callable[[str], Iterable[Prediction]]
"""The name of a model -> its predictions of the test pictures."""


def multi_gallery(split: PackedSplit, predictions: Predictions, params: Params) -> Gallery:
    """Return test pictures of the multi-label track with the maps of CAM and SPN.

    Raises:
        InputError: as `gallery`.
    """
    view = partial(pointing_view, params=params)
    methods = [_method(name, predictions, view) for name in ("cam_multi", "spn_multi")]
    title = f"Several objects: {split.name}"
    criterion, spn = pointing_criterion(params.evaluate), MODELS["spn_multi"].entry.label
    return gallery("several", title, criterion, split, methods, spn, params)


def single_gallery(
    split: PackedSplit,
    predictions: Predictions,
    thresholds: Mapping[str, float | None],
    recommended: tuple[str, Source, float] | None,
    params: Params,
) -> Gallery:
    """Return test pictures of the single-label track with the maps of the models in `thresholds`.

    Args:
        thresholds: of each model's boxes; None: there were no boxes to choose one by.
        recommended: label, source and threshold of SPG's recommended boxes, unless they come from
            its attention.

    Raises:
        InputError: as `gallery`.
    """
    views: dict[str, Look] = {
        name: partial(box_view, threshold=limit) for name, limit in thresholds.items()
    }
    views["spg"] = partial(guided_view, threshold=thresholds["spg"], params=params.spg)
    methods = [_method(name, predictions, view) for name, view in views.items()]
    if recommended:
        label, source, limit = recommended
        view = partial(source_view, threshold=limit, source=source)
        methods.append(_method("spg", predictions, view)._replace(label=label))
    title = f"One object: {split.name}"
    criterion, spg = box_criterion(params.evaluate), MODELS["spg"].entry.label
    return gallery("one", title, criterion, split, methods, spg, params)


def _method(name: str, predictions: Predictions, view: Look) -> Method:
    model = MODELS[name]
    twin = model.twin and MODELS[model.twin].entry.label
    return Method(model.entry.label, twin, predictions(name), view)

"""A trained model, ready for pictures of users."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import InputError
from pipeline.evaluation.localization.inference import own_scores
from pipeline.evaluation.localization.maps import Map
from pipeline.evaluation.localization.predictions import Prediction
from pipeline.evaluation.protocol.answer import Answer
from pipeline.evaluation.protocol.sources import source_of
from pipeline.methods import registry
from pipeline.models.device import compute_device
from pipeline.models.folder import DESCRIPTION, Description, read_description
from pipeline.models.interface import Localization, Localizer
from pipeline.models.recorded import restored
from pipeline.packed.loading import loader
from pipeline.packed.record import Boxes, Record, Task
from pipeline.params import InputParams
from pipeline.prediction.pictures import Pictures, Seen, Source, name_of
from pipeline.prediction.rule import BoxRule, rule_of
from pipeline.processes import lost_workers_told, workers
from pipeline.signals import leave_signals_to_parent

BATCH_SIZE = 32
LEAST_SCORES: dict[Task, float] = {"single": 0.0, "multi": 0.5}
"""Detections with lower scores are left out unless the caller says otherwise."""


@dataclass(frozen=True)
class Detections:
    """What a model finds in a picture, best first; there may be nothing.

    Attributes:
        source: path of the picture, or its number in the call.
        width, height: size of the upright picture, px.
        labels: (n,) int64, each detection's class by its number; none is there twice.
        classes: (n) names of these classes.
        scores: (n,) float32 probabilities in [0, 1].
        boxes_xyxy: (n, 4) float32, half-open [x0, y0, x1, y1) in pixels of the upright picture.
        response_maps: (n, height, width) float32, unbounded: the maps that the boxes are taken
            from, if they were asked for.
        notes: what was done to the picture that its owner may not expect.
    """

    source: str
    width: int
    height: int
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    scores: NDArray[np.float32]
    boxes_xyxy: Boxes
    response_maps: Map | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TrainedModel:
    """A network with its classes, and the rule for its boxes.

    A picture of the single-label track shows one class: the best one is told. On the multi-label
    track each class is told whose probability is high enough. Boxes and scores are those of the
    whole picture; evaluation ranks classes of the single-label track by ten crops where
    `evaluate.ten_crop` says so, which takes ten times as long.
    """

    description: Description
    network: nn.Module
    input: InputParams
    rule: BoxRule

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it knows."""
        return self.description.classes

    def boxes(
        self,
        images: Iterable[Source] | Source,
        min_score: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Detections]:
        """Yield the detections of each picture, in order, without maps.

        Args:
            images: paths, Pillow images or RGB arrays (H, W, 3), or one of them.
            min_score: detections with lower scores are left out; None: as LEAST_SCORES says.

        Raises:
            InputError: a picture cannot be read, or the network gives values that are not finite.
        """
        return self._all(images, min_score, batch_size, maps=False)

    def localize(
        self,
        images: Iterable[Source] | Source,
        min_score: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Detections]:
        """Yield the same as `boxes`, with the map that each is taken from."""
        return self._all(images, min_score, batch_size, maps=True)

    def least_score(self, min_score: float | None) -> float:
        """Return the score that detections must reach; InputError if it is no probability."""
        least = LEAST_SCORES[self.description.track] if min_score is None else min_score
        if not 0 <= least <= 1:
            raise InputError(f"least score {least}: it is a probability, from 0 to 1")
        return least

    def look(
        self, sources: list[Source], least: float, batch_size: int, *, maps: bool
    ) -> Iterator[Detections | InputError]:
        """Yield for each picture its detections, or why it cannot be read; errors as `found_in`.

        Without a GPU each core takes whole pictures, from the file to the box, in a process of its
        own and with a share of the batch: threads of one network would wait for each other, and for
        those that decode. With maps, which are large, one process hands them on picture by picture.
        """
        share = max(1, batch_size // max(1, workers()))
        processes = min(workers(), -(-len(sources) // share))
        if maps or processes < 2 or compute_device().type != "cpu":
            yield from self._looked(sources, least, batch_size, maps)
            return
        shares = _Shares(self, sources, least, share)
        with lost_workers_told():
            # Torch's loader lets a process keep one core busy.
            for found in DataLoader(
                shares, None, num_workers=processes, worker_init_fn=leave_signals_to_parent
            ):
                if isinstance(found, InputError):
                    raise found
                yield from found

    def _looked(
        self, sources: list[Source], least: float, batch_size: int, maps: bool
    ) -> Iterator[Detections | InputError]:
        """Do the same in this process, while others decode the pictures to come."""
        pictures, done = self.pictures(sources), 0
        for batch in _loaded(pictures, batch_size):
            names = [name_of(sources, done + row) for row in range(len(batch.fault))]
            yield from self.found_in(batch, names, least, maps=maps)
            done += len(names)

    def pictures(self, sources: list[Source]) -> Pictures:
        """Return the pictures as the network sees them."""
        return Pictures(sources, self.input.size, self.description.short_side)

    @torch.inference_mode()
    def found_in(
        self, batch: Seen, names: Sequence[str], least: float, *, maps: bool
    ) -> Iterator[Detections | InputError]:
        """Yield for each picture of a batch its detections, or why it could not be read.

        Raises:
            InputError: the network gives values that are not finite, or memory does not suffice.
        """
        found = _localized(self._localizer, batch.image.to(compute_device()))
        scores = _array(self.probabilities(found.logits))
        guidance = {key: _array(own) for key, own in found.guidance.items()}
        for row, (name, own) in enumerate(zip(names, scores, strict=True)):
            if fault := batch.fault[row]:
                yield InputError(fault)
                continue
            chosen = self._chosen(own, least)
            answered = Prediction(
                id=name,
                split="",
                scores=own,
                map_classes=chosen,
                maps=_array(found.response_maps[row][chosen]),
                guidance={key: each[row] for key, each in guidance.items()},
            )
            self._refuse_infinite(answered)
            yield self._detections(answered, batch, row, maps)

    @cached_property
    def _localizer(self) -> Localizer:
        """The network, where it runs."""
        return cast(Localizer, self.network.to(compute_device()))

    def _all(
        self,
        images: Iterable[Source] | Source,
        min_score: float | None,
        batch_size: int,
        *,
        maps: bool,
    ) -> Iterator[Detections]:
        one = isinstance(images, str | PathLike | Image.Image | np.ndarray)
        sources = cast(list[Source], [images] if one else list(cast(Iterable[Source], images)))
        for found in self.look(sources, self.least_score(min_score), batch_size, maps=maps):
            if isinstance(found, InputError):
                raise found
            yield found

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return probabilities (B, C) of the classes."""
        scores = own_scores(logits, self.description.track)
        return scores if self.description.track == "single" else scores.sigmoid()

    def _chosen(self, scores: NDArray[np.float32], least: float) -> NDArray[np.int64]:
        """Return the classes (n,) to tell of, best first."""
        count = 1 if self.description.track == "single" else len(scores)
        classes = np.argsort(-scores, kind="stable")[:count]
        return classes[scores[classes] >= least]

    def _refuse_infinite(self, found: Prediction) -> None:
        values = (found.scores, found.maps, *found.guidance.values())
        if not all(np.isfinite(each).all() for each in values):
            raise InputError(
                f"{found.id}: {self.description.model} gives values that are not finite; its "
                "weights have diverged: train it again at lower learning rates"
            )

    def _detections(self, found: Prediction, batch: Seen, row: int, maps: bool) -> Detections:
        width, height = int(batch.width[row]), int(batch.height[row])  # type: ignore[index]
        boxes, kept = np.zeros((len(found.map_classes), 4), np.float32), []
        for place, label in enumerate(found.map_classes.tolist()):
            own = self._map(found, label, width, height)
            boxes[place] = self.rule.box(own)
            kept += [own] if maps else []
        every = np.reshape(kept, (-1, height, width)).astype(np.float32) if maps else None
        return Detections(
            source=found.id,
            width=width,
            height=height,
            labels=found.map_classes,
            classes=tuple(self.classes[label] for label in found.map_classes.tolist()),
            scores=found.scores[found.map_classes],
            boxes_xyxy=boxes,
            response_maps=every,
            notes=tuple(batch.notes[row].splitlines()),
        )

    def _map(self, found: Prediction, label: int, width: int, height: int) -> Map:
        """Return the map at the picture's size that the box of a class is taken from."""
        none = np.zeros(0)
        record = Record(found.id, b"", width, height, (label,), none, none, none)
        return source_of(self.rule.source)(Answer(found, record, self.input.align_corners))


class _Shares(Dataset[list[Detections | InputError] | InputError]):
    """What a model finds in the pictures, `size` at a time; or why it cannot go on."""

    def __init__(self, model: TrainedModel, sources: list[Source], least: float, size: int) -> None:
        self._model, self._sources, self._least, self._size = model, sources, least, size
        self._pictures = model.pictures(sources)

    def __len__(self) -> int:
        return -(-len(self._sources) // self._size)

    def __getitem__(self, number: int) -> list[Detections | InputError] | InputError:
        places = range(len(self._sources))[number * self._size :][: self._size]
        images, *told = zip(*(self._pictures[place] for place in places), strict=True)
        # As torch's loader would, which takes shared memory for it.
        batch = Seen(torch.stack(images), *told)  # type: ignore[arg-type]
        names = [name_of(self._sources, place) for place in places]
        try:
            return list(self._model.found_in(batch, names, self._least, maps=False))
        except InputError as error:
            return error


def _array(values: Tensor) -> NDArray[np.float32]:
    """Return the values in this machine's memory."""
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array


def _localized(localizer: Localizer, images: Tensor) -> Localization:
    try:
        return localizer.localize(images)
    except torch.OutOfMemoryError:
        raise InputError(
            f"the GPU's memory does not hold {len(images)} pictures; take fewer at a time "
            "(--batch-size)"
        ) from None


def _loaded(pictures: Pictures, batch_size: int) -> Iterator[Seen]:
    """Yield batches of pictures; InputError if the system ends a process that decodes them."""
    with lost_workers_told():
        if len(pictures):
            yield from loader(pictures, batch_size)


def load(
    path: str | PathLike[str], threshold: float | None = None, boxes_from: str | None = None
) -> TrainedModel:
    """Return the model in the folder `path`, which training has written.

    Args:
        threshold: of its boxes, a share of a map's range; None: see `pipeline.prediction.rule`.
        boxes_from: the map that they are taken from, a value of `spg.localize_from`; None: see
            there too.

    Raises:
        InputError: a file is missing, damaged, of another version or of a model without maps, the
            threshold is out of range, or the model has no such map.
    """
    folder = Path(path)
    description = read_description(folder)
    model = registry.MODELS.get(description.model)
    if model is None or model.entry.listed == "proposals":
        raise InputError(
            f"{folder / DESCRIPTION}: model {description.model!r} is none that this version of the "
            "pipeline trains; use the version that wrote it"
        )
    method = registry.method(model.name)
    try:
        params = restored(description.parameters, method.keys)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(("parameters", *map(str, problem["loc"])))
        raise InputError(
            f"{folder / DESCRIPTION}: damaged ({key}: {problem['msg']}); restore the file, or "
            "train the model again"
        ) from None
    network = method.trained(folder, len(description.classes), params, model.stage("train"))
    if not hasattr(network, "localize"):
        raise InputError(
            f"{folder}: {model.entry.label} has no maps of classes to take boxes from; name the "
            "folder of another model (docs/use.md tells which)"
        )
    rule = rule_of(folder, description, threshold, boxes_from)
    return TrainedModel(description, network, params.input, rule)

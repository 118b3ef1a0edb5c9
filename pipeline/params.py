"""The schema of params.yaml: every key, its type and its range; nothing else is accepted.

Read as YAML 1.2, as DVC reads it: `1e-05` is a number and `on` is a string.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError
from pipeline.methods import registry

Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


def _ascending(values: list[float]) -> list[float]:
    if values != sorted(values):
        raise ValueError("the first must not exceed the second")
    return values


def _with_the_whole(scales: list[float]) -> list[float]:
    if 1.0 not in scales or len(set(scales)) < len(scales):
        raise ValueError("1.0 must be among them, and none twice")
    return scales


SizeRange = Annotated[
    list[Annotated[float, Field(gt=0, le=1)]],
    Field(min_length=2, max_length=2),
    AfterValidator(_ascending),
]


def _unique(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value} is listed {values.count(value)} times")
    return values


_Item = TypeVar("_Item")
Unique = Annotated[list[_Item], AfterValidator(_unique)]


def _known(kind: Literal["methods", "proposals"]) -> Callable[[list[str]], list[str]]:
    """Return a check that names are those of the registry for the list `kind`."""

    def check(names: list[str]) -> list[str]:
        known = registry.listed(kind)
        for name in names:
            if name not in known:
                raise ValueError(f"{name} is none of {', '.join(known)}")
        return names

    return check


class Section(BaseModel):
    """A block of params.yaml: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DataParams(Section):
    """Which data set each track uses, and how real photographs are split and stored."""

    multi: str
    single: str
    val_fraction: Annotated[float, Field(ge=0, lt=1)]
    short_side: Annotated[int, Field(ge=32)]
    ilsvrc_blacklist: bool
    skip_corrupt: Annotated[int, Field(ge=0)]


class CutoutsParams(Section):
    """Composition of the embedded `cutouts` scenes."""

    scene_size: Annotated[int, Field(ge=64, le=1024)]
    train_scenes: Count
    val_scenes: Count
    test_scenes: Count
    multi_size: SizeRange
    single_size: SizeRange
    difficult_size: Fraction
    context_bias: Fraction
    clutter: Fraction


class FolderParams(Section):
    """The user's own pictures, `data.*: folder`."""

    test_fraction: OpenFraction
    pixels: Literal["from-0", "from-1", "half-open"]


Normalisation = Literal["own", "imagenet"]


class BackboneParams(Section):
    """The feature extractor shared by every network."""

    name: str
    output_stride: Count
    last: Literal["stage", "head"]
    frozen_stages: Annotated[int, Field(ge=0)]
    freeze_statistics: bool
    normalisation: Normalisation
    standardise: bool


Precision = Literal["fp32", "tf32", "bf16"]


class TrainParams(Section):
    """One training schedule (SGD with two learning-rate groups)."""

    epochs: Count
    batch_size: Count
    learning_rate: Positive
    added_learning_rate: Positive
    bias_rate: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: NonNegative
    max_gradient_norm: Positive
    decay_epochs: list[Count]
    decay_factor: OpenFraction
    precision: Precision
    compile: bool

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, others: ValidationInfo) -> bool:
        if nesterov and not others.data.get("momentum", 1):
            raise ValueError("needs a momentum above 0")
        return nesterov


class PretrainParams(Section):
    """Where the backbone's first weights come from, and a picture that they must know."""

    source: Literal["package", "file", "hub", "scratch"]
    file: str
    sha256: str
    check_picture: str
    check_class: Annotated[int, Field(ge=0)]
    train: TrainParams


class InputParams(Section):
    """Image size and augmentation, and how maps are resized to the image."""

    size: Annotated[int, Field(ge=32)]
    margin: Annotated[int, Field(ge=0)]
    flip: bool
    align_corners: bool


class ProposalMapParams(Section):
    """What is made of the proposal map beyond the paper."""

    border_correction: bool
    sharpness: Positive


class SpnParams(ProposalMapParams):
    """Soft Proposal Network."""

    convolution: bool
    channels: Count
    groups: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    solver: Literal["stationary", "power"]
    max_iterations: Count
    tolerance: NonNegative
    epsilon: Positive
    epsilon_relative_to: Literal["side", "area"]
    differentiate_through_m: bool
    train_multi: TrainParams
    train_single: TrainParams

    @field_validator("groups")
    @classmethod
    def _divide_channels(cls, groups: int, others: ValidationInfo) -> int:
        channels = others.data.get("channels", 0)
        if channels % groups:
            raise ValueError(f"groups {groups} must divide channels {channels}")
        return groups

    def schedule(self, track: str) -> TrainParams:
        """Return the schedule of a track: "multi" or "single"."""
        schedules = {"multi": self.train_multi, "single": self.train_single}
        if track not in schedules:
            raise InputError(f"track {track!r} is none of {', '.join(schedules)}")
        return schedules[track]


class MaskThresholds(Section):
    """Thresholds of Eq. (1): background below delta_l, foreground above delta_h."""

    delta_h: OpenFraction
    delta_l: OpenFraction

    @field_validator("delta_l")
    @classmethod
    def _low_below_high(cls, delta_l: float, others: ValidationInfo) -> float:
        delta_h = others.data.get("delta_h", 1)
        if delta_l >= delta_h:
            raise ValueError(f"delta_l {delta_l} must be below delta_h {delta_h}")
        return delta_l


class SpgParams(MaskThresholds):
    """Self-produced Guidance; its own delta_h and delta_l are the seed thresholds."""

    b1: MaskThresholds
    c: MaskThresholds
    channels: Count
    guidance_channels: Count
    min_foreground: Annotated[int, Field(ge=0)]
    fallback: OpenFraction
    balance_labels: bool
    detach_branches: bool
    cascade: bool
    share_b: bool
    with_c: bool
    c_convolutions: Literal[1, 2]
    localize_from: Literal["attention", "b2", "b1", "b", "c", "attention+b"]
    warmup_epochs: Annotated[int, Field(ge=0)]
    train: TrainParams

    @field_validator("localize_from")
    @classmethod
    def _branch_is_there(cls, source: str, others: ValidationInfo) -> str:
        if source == "c" and not others.data.get("with_c", True):
            raise ValueError("with_c: false leaves branch C out: choose another source")
        return source


class HasParams(Section):
    """Hide-and-Seek."""

    patch: Count
    probability: Fraction


class AcolParams(Section):
    """Adversarial Complementary Learning."""

    erase_above: OpenFraction
    pooling: Literal[1, 3]


class AdlParams(Section):
    """Attention-based Dropout Layer."""

    drop_rate: Fraction
    threshold: OpenFraction


class OquabParams(Section):
    """Global max pooling: the head and schedule of the CAM twin, nothing of its own."""


class SpgOracleParams(Section):
    """SPG taught with boxes: the network and schedule of SPG, nothing of its own."""


class WsddnParams(Section):
    """Weakly supervised deep detection network."""

    boxes: Count
    grid: Count
    hidden: Count
    train: TrainParams


class EdgeBoxesParams(Section):
    """EdgeBoxes."""

    boxes: Count


class RpnParams(Section):
    """The supervised region proposal network."""

    boxes: Count
    train: TrainParams


class RankingParams(Section):
    """Classifiers whose ranking of the classes replaces SPG's own."""

    classifiers: Unique[str]
    fine_tune: bool
    train: TrainParams


SaliencyMethod = Literal[
    "gradient",
    "deconvolution",
    "guided_backpropagation",
    "lrp",
    "grad_cam",
    "mwp",
    "c_mwp",
    "feedback",
]


class SaliencyMethods(Section):
    """What is asked of the CAM network of each track."""

    multi: Annotated[Unique[SaliencyMethod], Field(min_length=1)]
    single: Annotated[Unique[SaliencyMethod], Field(min_length=1)]


class SaliencyParams(Section):
    """Maps of the trained CAM networks by other methods."""

    tracks: Unique[Literal["multi", "single"]]
    methods: SaliencyMethods
    excitation_layer: str
    grad_cam_layer: str
    smoothing: Annotated[float, Field(ge=0, lt=1)]
    feedback_iterations: Count


class EvaluateParams(Section):
    """The protocol."""

    batch_size: Count
    resamples: Count
    pointing_rule: Literal["box", "disc"]
    pointing_tolerance: NonNegative
    prediction_tolerance: NonNegative
    difficult_from: Annotated[str, Field(min_length=1)]
    scales: Annotated[list[Positive], AfterValidator(_with_the_whole)]
    threshold_from: Literal["val", "test"]
    ten_crop: bool

    @property
    def difficult_list(self) -> Path | None:
        """The list file of the difficult subset; None: the rule of SPN Sec. 4.2."""
        return None if self.difficult_from == "rule" else Path(self.difficult_from)


class Params(Section):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    deterministic: bool
    data: DataParams
    cutouts: CutoutsParams
    folder: FolderParams
    backbone: BackboneParams
    pretrain: PretrainParams
    input: InputParams
    spn: SpnParams
    spg: SpgParams
    methods: Annotated[Unique[str], AfterValidator(_known("methods"))]
    proposals: Annotated[Unique[str], AfterValidator(_known("proposals"))]
    has: HasParams
    acol: AcolParams
    adl: AdlParams
    oquab: OquabParams
    spg_oracle: SpgOracleParams
    spn_corrected: ProposalMapParams
    wsddn: WsddnParams
    edge_boxes: EdgeBoxesParams
    rpn: RpnParams
    ranking: RankingParams
    saliency: SaliencyParams
    evaluate: EvaluateParams

    @model_validator(mode="after")
    def _thresholds_have_images(self) -> Self:
        if self.data.val_fraction == 0 and self.evaluate.threshold_from == "val":
            raise ValueError(
                "data.val_fraction 0 holds out no images: evaluate.threshold_from must be test"
            )
        return self


def load(path: Path) -> Params:
    """Return the validated content of `path`.

    Raises:
        InputError: the file is missing or no YAML, or keys are unknown, missing, of the wrong
            type or out of range; one message lists them all.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text())
        return Params.model_validate(content)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run from the root of the repository") from None
    except YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {_describe(error)}") from None


def _describe(error: ValidationError) -> str:
    """One line for each bad key, with its value where that helps."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        value = problem["input"]
        shown = "" if isinstance(value, dict | BaseModel) else f" (got {value!r})"
        lines.append(f"  {key}: {problem['msg']}{shown}")
    return f"{len(lines)} bad parameter(s)\n" + "\n".join(lines)

"""The methods by name: a new one is a file beside this, a line here and its section of params.yaml.

Nothing is imported before it is asked for: a stage reads the files of its own method and no others,
which is what `deps` in dvc.yaml rest on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipeline.errors import InputError, unlisted

if TYPE_CHECKING:
    from pipeline.models.interface import Method
    from pipeline.params import Params

Track = Literal["multi", "single"]


@dataclass(frozen=True)
class Entry:
    """A line of the registry.

    Attributes:
        module: below `pipeline.methods`; it has the method as `METHOD`.
        label: its name in the tables.
        tracks: those that it is run on.
        listed: the list of params.yaml that it is run by; None: it belongs to every run.
        twin: the method without its idea, by the same budget, that it is compared with.
    """

    module: str
    label: str
    tracks: tuple[Track, ...]
    listed: Literal["methods", "proposals"] | None = None
    twin: str | None = None


_BOTH: tuple[Track, ...] = ("multi", "single")

METHODS: dict[str, Entry] = {
    "cam": Entry("bases.cam", "CAM", _BOTH),
    "spn": Entry("bases.spn.network", "SPN", _BOTH, twin="cam"),
    "spg_plain": Entry("bases.spg_plain", "SPG-plain", ("single",)),
    "spg": Entry("bases.spg.objective", "SPG", ("single",), twin="spg_plain"),
    "has": Entry("has", "HaS", ("single",), "methods", twin="cam"),
    "acol": Entry("acol", "ACoL", ("single",), "methods", twin="spg_plain"),
    "adl": Entry("adl", "ADL", ("single",), "methods", twin="cam"),
    "oquab": Entry("oquab", "Global max pooling", ("multi",), "methods", twin="cam"),
    "spn_corrected": Entry(
        "spn_corrected", "SPN, border-corrected", ("multi",), "methods", twin="cam"
    ),
    "spg_oracle": Entry(
        "spg_oracle", "oracle: SPG, C taught with boxes", ("single",), "methods", twin="spg_plain"
    ),
    "wsddn": Entry("wsddn", "WSDDN", ("multi",), "methods"),
    "rpn": Entry("rpn", "RPN (supervised)", ("multi",), "methods"),
    "selective_search": Entry("selective_search", "Selective Search", ("multi",), "proposals"),
    "edge_boxes": Entry("edge_boxes", "EdgeBoxes", ("multi",), "proposals"),
}


class Model(NamedTuple):
    """A method on a track: what is trained and scored. `name` is that of its files."""

    name: str
    method: str
    track: Track

    @property
    def entry(self) -> Entry:
        """The method's line."""
        return METHODS[self.method]

    @property
    def twin(self) -> str | None:
        """Name of the model that it is compared with."""
        twin = self.entry.twin
        return twin and model_name(twin, self.track)

    def stage(self, verb: Literal["train", "evaluate"]) -> str:
        """Return the name of its stage: "train_spn@multi", "evaluate_method@has"."""
        if self.entry.listed == "proposals":
            return f"evaluate_proposals@{self.name}"
        if self.entry.listed:
            return f"{verb}_method@{self.name}"
        item = f"@{self.track}" if len(self.entry.tracks) > 1 else ""
        return f"{verb}_{self.method}{item}"

    def load(self) -> Any:
        """Import its method: a `Method`, for lists of proposals a function of one image."""
        return import_module(f"pipeline.methods.{self.entry.module}").METHOD


def model_name(method: str, track: Track) -> str:
    """Return "spn_multi" of a method of both tracks, "has" of one that has a single track."""
    return f"{method}_{track}" if len(METHODS[method].tracks) > 1 else method


MODELS: dict[str, Model] = {
    model.name: model
    for method, entry in METHODS.items()
    for model in (Model(model_name(method, track), method, track) for track in entry.tracks)
}


def listed(kind: Literal["methods", "proposals"]) -> list[str]:
    """Return the names that the list `kind` of params.yaml may hold."""
    return [name for name, entry in METHODS.items() if entry.listed == kind]


def models(params: "Params") -> list[Model]:
    """Return the models of a run: those of every run, then the listed ones."""
    asked = {*params.methods, *params.proposals}
    return [m for m in MODELS.values() if m.entry.listed is None or m.method in asked]


def find(name: str, params: "Params") -> Model:
    """Return the model called `name`, which is trained.

    Raises:
        InputError: there is none, or params.yaml does not list it.
    """
    return _find(name, [m for m in MODELS.values() if m.entry.listed != "proposals"], params)


def proposer(name: str, params: "Params") -> Model:
    """Return the method called `name`, which proposes without learning; errors as `find`."""
    return _find(name, [m for m in MODELS.values() if m.entry.listed == "proposals"], params)


def _find(name: str, among: list[Model], params: "Params") -> Model:
    known = {model.name: model for model in among}
    if name not in known:
        raise InputError(f"model {name!r} is none of {', '.join(known)}")
    model = known[name]
    if model not in models(params):
        raise unlisted(name, str(model.entry.listed))
    return model


def method(name: str) -> "Method":
    """Return what trains and builds the model `name`."""
    found: Method = MODELS[name].load()
    return found


def labels(names: Iterable[str]) -> dict[str, str]:
    """Return the label of each model."""
    return {name: MODELS[name].entry.label for name in names}

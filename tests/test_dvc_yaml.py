"""dvc.yaml says what runs on what: it must agree with the code and with params.yaml."""

import re

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY
from tools.dvc_deps import OURS, file_of, module_of, sources_of

DVC = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")
PARAMS = YAML(typ="safe").load(REPOSITORY / "params.yaml")
STAGES = DVC["stages"]


def entries(stage, kind):
    """Names listed under `kind`, without their options."""
    return [next(iter(e)) if isinstance(e, dict) else e for e in stage.get(kind, [])]


def expanded(stage, text):
    """`text` for each item of the stage's matrix."""
    if "matrix" not in stage:
        return [text]
    ((key, items),) = stage["matrix"].items()
    return [text.replace(f"${{item.{key}}}", item) for item in items]


INSTANCES = {
    each
    for name, stage in STAGES.items()
    for each in expanded(
        stage, "".join([name, *(f"@${{item.{k}}}" for k in stage.get("matrix", ()))])
    )
}
"""What `dvc repro` can be asked for: a matrix stage for each item."""


@pytest.mark.parametrize("name", STAGES)
def test_the_source_files_of_a_stage_are_those_it_imports(name):
    listed = {d for d in entries(STAGES[name], "deps") if d.endswith(".py")}
    assert listed == sources_of(module_of(STAGES[name]))


@pytest.mark.parametrize("name", STAGES)
def test_a_command_is_constant_but_for_the_item_of_the_matrix(name):
    stage = STAGES[name]
    assert file_of(module_of(stage))
    assert "stages/run" in entries(stage, "deps")
    holes = set(re.findall(r"\$\{([^}]*)\}", str(stage)))
    assert holes <= {f"item.{key}" for key in stage.get("matrix", {})}


def test_every_other_dependency_is_an_out_of_a_stage_or_a_file_of_the_repository():
    outs = {
        path
        for stage in STAGES.values()
        for kind in ("outs", "metrics")
        for out in entries(stage, kind)
        for path in expanded(stage, out)
    }
    for name, stage in STAGES.items():
        for dep in (d for entry in entries(stage, "deps") for d in expanded(stage, entry)):
            made = any(dep == out or dep.startswith(f"{out}/") for out in outs)
            assert made or (REPOSITORY / dep).is_file(), f"{name}: {dep} comes from nowhere"


def leaves(block, prefix=""):
    """Dotted keys of the values of a nested mapping."""
    for key, value in block.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def parameters(stage):
    """The keys and sections that a stage lists; of a whole file all its sections."""
    listed = entries(stage, "params")
    whole = list(PARAMS) if "params.yaml" in listed else []
    keys = [key for key in listed if key != "params.yaml"]
    return whole + [key for entry in keys for key in expanded(stage, entry)]


def read_by(stage, keys):
    """The keys that a stage lists, alone or by their section."""
    listed = parameters(stage)
    return {k for k in keys if any(k == e or k.startswith(f"{e}.") for e in listed)}


def test_every_parameter_is_read_by_a_stage_before_the_report():
    keys = set(leaves(PARAMS))
    stages = (stage for name, stage in STAGES.items() if name != "tabulate")
    assert set().union(*(read_by(stage, keys) for stage in stages)) == keys


@pytest.mark.parametrize("name", STAGES)
def test_every_listed_parameter_exists(name):
    for entry in parameters(STAGES[name]):
        block = PARAMS
        for part in entry.split("."):
            assert part in block, f"{entry} is not in params.yaml"
            block = block[part]


def retrained_by(key):
    return {name for name, stage in STAGES.items() if key in read_by(stage, {key})}


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("spg.delta_h", {"train_spg"}),
        ("spg.guidance_channels", {"train_spg", "evaluate_spg"}),
        ("spn.epsilon", {"train_spn", "evaluate_spn"}),
        (
            "evaluate.ten_crop",
            {"classify"}
            | {n for n in STAGES if n.startswith("evaluate")}
            - {"evaluate_proposals", "evaluate_twins"},
        ),
        ("methods.wsddn", {"propose", "train_wsddn", "evaluate_wsddn"}),
        ("saliency.excitation_layer", {"evaluate_saliency"}),
    ],
)
def test_a_parameter_reruns_only_the_stages_it_concerns(key, stages):
    assert retrained_by(key) - {"tabulate"} == stages


def test_every_stage_that_an_error_names_exists():
    files = [file for folder in OURS for file in (REPOSITORY / folder).rglob("*.py")]
    pattern = re.compile(r"`dvc repro (?:-f )?(\w[\w@]*)`")
    named = {name for file in files for name in pattern.findall(file.read_text())}
    assert named
    assert named <= set(STAGES) | INSTANCES


def test_plots_show_histories_that_are_outs():
    outs = {p for s in STAGES.values() for out in entries(s, "outs") for p in expanded(s, out)}
    for plot in DVC["plots"]:
        (settings,) = plot.values()
        assert set(settings["y"]) <= outs

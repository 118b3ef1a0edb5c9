"""dvc.yaml says what runs on what: it must agree with the code and with params.yaml."""

import ast
import re
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import pytest
from dvc.fs import LocalFileSystem
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.methods import registry
from pipeline.models.recorded import SECTIONS
from tests.conftest import REPOSITORY

DVC = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")
DVC["stages"].pop("look_again")  # runs no code of ours; tests/stages/test_look_again.py
PARAMS = YAML(typ="safe").load(REPOSITORY / "params.yaml")
STAGES = DVC["stages"]
OURS = ("pipeline", "stages")
PLUMBING = (
    "pipeline/__init__.py",
    "pipeline/distributed.py",
    "pipeline/errors.py",
    "pipeline/disk.py",
    "pipeline/files.py",
    "pipeline/folders.py",
    "pipeline/locks.py",
    "pipeline/fingerprint.py",
    "pipeline/processes.py",
    "pipeline/params.py",
    "pipeline/workspace.py",
    "pipeline/checksum.py",
    "pipeline/progress.py",
    "pipeline/signals.py",
    "pipeline/methods/__init__.py",
    "pipeline/methods/registry.py",
    "stages/__init__.py",
    "stages/paths.py",
)
"""What stages import, but no result depends on."""
LISTS = {
    "${methods}": registry.listed("methods"),
    "${proposals}": registry.listed("proposals"),
    "${saliency.tracks}": ["multi", "single"],
    "${ranking.classifiers}": ["resnet50"],
}
"""What the lists of params.yaml may hold."""


def entries(stage, kind):
    """Names listed under `kind`, without their options."""
    return [next(iter(e)) if isinstance(e, dict) else e for e in stage.get(kind, [])]


def items(stage):
    """The items of a stage's matrix: {} for a stage without one."""
    matrix = stage.get("matrix", {})
    choices = [LISTS[found] if isinstance(found, str) else found for found in matrix.values()]
    return [dict(zip(matrix, chosen, strict=True)) for chosen in product(*choices)]


def filled(text, item):
    """`text` for one item of a matrix."""
    for key, value in item.items():
        text = text.replace(f"${{item.{key}}}", value)
    return text


def expanded(stage, text):
    """`text` for each item of the stage's matrix."""
    return [filled(text, item) for item in items(stage)]


INSTANCES = {
    "@".join([name, *item.values()]): (stage, item)
    for name, stage in STAGES.items()
    for item in items(stage)
}
"""What `dvc repro` can be asked for, were all methods listed: a matrix stage for each item."""


def file_of(module):
    """The source of one of our modules, from the root of the repository; None if there is none."""
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((c for c in candidates if (REPOSITORY / c).is_file()), None)


def imported_by(file):
    """What `file` imports from our packages; some names may be functions and no modules."""
    names = set()
    for node in ast.walk(ast.parse((REPOSITORY / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}: import by the full name"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] in OURS}


def sources_of(modules):
    """Every source file that runs when `modules` are imported; plumbing is not looked into."""
    found, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        file = file_of(name)
        if file is None or str(file) in found:
            continue
        found.add(str(file))
        if str(file) not in PLUMBING:
            parts = name.split(".")
            waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
            waiting += imported_by(file)
    return found


def modules_of(stage, item):
    """The modules that a stage of dvc.yaml runs: its own, and that of its method."""
    command = re.fullmatch(r"sh stages/run (\w+)(?: (\S+))?", filled(stage["cmd"], item))
    assert command, stage["cmd"]
    modules = [f"stages.{command[1]}"]
    if command[2] in registry.MODELS:
        modules.append(f"pipeline.methods.{registry.MODELS[command[2]].entry.module}")
    if command[1] == "evaluate_saliency":
        modules.append(f"pipeline.methods.{registry.METHODS['cam'].module}")
    return modules


def source_deps(stage, item):
    deps = [filled(dep, item) for dep in entries(stage, "deps")]
    return [dep for dep in deps if dep.split("/")[0] in OURS]


@pytest.mark.parametrize("name", INSTANCES)
def test_the_source_deps_of_a_stage_are_what_it_imports(name):
    stage, item = INSTANCES[name]
    deps = source_deps(stage, item)
    imported = sources_of(modules_of(stage, item)) - set(PLUMBING)

    def covers(dep, file):
        return file == dep or file.startswith(f"{dep}/")

    missing = {f for f in imported if not any(covers(dep, f) for dep in deps)}
    empty = "pipeline/*/__init__.py"
    assert {f for f in missing if not fnmatch(f, empty) or imported_by(f)} == set()
    # A matrix over methods has the deps of all of them.
    others = (sources_of(modules_of(stage, other)) for other in items(stage))
    used = set().union(*others) if stage.get("matrix") else imported
    assert [dep for dep in deps if not any(covers(dep, file) for file in used)] == []


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_six_source_deps_at_most(name):
    assert all(len(source_deps(STAGES[name], item)) <= 6 for item in items(STAGES[name]))


def test_dvc_yaml_and_its_lock_can_be_read():
    assert len((REPOSITORY / "dvc.yaml").read_text().splitlines()) <= 300
    lock = REPOSITORY / "dvc.lock"
    assert not lock.exists() or lock.stat().st_size <= 70_000


def test_what_a_killed_process_leaves_is_no_part_of_an_out(tmp_path):
    """Folders of outs are dependencies: one more file in them would be another state."""
    (tmp_path / ".dvcignore").write_text((REPOSITORY / ".dvcignore").read_text())
    folder = tmp_path / "data/packed"
    folder.mkdir(parents=True)
    left = (
        ".multi.lock",
        ".multi.parts/1/a",
        ".multi.7.part/a",
        ".multi.7.old/a",
        ".a.arrow.7.part",
    )
    for name in ("multi/a.arrow", *left):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (tmp_path / ".dvc").mkdir()
    found = Repo(tmp_path, uninitialized=True).dvcignore.find(LocalFileSystem(), str(folder))
    assert [Path(path).name for path in found] == ["a.arrow"]


def test_only_the_registry_imports_by_name():
    dynamic = re.compile(r"import_module|__import__")
    files = [file for folder in OURS for file in (REPOSITORY / folder).rglob("*.py")]
    found = {file.name for file in files if dynamic.search(file.read_text())}
    assert found == {"registry.py"}


@pytest.mark.parametrize("model", registry.MODELS.values(), ids=str)
def test_a_model_is_made_by_the_stages_that_it_names(model):
    stage, item = INSTANCES[model.stage("evaluate")]
    assert f"data/scores/{model.name}.json" in [filled(o, item) for o in entries(stage, "outs")]
    if model.entry.listed != "proposals":
        stage, item = INSTANCES[model.stage("train")]
        assert f"data/models/{model.name}" in [filled(o, item) for o in entries(stage, "outs")]


@pytest.mark.parametrize("name", STAGES)
def test_a_command_is_constant_but_for_the_item_of_the_matrix(name):
    stage = dict(STAGES[name])
    assert file_of(modules_of(stage, items(stage)[0])[0])
    keys = stage.pop("matrix", {})
    assert set(re.findall(r"\$\{([^}]*)\}", str(stage))) <= {f"item.{key}" for key in keys}


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
            made = any(
                dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/") for out in outs
            )
            assert made or (REPOSITORY / dep).exists(), f"{name}: {dep} comes from nowhere"


@pytest.mark.parametrize("model", registry.MODELS.values(), ids=str)
def test_what_a_trained_model_tells_of_its_parameters_trains_and_evaluates_it_anew(model):
    if model.entry.listed != "proposals":
        for verb in ("train", "evaluate"):
            stage, item = INSTANCES[model.stage(verb)]
            listed = [filled(key, item) for key in entries(stage, "params")]
            for key in ("seed", *SECTIONS, *model.load().keys):
                assert any(key == own or key.startswith(f"{own}.") for own in listed), key


def leaves(block, prefix=""):
    """Dotted keys of the values of a nested mapping."""
    for key, value in block.items():
        if isinstance(value, dict) and value:
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
    keys = set(leaves(PARAMS)) - {"saliency.tracks"}  # the matrix of evaluate_saliency
    stages = (stage for name, stage in STAGES.items() if name not in ("illustrate", "tabulate"))
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


METHOD = {"train_method", "evaluate_method"}
"""Of what params.yaml lists, which is nothing by default: they may read all of `spn` and `spg`."""


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("spg.delta_h", {"train_spg"} | METHOD),
        ("spg.balance_labels", {"train_spg"} | METHOD),
        ("spg.localize_from", {"compare"} | METHOD),
        ("spg.guidance_channels", {"train_spg", "evaluate_spg"} | METHOD),
        ("spn.epsilon", {"train_spn", "evaluate_spn"} | METHOD),
        ("spn.sharpness", {"train_spn", "evaluate_spn"} | METHOD),
        ("spn_corrected.sharpness", METHOD),
        (
            "evaluate.ten_crop",
            {"classify"} | {n for n in STAGES if n.startswith("evaluate")} - {"evaluate_proposals"},
        ),
        ("wsddn.boxes", METHOD),
        (
            "evaluate.difficult_from",
            {"download", "compare"}
            | {n for n in STAGES if n.startswith("evaluate")} - {"evaluate_proposals"},
        ),
        ("saliency.excitation_layer", {"evaluate_saliency"}),
    ],
)
def test_a_parameter_reruns_only_the_stages_it_concerns(key, stages):
    assert retrained_by(key) - {"illustrate", "tabulate"} == stages


def test_every_stage_that_an_error_names_exists():
    files = [file for folder in OURS for file in (REPOSITORY / folder).rglob("*.py")]
    pattern = re.compile(r"`dvc repro (?:-f )?(\w[\w@]*)`")
    named = {name for file in files for name in pattern.findall(file.read_text())}
    assert named
    assert named <= set(STAGES) | set(INSTANCES)


def test_plots_show_histories_of_models_and_pictures_that_are_outs():
    outs = {p for s in STAGES.values() for out in entries(s, "outs") for p in expanded(s, out)}
    curves = [plot for plot in DVC["plots"] if isinstance(plot, dict)]
    for plot in curves:
        (settings,) = plot.values()
        assert {str(Path(path).parent) for path in settings["y"]} <= outs
    assert {plot for plot in DVC["plots"] if plot not in curves} <= outs

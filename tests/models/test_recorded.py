"""What is recorded of a network's parameters builds it again, and nothing else gets through."""

import pytest
from pydantic import ValidationError

from pipeline.methods import registry
from pipeline.models.backbones import Backbone
from pipeline.models.recorded import recorded, restored
from pipeline.params import Params
from tests.parameters import changed

TRAINED = [name for name, model in registry.MODELS.items() if model.entry.listed != "proposals"]
KEYS = ("spn.channels", "spn.groups", "adl")


@pytest.fixture
def values(quick: Params) -> dict[str, dict[str, object]]:
    return recorded(quick, KEYS)


def test_only_what_decides_the_network_is_recorded(quick: Params, values: object) -> None:
    content = quick.model_dump()
    assert values == {
        "backbone": content["backbone"],
        "input": content["input"],
        "spn": {"channels": 16, "groups": 2},
        "adl": content["adl"],
    }
    other = changed(quick, spn__dropout=0.1, spn__train_multi__epochs=7, spg__delta_h=0.9)
    assert recorded(other, KEYS) == values


@pytest.mark.parametrize("model", TRAINED)
def test_the_keys_of_a_method_build_its_network(quick: Params, model: str) -> None:
    method = registry.method(model)
    own = restored(recorded(quick, method.keys), method.keys)
    shapes = [
        {name: value.shape for name, value in network.state_dict().items()}
        for network in (method.network(Backbone(p.backbone), 3, p) for p in (quick, own))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("spn", "channels", 0),
        ("spn", "channels", "16"),
        ("spn", "channels", None),
        ("spn", "dropout", 0.5),
        ("adl", "threshold", 1.5),
        ("input", "size", 16),
        ("spg", "channels", 8),
    ],
)
def test_a_value_that_params_yaml_could_not_have_is_refused(
    values: dict[str, dict[str, object]], section: str, key: str, value: object
) -> None:
    values.setdefault(section, {})[key] = value
    with pytest.raises(ValidationError, match=section):
        restored(values, KEYS)


def test_a_missing_value_is_refused(values: dict[str, dict[str, object]]) -> None:
    del values["spn"]["groups"]
    with pytest.raises(ValidationError, match=r"spn.groups"):
        restored(values, KEYS)

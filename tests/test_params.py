import pytest
from ruamel.yaml import YAML, main

from pipeline.errors import InputError
from pipeline.params import load
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "params.yaml").read_text()


@pytest.fixture
def written(tmp_path):
    """Write params.yaml with other values (by dotted key, as YAML text); return its path."""

    def make(**values):
        path = tmp_path / "params.yaml"
        yaml = YAML()
        content = yaml.load(TEXT)
        for key, text in values.items():
            *sections, name = key.split("__")
            block = content
            for section in sections:
                block = block[section]
            block[name] = YAML(typ="safe").load(f"value: {text}")["value"]
        yaml.dump(content, path)
        return path

    return make


def complaint(path):
    with pytest.raises(InputError) as caught:
        load(path)
    return str(caught.value)


def test_the_repositorys_parameters_are_valid():
    params = load(REPOSITORY / "params.yaml")
    assert params.model_dump() == YAML(typ="safe").load(TEXT)


def test_dvc_has_the_fast_parser():
    assert main.CParser, "dvc repro takes a second longer without ruamel.yaml.clib"


@pytest.mark.parametrize(
    "text",
    ["1e-5", "1e-05", "1e5", ".5", "2.", "1_000", "017", "0o17", "1:30", "on", "no", "~", "''"],
)
def test_the_fast_parser_reads_values_as_the_other_does(text):
    fast, other = (YAML(typ="safe", pure=pure).load(f"a: {text}")["a"] for pure in (False, True))
    assert (type(fast), fast) == (type(other), other)


def test_every_list_of_what_is_run_besides_may_be_empty(written):
    lists = ("methods", "proposals", "ranking__classifiers", "saliency__tracks")
    params = load(written(**dict.fromkeys(lists, "[]")))
    assert params.methods == params.proposals == params.saliency.tracks == []


def test_parameters_cannot_be_changed_by_the_code_that_reads_them(params):
    with pytest.raises(ValueError, match="frozen"):
        params.spg.delta_h = 0.6


@pytest.mark.parametrize(
    ("text", "value"), [("1e-05", 1e-5), ("1e-5", 1e-5), ("2", 2), ("5.0e-4", 5e-4)]
)
def test_numbers_are_read_as_dvc_writes_them(tmp_path, text, value):
    path = tmp_path / "params.yaml"
    lines = TEXT.splitlines()
    spg = lines.index("spg:")
    row = next(i for i in range(spg, len(lines)) if lines[i].startswith("    learning_rate:"))
    lines[row] = f"    learning_rate: {text}"
    path.write_text("\n".join(lines))
    assert load(path).spg.train.learning_rate == value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("input__flip", "on", "input.flip: Input should be a valid boolean (got 'on')"),
        ("input__flip", "1", "input.flip: Input should be a valid boolean (got 1)"),
        (
            "spg__train__learning_rate",
            "'1e-05'",
            "spg.train.learning_rate: Input should be a valid ",
        ),
        ("spg__train__epochs", "2.5", "spg.train.epochs: Input should be a valid integer"),
        ("spg__train__decay_epochs", "3", "spg.train.decay_epochs: Input should be a valid list"),
        ("spg__b1", "0.5", "spg.b1: Input should be a valid dictionary"),
        ("seed", "true", "seed: Input should be a valid integer (got True)"),
        ("spg__delta_h", "1.6", "spg.delta_h: Input should be less than 1 (got 1.6)"),
        ("spn__dropout", "-0.1", "spn.dropout: Input should be greater than or equal to 0"),
        ("evaluate__scales", "[0.5]", "evaluate.scales: Value error, 1.0 must be among them"),
        ("evaluate__scales", "[1.0, 1.0]", "evaluate.scales: Value error, 1.0 must be among"),
        ("evaluate__scales", "[1.0, 0.0]", "evaluate.scales.1: Input should be greater than 0"),
        (
            "spn__train_multi__weight_decay",
            ".nan",
            "spn.train_multi.weight_decay: Input should be a finite",
        ),
        (
            "spn__train_multi__learning_rate",
            ".inf",
            "spn.train_multi.learning_rate: Input should be a finite",
        ),
        ("spn__solver", "newton", "spn.solver: Input should be 'stationary' or 'power'"),
        ("spn__sharpness", "0.0", "spn.sharpness: Input should be greater than 0"),
        ("spn_corrected__sharpness", "-2.0", "spn_corrected.sharpness: Input should be greater"),
        ("spn_corrected__sharpness", ".inf", "spn_corrected.sharpness: Input should be a finite"),
        ("backbone__output_stride", "0", "backbone.output_stride: Input should be greater than"),
        ("backbone__last", "bottleneck", "backbone.last: Input should be 'stage' or 'head'"),
        ("spg__c_convolutions", "3", "spg.c_convolutions: Input should be 1 or 2 (got 3)"),
        (
            "data__val_fraction",
            "0.0",
            "(top level): Value error, data.val_fraction 0 holds out no images: "
            "evaluate.threshold_from must be test",
        ),
        ("spg__localize_from", "a", "spg.localize_from: Input should be 'attention', 'b2', 'b1', "),
        ("spg__dleta_h", "0.6", "spg.dleta_h: Extra inputs are not permitted (got 0.6)"),
        ("spg__train__rate", "0.6", "spg.train.rate: Extra inputs are not permitted"),
        (
            "cutouts__multi_size",
            "[0.6, 0.2]",
            "cutouts.multi_size: Value error, the first must not",
        ),
        ("cutouts__multi_size", "[0.6]", "cutouts.multi_size: List should have at least 2 items"),
        ("methods", "[hass]", "methods: Value error, hass is none of has, acol, adl, oquab, spn"),
        ("methods", "[edge_boxes]", "methods: Value error, edge_boxes is none of has, acol, adl"),
        ("methods", "[has, acol, has]", "methods: Value error, has is listed 2 times"),
        ("methods", "has", "methods: Input should be a valid list (got 'has')"),
        ("proposals", "[rpn]", "proposals: Value error, rpn is none of selective_search, edge_b"),
        ("ranking__classifiers", "[a, a]", "ranking.classifiers: Value error, a is listed 2 times"),
        ("saliency__tracks", "[both]", "saliency.tracks.0: Input should be 'multi' or 'single'"),
        ("saliency__methods__multi", "[]", "saliency.methods.multi: Value should have at least 1 "),
    ],
)
def test_a_bad_value_is_named_with_its_key(written, key, text, message):
    path = written(**{key: text})
    assert f"{path}: 1 bad parameter(s)\n  {message}" in complaint(path)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"spg__delta_l": "0.7", "spg__delta_h": "0.6"}, "spg.delta_l"),
        ({"spg__delta_l": "0.7", "spg__delta_h": "0.7"}, "spg.delta_l"),
        ({"spg__b1__delta_l": "0.7", "spg__b1__delta_h": "0.6"}, "spg.b1.delta_l"),
        ({"spg__c__delta_l": "0.7", "spg__c__delta_h": "0.6"}, "spg.c.delta_l"),
    ],
)
def test_the_low_threshold_lies_below_the_high_one(written, values, key):
    assert f"  {key}: Value error, delta_l 0.7 must be below delta_h 0." in complaint(
        written(**values)
    )


def test_boxes_come_from_a_branch_that_is_there(written):
    message = complaint(written(spg__localize_from="c", spg__with_c="false"))
    told = "with_c: false leaves branch C out: choose another source (got 'c')"
    assert f"  spg.localize_from: Value error, {told}" in message
    for changes in ({"spg__localize_from": "c"}, {"spg__with_c": "false"}):
        load(written(**changes))


def test_groups_divide_the_channels(written):
    message = complaint(written(spn__channels="1024", spn__groups="3"))
    assert "  spn.groups: Value error, groups 3 must divide channels 1024" in message


def test_every_bad_parameter_is_listed_in_one_message(written):
    path = written(
        seed="-1",
        input__szie="160",
        spg__delta_l="0.9",
        spg__channels="0",
        spn__groups="7",
        spn__epsilon="wide",
        evaluate__threshold_from="train",
    )
    message = complaint(path)
    assert message.startswith(f"{path}: 7 bad parameter(s)\n")
    listed = [line.strip().split(":")[0] for line in message.splitlines()[1:]]
    assert sorted(listed) == [
        "evaluate.threshold_from",
        "input.szie",
        "seed",
        "spg.channels",
        "spg.delta_l",
        "spn.epsilon",
        "spn.groups",
    ]


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("seed:", "sede:"))
    message = complaint(path)
    assert "  seed: Field required" in message
    assert "  sede: Extra inputs are not permitted" in message


@pytest.mark.parametrize("text", ["seed: [", "seed: 1\nseed: 2\n", "\tseed: 1"])
def test_what_is_no_yaml_is_refused(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    assert "params.yaml: not valid YAML" in complaint(tmp_path / "params.yaml")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text("")
    assert "(top level): Input should be a valid dictionary" in complaint(tmp_path / "params.yaml")


def test_a_missing_file_is_refused(tmp_path):
    message = complaint(tmp_path / "params.yaml")
    assert "params.yaml: not found; run from the root of the repository" in message

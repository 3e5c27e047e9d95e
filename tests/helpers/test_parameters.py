import re

import botocore.session
import pytest

from helpers import parameters, session

SERIES = {
    "01_data": {"PREFIX": "series", "CIFAR_SOURCE": "auto", "CIFAR_LIMIT": None},
    "02_train": {"CIFAR_EPOCHS": 5, "CALLS_PER_SECOND": 0.1, "PREFIX": "series"},
    "03_deploy": {"SEED": 1, "ACCOUNT": {}, "CLEAN_UP": True},
}


def test_declared_are_the_literals_of_the_tagged_cell(write_notebook):
    path = write_notebook("01_data", ["OTHER = 1"], parameters="EPOCHS = 5  # epochs\nRATE = -0.5\nNAMES = ['a']")
    assert parameters.declared(path) == {"EPOCHS": 5, "RATE": -0.5, "NAMES": ["a"]}


@pytest.mark.parametrize("source", ["A = 1 + x", "A = B = 1", "print(1)", "A.b = 1", "A = f'{1}'"])
def test_anything_but_a_literal_in_the_parameters_cell_is_refused(write_notebook, source):
    with pytest.raises(ValueError, match=r"The parameters cell of 01_data\.ipynb holds"):
        parameters.declared(write_notebook("01_data", ["1"], parameters=source))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("010", 10),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("[1, 2]", [1, 2]),
        ("{a: b}", {"a": "b"}),
        ("auto", "auto"),
        ("a: [", "a: ["),
        ("", ""),
        ("12:30:00", "12:30:00"),
        ("2024-13-45", "2024-13-45"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_command_line_text_is_read_as_what_it_looks_like(text, value):
    assert repr(parameters.parse(text)) == repr(value)


FAULTS = [
    ("CLEAN_UP", "", "CLEAN_UP takes True or False, not the text ''."),
    ("CLEAN_UP", "false", "not the text 'false'. Type False; in YAML (a file, papermill -y) false."),
    ("CLEAN_UP", None, "CLEAN_UP takes True or False, not None."),
    ("CLEAN_UP", 0, "CLEAN_UP takes True or False, not 0."),
    ("CIFAR_EPOCHS", 0, "CIFAR_EPOCHS takes a whole number of at least 1, not 0."),
    ("CIFAR_EPOCHS", 2.5, "not 2.5."),
    ("CIFAR_EPOCHS", True, "not True."),
    ("CIFAR_EPOCHS", None, "not None."),
    ("CIFAR_EPOCHS", "[1,2]", "not the text '[1,2]'."),
    ("CIFAR_EPOCHS", "6", "Type 6; in YAML (a file, papermill -y) 6."),
    ("BATCH_SIZE", 0, "not 0."),
    ("WIDTH", -1, "not -1."),
    ("MODELS", 0, "not 0."),
    ("WARM_CALLS", 0, "not 0."),
    ("TRAINING_INSTANCE_COUNT", 0, "not 0."),
    ("CIFAR_LIMIT", "null", "or None, not the text 'null'. Type None; in YAML (a file, papermill -y) null."),
    ("CIFAR_LIMIT", 9, "a whole number of at least 10, or None, not 9."),
    ("USER_LIMIT", 1, "a whole number of at least 2, or None, not 1."),
    ("IMAGE_SIZE", 31, "a whole number of at least 32, not 31."),
    ("CALLS_PER_SECOND", 0, "a finite number above 0, not 0."),
    ("CALLS_PER_SECOND", float("inf"), "not inf."),
    ("CALLS_PER_SECOND", float("nan"), "not nan."),
    ("CALLS_PER_SECOND", "1e-3", "Type 0.001; in YAML (a file, papermill -y) 0.001."),
    ("SEED", -1, "a whole number from 0 to 4294967295, not -1."),
    ("SEED", 2**32, "not 4294967296."),
    ("PREFIX", "", "a key prefix such as \"team/series\", not the text ''."),
    ("PREFIX", "/", "not the text '/'."),
    ("PREFIX", "a//b", "not the text 'a//b'."),
    ("PREFIX", "../b", "not the text '../b'."),
    ("PREFIX", "a b", "not the text 'a b'."),
    ("PREFIX", "ä", "not the text 'ä'."),
    ("PREFIX", 2024, "not 2024."),
    ("TARGET", "AWS", 'TARGET takes "local" or "aws", not the text \'AWS\'.'),
    ("SIGN_LANGUAGE_SPLIT", "student", 'takes "random" or "by_student"'),
    ("CIFAR_SOURCE", " ", "not the text ' '."),
    ("WEIGHTS_SOURCE", None, "not None."),
    ("SERVING_INSTANCE_TYPE", "c5.xlarge", "an instance type such as \"ml.c5.xlarge\", not the text 'c5.xlarge'."),
    ("ENDPOINT_NAME", "vision_models", "not the text 'vision_models'."),
    ("ENDPOINT_NAME", "a" * 64, "at most 63 letters"),
    ("ACCOUNT", "{kms_key: k}", "Type {'kms_key': 'k'}; in YAML (a file, papermill -y) {\"kms_key\": \"k\"}."),
    ("ACCOUNT", None, "not None."),
]


@pytest.mark.parametrize(("name", "value", "sentence"), FAULTS)
def test_a_value_that_is_not_what_it_should_be_is_refused_in_a_notebook_and_by_the_runner(name, value, sentence):
    with pytest.raises(ValueError, match=f"^{name} takes ") as in_a_notebook:
        parameters.check({"print": print, name: value})
    assert sentence in str(in_a_notebook.value)
    with pytest.raises(ValueError) as by_the_runner:
        parameters.assign({name: value}, {"01_data": {name: value}})
    assert str(by_the_runner.value) == str(in_a_notebook.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLEAN_UP", False),
        ("SEED", 0),
        ("CIFAR_LIMIT", None),
        ("CIFAR_LIMIT", 10),
        ("CALLS_PER_SECOND", 1),
        ("PREFIX", "/team/series-2.1/"),
        ("WEIGHTS_SOURCE", "/a folder/vgg16.h5"),
        ("TRAINING_INSTANCE_TYPE", "ml.p4d.24xlarge"),
        ("ENDPOINT_NAME", "a" * 63),
        ("ACCOUNT", {"subnets": []}),
    ],
)
def test_other_values_are_taken(name, value):
    parameters.check({name: value})
    assert parameters.assign({name: value}, {"01_data": {name: value}}) == {"01_data": {name: value}}


def test_all_faults_are_one_error():
    faults = {"CLEAN_UP": "", "CIFAR_EPOCHS": 0, "MODELS": 5, "SEED": "x"}
    with pytest.raises(ValueError) as caught:
        parameters.check(faults)
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["SEED", "CLEAN_UP", "CIFAR_EPOCHS"]


def test_an_injected_name_that_no_notebook_declares_is_refused_and_what_a_person_defines_is_not():
    cells = ["", "CIFAR_EPOCHS = 6", "# Parameters\nCIFAR_EPOCHS = 2\nCIFAR_EPOCHS_ = 2\n", "EPOCHS = 3"]
    with pytest.raises(
        ValueError, match=r"^No notebook declares a parameter CIFAR_EPOCHS_\. Did you mean CIFAR_EPOCHS\?$"
    ):
        parameters.check({"In": cells, "CIFAR_EPOCHS": 2, "CIFAR_EPOCHS_": 2, "EPOCHS": 3})


def test_the_rules_are_those_of_aws_and_of_the_helpers():
    shapes = botocore.session.get_session().get_service_model("sagemaker")
    accepts = {name: rule[1] for name, rule in parameters.RULES.items()}
    pattern = shapes.shape_for("EndpointName").metadata["pattern"]
    for name in ("a", "A-1", "a--b", "a" * 63, "", "-a", "a-", "a" * 64, "a_b", "a.b", "ä"):
        assert accepts["ENDPOINT_NAME"](name) == bool(re.fullmatch(pattern, name)), name
    for shape in ("TrainingInstanceType", "ProductionVariantInstanceType"):
        assert [kind for kind in shapes.shape_for(shape).enum if not accepts["SERVING_INSTANCE_TYPE"](kind)] == []
    assert all(map(accepts["TARGET"], session.TARGETS))


def test_each_notebook_gets_only_what_it_declares():
    assigned = parameters.assign({"PREFIX": "mine", "CIFAR_EPOCHS": 2}, SERIES)
    assert assigned == {
        "01_data": {"PREFIX": "mine"},
        "02_train": {"PREFIX": "mine", "CIFAR_EPOCHS": 2},
        "03_deploy": {},
    }


def test_the_command_line_wins_over_the_file():
    given = parameters.assign({"CIFAR_EPOCHS": 2}, SERIES, texts={"CIFAR_EPOCHS": "3"})
    assert given["02_train"] == {"CIFAR_EPOCHS": 3}


@pytest.mark.parametrize("given", [{"given": {"CIFAR_EPOCH": 5}}, {"given": {}, "texts": {"CIFAR_EPOCH": "5"}}])
def test_an_unknown_name_is_an_error_with_a_suggestion(given):
    with pytest.raises(ValueError, match=r"No notebook declares a parameter CIFAR_EPOCH\. Did you mean CIFAR_EPOCHS\?"):
        parameters.assign(series=SERIES, **given)


def test_an_unknown_name_like_no_other_lists_the_known_ones():
    with pytest.raises(ValueError, match="They declare ACCOUNT, CALLS_PER_SECOND, CIFAR_EPOCHS"):
        parameters.assign({"ZZZZ": 1}, SERIES)


def test_a_file_may_name_parameters_of_notebooks_that_this_run_leaves_out():
    assert parameters.assign({"CIFAR_EPOCHS": 2}, SERIES, selected=["01_data"]) == {"01_data": {}}


def test_a_typed_value_must_reach_a_selected_notebook_and_all_faults_are_one_error():
    with pytest.raises(ValueError) as caught:
        parameters.assign({"SEED": -1, "SED": 1}, SERIES, texts={"CIFAR_EPOCHS": "2"}, selected=["01_data"])
    assert str(caught.value).splitlines() == [
        "No notebook declares a parameter SED. Did you mean SEED?",
        "SEED takes a whole number from 0 to 4294967295, not -1.",
        "CIFAR_EPOCHS is a parameter of 02_train, which this run leaves out. Drop it or add 02_train.",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CIFAR_EPOCHS", "five"),
        ("CIFAR_EPOCHS", "2.5"),
        ("CIFAR_EPOCHS", "true"),
        ("CALLS_PER_SECOND", "x"),
        ("CLEAN_UP", "1"),
        ("CLEAN_UP", ""),
        ("CLEAN_UP", "null"),
        ("CIFAR_LIMIT", ""),
        ("SEED", "12:30:00"),
    ],
)
def test_a_typed_text_that_is_no_such_value_is_refused(name, text):
    with pytest.raises(ValueError, match=f"{name} takes "):
        parameters.assign({}, SERIES, texts={name: text})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("CALLS_PER_SECOND", "1e1", 10.0),
        ("PREFIX", "2024", "2024"),
        ("PREFIX", "no", "no"),
        ("SEED", "3", 3),
        ("CLEAN_UP", "false", False),
        ("CIFAR_LIMIT", "None", None),
        ("ACCOUNT", "{kms_key: k}", {"kms_key": "k"}),
    ],
)
def test_a_typed_text_takes_the_declared_type(name, text, value):
    assigned = parameters.assign({}, SERIES, texts={name: text})
    (found,) = {repr(values[name]) for values in assigned.values() if name in values}
    assert found == repr(value)


def test_a_relative_folder_is_meant_from_where_the_command_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parameters.assign({}, SERIES, texts={"CIFAR_SOURCE": "./images"})["01_data"] == {
        "CIFAR_SOURCE": str(tmp_path / "images")
    }
    assert parameters.assign({}, SERIES, texts={"CIFAR_SOURCE": "sample"})["01_data"] == {"CIFAR_SOURCE": "sample"}


def test_a_parameter_file_is_yaml(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text("EPOCHS: 2\nSOURCE: sample\n")
    assert parameters.read_file(path) == {"EPOCHS": 2, "SOURCE": "sample"}


@pytest.mark.parametrize("text", ["- a\n", "1: 2\n", "a: [\n"])
def test_a_parameter_file_of_another_form_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        parameters.read_file(path)


def test_a_missing_parameter_file_says_where_the_others_are(tmp_path):
    with pytest.raises(FileNotFoundError, match="notebooks/parameters"):
        parameters.read_file(tmp_path / "none.yaml")

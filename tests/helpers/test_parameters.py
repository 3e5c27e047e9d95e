import re

import botocore.session
import pytest

from helpers import parameters, session


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
    ("CIFAR_EPOCHS", "[1,2]", "not the text '[1,2]'."),
    ("CIFAR_EPOCHS", "6", "Type 6; in YAML (a file, papermill -y) 6."),
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
def test_a_value_that_is_not_what_it_should_be_is_refused(name, value, sentence):
    with pytest.raises(ValueError, match=f"^{name} takes ") as refused:
        parameters.check({"print": print, name: value})
    assert sentence in str(refused.value)


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


@pytest.mark.parametrize("name", ["BATCH_SIZE", "WIDTH", "MODELS", "WARM_CALLS", "TRAINING_INSTANCE_COUNT"])
def test_what_is_counted_from_one_is_never_nothing(name):
    assert parameters.faults({name: 0}, parameters.RULES) and not parameters.faults({name: 1}, parameters.RULES)


def test_all_faults_are_one_error():
    faults = {"CLEAN_UP": "", "CIFAR_EPOCHS": 0, "MODELS": 5, "SEED": "x"}
    with pytest.raises(ValueError) as caught:
        parameters.check(faults)
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["CLEAN_UP", "SEED", "CIFAR_EPOCHS"]


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

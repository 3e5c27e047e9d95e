import pytest

from series import assignment

SERIES = {
    "01_data": {"PREFIX": "series", "CIFAR_SOURCE": "auto", "CIFAR_LIMIT": None},
    "02_train": {"CIFAR_EPOCHS": 5, "CALLS_PER_SECOND": 0.1, "PREFIX": "series"},
    "03_deploy": {"SEED": 1, "ACCOUNT": {}, "CLEAN_UP": True},
}


def test_declared_are_the_literals_of_the_tagged_cell(write_notebook):
    path = write_notebook("01_data", ["OTHER = 1"], parameters="EPOCHS = 5  # epochs\nRATE = -0.5\nNAMES = ['a']")
    assert assignment.declared(path) == {"EPOCHS": 5, "RATE": -0.5, "NAMES": ["a"]}


@pytest.mark.parametrize("source", ["A = 1 + x", "A = B = 1", "print(1)", "A.b = 1", "A = f'{1}'"])
def test_anything_but_a_literal_in_the_parameters_cell_is_refused(write_notebook, source):
    with pytest.raises(ValueError, match=r"The parameters cell of 01_data\.ipynb holds"):
        assignment.declared(write_notebook("01_data", ["1"], parameters=source))


def test_each_notebook_gets_only_what_it_declares():
    assigned = assignment.assign({"PREFIX": "mine", "CIFAR_EPOCHS": 2}, SERIES)
    assert assigned == {
        "01_data": {"PREFIX": "mine"},
        "02_train": {"PREFIX": "mine", "CIFAR_EPOCHS": 2},
        "03_deploy": {},
    }


def test_the_command_line_wins_over_the_file():
    given = assignment.assign({"CIFAR_EPOCHS": 2}, SERIES, texts={"CIFAR_EPOCHS": "3"})
    assert given["02_train"] == {"CIFAR_EPOCHS": 3}


@pytest.mark.parametrize("given", [{"given": {"CIFAR_EPOCH": 5}}, {"given": {}, "texts": {"CIFAR_EPOCH": "5"}}])
def test_an_unknown_name_is_an_error_with_a_suggestion(given):
    with pytest.raises(ValueError, match=r"No notebook declares a parameter CIFAR_EPOCH\. Did you mean CIFAR_EPOCHS\?"):
        assignment.assign(series=SERIES, **given)


def test_an_unknown_name_like_no_other_lists_the_known_ones():
    with pytest.raises(ValueError, match="They declare ACCOUNT, CALLS_PER_SECOND, CIFAR_EPOCHS"):
        assignment.assign({"ZZZZ": 1}, SERIES)


def test_a_file_may_name_parameters_of_notebooks_that_this_run_leaves_out():
    assert assignment.assign({"CIFAR_EPOCHS": 2}, SERIES, selected=["01_data"]) == {"01_data": {}}


def test_a_typed_value_must_reach_a_selected_notebook_and_all_faults_are_one_error():
    with pytest.raises(ValueError) as caught:
        assignment.assign({"SEED": -1, "SED": 1}, SERIES, texts={"CIFAR_EPOCHS": "2"}, selected=["01_data"])
    assert str(caught.value).splitlines() == [
        "No notebook declares a parameter SED. Did you mean SEED?",
        "SEED takes a whole number from 0 to 4294967295, not -1.",
        "CIFAR_EPOCHS is a parameter of 02_train, which this run leaves out. Drop it or add 02_train.",
    ]


@pytest.mark.parametrize(
    ("name", "text"), [("CIFAR_EPOCHS", "2.5"), ("CLEAN_UP", "null"), ("CIFAR_LIMIT", ""), ("SEED", "12:30:00")]
)
def test_a_typed_text_that_is_no_such_value_is_refused(name, text):
    with pytest.raises(ValueError, match=f"{name} takes "):
        assignment.assign({}, SERIES, texts={name: text})


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
    assigned = assignment.assign({}, SERIES, texts={name: text})
    (found,) = {repr(values[name]) for values in assigned.values() if name in values}
    assert found == repr(value)


def test_a_relative_folder_is_meant_from_where_the_command_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert assignment.assign({}, SERIES, texts={"CIFAR_SOURCE": "./images"})["01_data"] == {
        "CIFAR_SOURCE": str(tmp_path / "images")
    }
    assert assignment.assign({}, SERIES, texts={"CIFAR_SOURCE": "sample"})["01_data"] == {"CIFAR_SOURCE": "sample"}


def test_a_parameter_file_is_yaml(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text("EPOCHS: 2\nSOURCE: sample\n")
    assert assignment.read_file(path) == {"EPOCHS": 2, "SOURCE": "sample"}


@pytest.mark.parametrize("text", ["- a\n", "1: 2\n", "a: [\n"])
def test_a_parameter_file_of_another_form_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        assignment.read_file(path)


def test_a_missing_parameter_file_says_where_the_others_are(tmp_path):
    with pytest.raises(FileNotFoundError, match="notebooks/parameters"):
        assignment.read_file(tmp_path / "none.yaml")

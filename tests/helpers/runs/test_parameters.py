import pytest

from helpers.runs import parameters

SERIES = {
    "01_data": {"SOURCE": "auto", "CIFAR_SOURCE": "auto"},
    "02_train": {"EPOCHS": 5, "RATE": 0.1, "SOURCE": "auto"},
    "03_deploy": {"SEED": None, "NAMES": ["a"], "LIVE": True},
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
    [("5", 5), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("[1, 2]", [1, 2]), ("auto", "auto"), ("a: [", "a: [")],
)
def test_command_line_text_is_read_as_yaml(text, value):
    assert parameters.parse(text) == value


def test_each_notebook_gets_only_what_it_declares():
    assigned = parameters.assign({"SOURCE": "sample", "EPOCHS": 2}, SERIES)
    assert assigned == {
        "01_data": {"SOURCE": "sample"},
        "02_train": {"SOURCE": "sample", "EPOCHS": 2},
        "03_deploy": {},
    }


def test_the_command_line_wins_over_the_file():
    assert parameters.assign({"EPOCHS": 2}, SERIES, texts={"EPOCHS": "3"})["02_train"] == {"EPOCHS": 3}


@pytest.mark.parametrize("given", [{"given": {"EPOCH": 5}}, {"given": {}, "texts": {"EPOCH": "5"}}])
def test_an_unknown_name_is_an_error_with_a_suggestion(given):
    with pytest.raises(ValueError, match=r"No notebook declares a parameter EPOCH\. Did you mean EPOCHS\?"):
        parameters.assign(series=SERIES, **given)


def test_an_unknown_name_like_no_other_lists_the_known_ones():
    with pytest.raises(ValueError, match="They declare CIFAR_SOURCE, EPOCHS, LIVE"):
        parameters.assign({"ZZZZ": 1}, SERIES)


def test_a_file_may_name_parameters_of_notebooks_that_this_run_leaves_out():
    assert parameters.assign({"EPOCHS": 2}, SERIES, selected=["01_data"]) == {"01_data": {}}


def test_a_typed_value_must_reach_a_selected_notebook():
    with pytest.raises(ValueError, match="EPOCHS is a parameter of 02_train, which this run leaves out"):
        parameters.assign({}, SERIES, texts={"EPOCHS": "2"}, selected=["01_data"])


@pytest.mark.parametrize(
    ("name", "text"), [("EPOCHS", "five"), ("EPOCHS", "2.5"), ("EPOCHS", "true"), ("RATE", "x"), ("LIVE", "1")]
)
def test_a_value_of_the_wrong_type_is_refused(name, text):
    with pytest.raises(ValueError, match=f"{name} takes a value of type"):
        parameters.assign({}, SERIES, texts={name: text})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("RATE", "1", 1.0), ("SOURCE", "2024", "2024"), ("SOURCE", "no", "no"), ("SEED", "3", 3), ("NAMES", "[b]", ["b"])],
)
def test_a_value_takes_the_declared_type(name, text, value):
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

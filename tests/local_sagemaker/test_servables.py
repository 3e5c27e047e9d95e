import json

import pytest

from local_sagemaker.servables import BasePathError, Servable, highest_version, saved_bytes
from local_sagemaker.settings import MEBIBYTE
from local_sagemaker.tensors import RequestError


@pytest.fixture(scope="module")
def linear(models):
    servable = Servable("linear", models / "linear")
    yield servable
    servable.unload()


def ask(servable: Servable, **request: object) -> dict:
    return json.loads(servable.predict(json.dumps(request).encode()))


def test_the_highest_version_number_is_served_not_the_last_name(linear):
    assert linear.version == "10"  # as text, "2" is the last one
    assert ask(linear, instances=[[1, 2]]) == {"predictions": [[10, 20]]}


def test_the_row_and_the_column_format_give_the_same_numbers(linear):
    rows = ask(linear, instances=[[1, 2], [3, 4]])["predictions"]
    assert ask(linear, inputs=[[1, 2], [3, 4]]) == {"outputs": rows}
    assert ask(linear, inputs={"x": [[1, 2], [3, 4]]}) == {"outputs": rows}


def test_named_inputs_and_several_outputs(linear):
    request = {"signature_name": "combine", "instances": [{"a": 2, "b": 3}, {"a": 4, "b": 5}]}
    assert ask(linear, **request) == {"predictions": [{"sum": 5, "product": 6}, {"sum": 9, "product": 20}]}
    request = {"signature_name": "combine", "inputs": {"a": [2, 4], "b": [3, 5]}}
    assert ask(linear, **request) == {"outputs": {"sum": [5, 9], "product": [6, 20]}}


def test_binary_values_go_in_and_come_back(linear):
    request = {"signature_name": "upper", "instances": [{"b64": "YWJj"}]}
    assert ask(linear, **request) == {"predictions": [{"upper": "ABC", "same_bytes": {"b64": "YWJj"}}]}


def test_truth_values_come_back_as_such(linear):
    assert ask(linear, signature_name="positive", instances=[[1, -1]]) == {"predictions": [[True, False]]}


def test_an_output_without_a_batch_needs_the_column_format(linear):
    assert ask(linear, signature_name="total", inputs=[1, 2]) == {"outputs": 3}
    with pytest.raises(RequestError, match="column format"):
        ask(linear, signature_name="total", instances=[1, 2])


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"signature_name": "no", "instances": [1]}, 'name: "no" not found. The model has: add, combine'),
        ({"signature_name": "combine", "instances": [1]}, r"has the inputs \['a', 'b'\]: name the values"),
        ({"instances": [{"z": [1, 2]}]}, r"has the inputs \['z'\], the model \['x'\]"),
        ({"instances": [[1, 2, 3]]}, r"has shape \[1, 3\], but the model wants \[None, 2\]"),
        ({"signature_name": "add", "inputs": {"x": [1, 2], "y": [1, 2, 3]}}, "Incompatible shapes"),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_refused_with_the_reason(linear, request_, reason):
    with pytest.raises(RequestError, match=reason):
        ask(linear, **request_)


def test_an_image_that_is_none_is_a_refused_request_without_the_runtimes_trimmings(classifiers, tmp_path):
    from local_sagemaker.archives import unpack

    unpack(classifiers["dense"], tmp_path / "dense", max_bytes=10**7, max_members=100)
    model = Servable("dense", tmp_path / "dense")
    with pytest.raises(RequestError, match=r"(?i)unknown image file format") as failure:
        ask(model, signature_name="serving_bytes", instances=[{"b64": "bm8gaW1hZ2U="}])
    assert "stack traces" not in str(failure.value)
    assert "[Op:" not in str(failure.value)


def test_the_footprint_and_its_forecast_are_the_bytes_of_the_weights(models):
    model = Servable("heavy", models / "heavy")
    assert model.footprint == MEBIBYTE
    assert MEBIBYTE <= saved_bytes(models / "heavy", "heavy") < MEBIBYTE + 4096
    model.unload()


@pytest.mark.parametrize("names", [[], ["one"], ["v1"], ["²"], ["-1"], ["1.0"]])
def test_a_base_path_without_a_version_folder_is_an_error_that_names_it(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "7").mkdir()  # a version without a model in it
    with pytest.raises(BasePathError, match=f"Could not find valid base path {tmp_path} for servable x"):
        highest_version("x", tmp_path)


def test_leading_zeros_do_not_make_a_version_lower(tmp_path):
    for name in ("9", "0010"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert highest_version("x", tmp_path) == ("10", tmp_path / "0010")

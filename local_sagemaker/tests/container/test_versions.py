import pytest

from local_sagemaker.container.versions import BasePathError, highest_version, saved_bytes
from local_sagemaker.settings import MEBIBYTE


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


def test_the_forecast_of_a_models_footprint_is_its_weights(models):
    assert MEBIBYTE <= saved_bytes(models / "heavy", "heavy") < MEBIBYTE + 4096

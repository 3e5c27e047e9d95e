import pytest

from local_sagemaker.container import versions
from local_sagemaker.container.versions import BasePathError, NeverLoadedError
from local_sagemaker.settings import MEBIBYTE


def write(folder, *names, file="saved_model.pb"):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / file).touch()


@pytest.mark.parametrize("names", [[], ["one"], ["v1"], ["²"], ["-1"], ["1.0"]])
def test_a_base_path_without_a_version_folder_is_an_error_that_says_what_there_is(tmp_path, names):
    write(tmp_path, *names)
    with pytest.raises(
        BasePathError, match=f"Could not find valid base path {tmp_path} for servable x. At its top"
    ) as failure:
        versions.versions(tmp_path, "x")
    assert str(failure.value).endswith(f"the archive holds {names[0]}/saved_model.pb." if names else "holds nothing.")


@pytest.mark.parametrize("names", [["export/1"], ["1", "2/deeper"]])
def test_a_version_that_is_never_loaded_is_an_error_that_says_what_there_is(tmp_path, names):
    write(tmp_path, *names)
    with pytest.raises(NeverLoadedError, match=f"the archive holds {names[0]}/saved_model.pb"):
        versions.versions(tmp_path, "x")


def test_all_versions_are_found_the_highest_first_whatever_their_zeros(tmp_path):
    write(tmp_path, "9", "0010")
    write(tmp_path, "2", file="saved_model.pbtxt")
    assert list(versions.versions(tmp_path, "x").items()) == [
        (n, tmp_path / p) for n, p in ((10, "0010"), (9, "9"), (2, "2"))
    ]


def test_an_archive_may_hold_several_models_wherever_they_lie(tmp_path):
    write(tmp_path, "export/Servo/1", "export/Servo/3", "other/2", "other/later")
    wanted = {
        "Servo": {3: tmp_path / "export/Servo/3", 1: tmp_path / "export/Servo/1"},
        "other": {2: tmp_path / "other/2"},
    }
    assert versions.models(tmp_path) == wanted
    write(tmp_path / "plain", "1")
    assert versions.models(tmp_path / "plain") == {"model": {1: tmp_path / "plain/1"}}
    with pytest.raises(BasePathError, match="no SavedModel bundles found"):
        versions.models(tmp_path / "other/later")


def test_the_forecast_of_a_models_footprint_is_its_weights(models):
    assert MEBIBYTE <= versions.saved_bytes(models / "heavy" / "1") < MEBIBYTE + 4096

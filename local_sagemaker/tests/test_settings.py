import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from local_sagemaker import settings as settings_module
from local_sagemaker.settings import MEBIBYTE, Settings, arn, default_home, shares_architectures


def test_defaults_and_folders(tmp_path):
    settings = Settings(home=tmp_path)
    assert settings.max_invocation_bytes == 6 * MEBIBYTE
    assert settings.cold_start_seconds == 60
    assert {settings.database.parent, settings.objects.parent, settings.jobs.parent} == {tmp_path}


def test_a_limit_is_set_through_its_variable(monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES", "1e6")
    assert Settings().instance_memory_bytes == 1_000_000


@pytest.mark.parametrize("text", ["much", "0", "-1", ""])
def test_a_limit_that_is_no_positive_number_is_refused_by_its_name(monkeypatch, text):
    monkeypatch.setenv("LOCAL_SAGEMAKER_COLD_START_SECONDS", text)
    with pytest.raises(ValueError, match=r"LOCAL_SAGEMAKER_COLD_START_SECONDS is .* positive number"):
        Settings()


def test_the_home_folder_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOME", str(tmp_path))
    assert Settings().home == default_home() == tmp_path
    monkeypatch.delenv("LOCAL_SAGEMAKER_HOME")
    assert default_home().name == "local_sagemaker"


def test_resource_names_are_those_of_the_account():
    assert arn("sagemaker", "model/m", region="eu-west-1") == "arn:aws:sagemaker:eu-west-1:123456789012:model/m"


def test_the_engine_is_one_that_there_is(monkeypatch):
    monkeypatch.delenv("LOCAL_SAGEMAKER_ENGINE", raising=False)
    assert shares_architectures()
    monkeypatch.setenv("LOCAL_SAGEMAKER_ENGINE", "own")
    assert not shares_architectures()
    monkeypatch.setenv("LOCAL_SAGEMAKER_ENGINE", "fast")
    with pytest.raises(ValueError, match="Set it to 'shared' or 'own'"):
        shares_architectures()


def test_the_environment_of_a_model_limits_memory_and_disk_and_nothing_else():
    settings = Settings()
    environment = {"LOCAL_SAGEMAKER_INSTANCE_MEMORY_BYTES": "1000", "LOCAL_SAGEMAKER_HOT_MODEL_CALLS": "1", "MY": "own"}
    limited = settings.limited_by(environment)
    assert limited == replace(settings, instance_memory_bytes=1000)
    assert settings.limited_by({"LOCAL_SAGEMAKER_INSTANCE_DISK_BYTES": "7"}).instance_disk_bytes == 7
    with pytest.raises(ValueError, match=r"LOCAL_SAGEMAKER_INSTANCE_DISK_BYTES is 'small'"):
        settings.limited_by({"LOCAL_SAGEMAKER_INSTANCE_DISK_BYTES": "small"})


PACKAGE = Path(settings_module.__file__).parent
LIMIT = re.compile(r"MAX|MOST|LARGEST|LIMIT|SECONDS|AT_ONCE|DEPTH|ATTEMPTS")


def numbers(path):
    """The names of a module that are bound to numbers, sums of them included."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, (ast.Constant, ast.BinOp)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_every_limit_of_the_server_is_in_the_settings():
    """What bounds the work within a container is beside it, and what `fit` measures is no limit."""
    elsewhere = ("settings.py", "container", "engines", "fit")
    paths = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in elsewhere]
    assert any(LIMIT.search(name) for name in numbers(PACKAGE / "settings.py"))
    assert [(path.name, name) for path in paths for name in numbers(path) if LIMIT.search(name)] == []

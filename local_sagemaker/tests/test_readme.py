"""The package's README: its table of behaviors names tests that exist, and its pytest fixtures work as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local_sagemaker.__main__ import main
from local_sagemaker.settings import ROLE_ARN

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in README.splitlines()
    if line.startswith("| ") and not line.startswith("| behavior")
]


def test_there_are_rows_to_check():
    assert len(ROWS) > 100


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_behavior_has_a_test(row):
    assert len(row) == 4
    assert all(row)
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", row[3])
    assert named
    for file, function in named:
        (path,) = HERE.rglob(file)
        source = path.read_text(encoding="utf-8")
        assert not function or re.search(rf"^(async )?def {function}\(", source, re.MULTILINE), (
            f"{file} has no {function}"
        )


# Another project's conftest.py and tests, made of the README alone.

FILES = dict(re.findall(r"^```python (\S+\.py)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
# What the text promises beside the test that it shows.
MORE = """
import boto3

def test_the_default_session_of_boto3_goes_there_and_the_objects_of_other_tests_are_there(aws, local_sagemaker):
    assert boto3.client("s3").meta.endpoint_url == local_sagemaker.environment["AWS_ENDPOINT_URL"]
    assert [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]] == ["mine"]

def test_sagemaker_is_empty_and_knows_its_role(aws, local_sagemaker):
    assert aws.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert local_sagemaker.role_arn == aws.client("iam").get_role(RoleName="LocalSageMakerRole")["Role"]["Arn"]

def test_outside_the_fixture_the_environment_is_the_users():
    import os
    assert os.environ["AWS_PROFILE"] == "mine-and-not-there"
    assert "AWS_ENDPOINT_URL" not in os.environ
"""


@pytest.mark.slow
def test_the_fixtures_work_in_another_project(tmp_path):
    assert list(FILES) == ["conftest.py", "test_storage.py"]
    (tmp_path / "conftest.py").write_text(FILES["conftest.py"])
    (tmp_path / "test_a_storage.py").write_text(FILES["test_storage.py"])
    (tmp_path / "test_b_more.py").write_text(MORE)
    foreign = {"AWS_PROFILE": "mine-and-not-there", "AWS_SESSION_TOKEN": "foreign"}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider"]
    command += ["--basetemp", "temporary"]
    finished = subprocess.run(command, cwd=tmp_path, env=inherited | foreign, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
    assert " 4 passed" in finished.stdout
    left = [process for process in psutil.process_iter(["environ"]) if str(tmp_path) in str(process.info["environ"])]
    assert left == []


def test_every_command_is_described(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.search(r"\{([\w,]+)\}", capsys.readouterr().out)[1].split(",")
    section = README.partition("## Commands")[2].partition("\n## ")[0]
    assert [name for name in listed if f"`{name}" not in section and f"local_sagemaker {name}" not in section] == []
    assert ROLE_ARN in section

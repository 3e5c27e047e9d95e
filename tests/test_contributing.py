"""The recipes of CONTRIBUTING.md: its third model is trained, served and asked with the code that the page shows."""

import ast
import re
import shutil
import textwrap
from pathlib import Path

import pytest
from PIL import Image

from helpers import endpoint, training
from shared import arguments

PAGE = "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def text(project: Path) -> str:
    return (project / PAGE).read_text(encoding="utf-8")


@pytest.fixture
def code(text) -> dict[str, str]:
    return dict(re.findall(r"^```python (\S+\.py)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_every_file_that_the_page_names_is_there(project, text):
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {name for name in re.findall(r"`([\w./]+\.(?:py|md|yaml|yml|toml|json|ipynb))`", prose)}
    named |= {name for name in re.findall(r"\]\(([\w./]+)\)", prose)}
    package = project / "local_sagemaker" / "src" / "local_sagemaker"
    folders = (project, project / "helpers", project / "training_scripts", package)
    missing = {name for name in named if not any((folder / name).exists() for folder in folders)}
    assert missing == {"training_scripts/pets_train.py"}
    assert len(named) > 15


def write_pets(folder: Path) -> None:
    """Three classes that colour alone tells apart, thirty images each."""
    for name, color in (("cat", (200, 60, 40)), ("dog", (40, 170, 60)), ("owl", (60, 60, 190))):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            shade = tuple(channel + number for channel in color)
            Image.new("RGB", (80, 80), shade).save(folder / name / f"{number}.png")


@pytest.mark.slow
def test_the_third_model_goes_from_a_folder_of_images_to_an_answer(
    project, code, connection, tmp_path, monkeypatch, capsys
):
    assert list(code) == ["pets_train.py", "try_pets.py"]
    scripts = tmp_path / "training_scripts"
    shutil.copytree(project / "training_scripts", scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "pets_train.py").write_text(code["pets_train.py"])
    write_pets(tmp_path / "data" / "pets")
    monkeypatch.setattr(training, "SCRIPTS", scripts)
    monkeypatch.chdir(tmp_path)
    seen: dict = {}
    exec(compile(code["try_pets.py"].replace('"epochs": 20', '"epochs": 8'), PAGE, "exec"), seen)
    evaluation = seen["result"].evaluation
    assert evaluation["class_names"] == ["cat", "dog", "owl"]
    assert evaluation["test"]["count"] == 15
    assert seen["result"].provenance["data"]["source"] == 'Pets, read from the folder "pets".'
    assert set(seen["answer"].labels) <= {"cat", "dog", "owl"}
    assert seen["answer"].probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert "of 15 test images" in capsys.readouterr().out
    assert endpoint.find(connection, "try-pets") is None


def test_its_script_finds_the_weights_in_their_channel(text, tmp_path, monkeypatch):
    [code] = re.findall(r"^```python\n([^`]*add_folder[^`]*)^```$", text, re.MULTILINE)
    (tmp_path / "base.h5").touch()
    for variable in ("SM_CHANNEL_TRAINING", "SM_CHANNEL_WEIGHTS", "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("sys.argv", ["pets_train.py"])
    seen = vars(arguments).copy()
    exec(compile(code, PAGE, "exec"), seen)
    assert seen["path"] == tmp_path / "base.h5"


def test_the_fixtures_for_its_tests_call_what_is_there(project, text):
    there = (project / "tests" / "training_scripts" / "conftest.py").read_text(encoding="utf-8")
    defined = {node.name for node in ast.parse(there).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    nodes = [node for block in blocks if "fixture" in block for node in ast.walk(ast.parse(textwrap.dedent(block)))]
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called == {"Training", "write_dataset"}
    assert called | {"any_run", "training"} <= defined
    assert "EVERY_SCRIPT" in there


def test_the_code_follows_the_projects_own_rules(code):
    for name, source in code.items():
        assert max(map(len, source.splitlines())) <= 120, name
    functions = [node for node in ast.parse(code["pets_train.py"]).body if isinstance(node, ast.FunctionDef)]
    assert all(ast.get_docstring(function) for function in functions)

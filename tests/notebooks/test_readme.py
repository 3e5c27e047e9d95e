"""The page on where and how to run the notebooks: its commands, options, files and links are there."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from papermill import cli

from series import assignment, runner

FOLDER = Path(__file__).parents[2] / "notebooks"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"^```(?:bash)?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 15


def test_every_module_that_is_run_is_there():
    modules = set(re.findall(r"python -m ([\w.]+)", PAGE))
    assert modules == {"series.orphaned_resources", "series", "ipykernel", "local_sagemaker", "pytest"}
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_papermill_has_every_option_and_notebooks_have_the_parameters():
    known = {option for parameter in cli.papermill.params for option in parameter.opts}
    lines = [line.split() for line in [*COMMANDS, "papermill -k kernel"] if line.startswith("papermill ")]
    assert {word for words in lines for word in words if word.startswith("-")} <= known
    for words in lines:
        for place in (index for index, word in enumerate(words) if word == "-p"):
            assert words[place + 1] in assignment.declared(runner.find()[Path(words[1]).stem])


def test_every_file_and_link_is_there():
    files = set(re.findall(r"notebooks/[\w./]+\.(?:yaml|ipynb)|(?:tests|findings)/[\w./]+\.(?:py|sh)", PAGE))
    assert len(files) >= 5
    assert [name for name in files if not (FOLDER.parent / name).is_file()] == []
    assert [link for link in re.findall(r"\]\(([^)\s]+)\)", PAGE) if not (FOLDER / link).exists()] == []


def test_the_environment_has_the_name_that_the_page_uses():
    conda = yaml.safe_load((FOLDER.parent / "environment.yml").read_text(encoding="utf-8"))
    assert f"conda activate {conda['name']}" in COMMANDS
    assert PAGE.count(f"--name {conda['name']}") == 2


@pytest.mark.parametrize("path", runner.find().values(), ids=runner.find())
def test_a_notebook_has_at_most_the_ten_parameters_that_the_page_tells(path):
    assert len(assignment.declared(path)) <= 10

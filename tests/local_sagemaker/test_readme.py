"""The table of behaviours in the package's README names tests that exist, and has no empty cell."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
README = (HERE.parents[1] / "local_sagemaker" / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in README.splitlines()
    if line.startswith("| ") and not line.startswith("| behaviour")
]


def test_there_are_rows_to_check():
    assert len(ROWS) > 100


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_behaviour_has_a_test(row):
    assert len(row) == 4
    assert all(row)
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", row[3])
    assert named
    for file, function in named:
        source = (HERE / file).read_text(encoding="utf-8")
        assert not function or re.search(rf"^def {function}\(", source, re.MULTILINE), f"{file} has no {function}"

"""The rules for notebooks that a program can check; what only a reader can judge is not here."""

import ast
import io
import re
import statistics
import tokenize
from pathlib import Path

import nbformat
import pytest

from series import assignment

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
KEPT, CHECKED = "keep_output", "nbval-check-output"
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\ufe0f]")
PRIVATE = {
    "an account id": r"(?<!\d)\d{12}(?!\d)",
    "an ARN": r"arn:aws",
    "a home folder": r"/home/|/Users/|/root/|/tmp/|[A-Z]:\\\\Users",
    "a time stamp": r"\d{4}-\d{2}-\d{2}[T ]?\d{0,2}|\b\d{2}:\d{2}:\d{2}\b",
}


def test_there_are_notebooks_to_check():
    assert NOTEBOOKS, f"No notebooks in {FOLDER}: every other check here would pass without looking."


def test_their_numbers_are_consecutive():
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{index:02}_" for index in range(1, len(NOTEBOOKS) + 1)]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def notebook(path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture
def code(notebook) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def texts(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


@pytest.fixture
def prose(texts) -> str:
    """The text as a reader sees it: without code, without the addresses of links."""
    text = re.sub(r"```.*?```", "", "\n\n".join(texts), flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", text)


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def headings(texts: list[str], level: int) -> list[str]:
    return re.findall(rf"^#{{{level}}} (.+)$", "\n\n".join(texts), re.MULTILINE)


def test_it_is_a_valid_notebook(notebook):
    nbformat.validate(notebook)


# The template


def test_it_opens_with_one_h1_and_a_table_and_what_you_learn(notebook, texts):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert len(headings(texts, 1)) == 1
    opening = texts[0] + "\n".join(cell.source for cell in notebook.cells[1:3] if cell.cell_type == "markdown")
    for word in ("Before this", "Time", "AWS cost", "Leaves behind"):
        assert re.search(rf"\|\s*\**{word}", opening, re.IGNORECASE), f"The opening table lacks “{word}”."
    learn = opening.partition("You learn to")[2]
    assert len(re.findall(r"^[-*] ", learn, re.MULTILINE)) == 3, "“You learn to” has three bullets."


def test_the_first_code_cell_holds_the_parameters_each_with_a_comment(path, code):
    assert "parameters" in tags(code[0])
    assert [index for index, cell in enumerate(code) if "parameters" in tags(cell)] == [0]
    names = assignment.declared(path)
    assert 1 <= len(names) <= 10
    assert all(name.isupper() for name in names)
    lines = [line for line in code[0].source.splitlines() if line.strip()]
    assert [line for line in lines if "#" not in line] == []


def test_the_second_code_cell_imports_and_later_cells_do_not(code):
    assert len(code[1].source.splitlines()) <= 12
    body = ast.parse(code[1].source).body
    assert isinstance(body[0], ast.Import | ast.ImportFrom)
    helpers = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == "helpers"]
    assert helpers, "Helpers are imported as modules: from helpers import endpoint, plots."
    for cell in code[2:]:
        imports = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Import | ast.ImportFrom)]
        assert imports == [], f"Imports belong in the second code cell:\n{cell.source}"


def test_it_checks_its_parameters_before_anything_else_runs(code):
    first, *_ = [node for node in ast.parse(code[1].source).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert ast.unparse(first) == "parameters.check(globals())"


def test_it_connects_below_its_prefix_and_with_what_the_account_asks_for(code):
    assert "connection = session.connect(TARGET, prefix=PREFIX, account=ACCOUNT)\n" in code[1].source


def test_it_checks_cleans_up_and_leads_on_in_this_order(texts, code):
    sections = headings(texts, 2)
    # Parameters, Connect, four to six of the lesson, Check, Clean up, What you learned, Next.
    assert 7 <= len(sections) <= 12
    assert sections.index("Check") < sections.index("Clean up") < sections.index("What you learned")
    assert sections[-1] in ("What you learned", "Next")
    assert "**Next" in texts[-1] or "Next" in sections
    assert any("results.record(" in cell.source for cell in code)


# The size


def test_it_has_the_size_of_a_good_lesson(code, prose):
    words = len(re.findall(r"[\w'’-]+", prose))
    lengths = [len(cell.source.splitlines()) for cell in code]
    assert 12 <= len(code) <= 18, f"{len(code)} code cells"
    assert 600 <= words <= 1000, f"{words} words"
    assert max(lengths) <= 20, f"a cell of {max(lengths)} lines"
    assert statistics.median(lengths) <= 6, f"a median of {statistics.median(lengths)} lines a cell"


def test_it_has_at_least_as_many_text_cells_as_code_cells(code, texts):
    assert len(texts) >= len(code), f"{len(texts)} text cells, {len(code)} code cells"


def test_no_cell_is_empty(notebook):
    assert [index for index, cell in enumerate(notebook.cells) if not cell.source.strip()] == []


# The code


def test_the_code_defines_catches_and_installs_nothing(code):
    banned = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Try, ast.While)
    for cell in code:
        assert not re.search(r"^\s*[!%]", cell.source, re.MULTILINE), f"No ! and no %:\n{cell.source}"
        found = [type(node).__name__ for node in ast.walk(ast.parse(cell.source)) if isinstance(node, banned)]
        assert found == [], f"{found} belong in helpers:\n{cell.source}"


def test_nothing_is_commented_out(code):
    for cell in code:
        comments = [
            token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(cell.source).readline)
            if token.type == tokenize.COMMENT
        ]
        assert not [text for text in comments if re.match(r"[\w.]+\(.*\)$|\w+ = ", text)], cell.source


# The voice


def test_the_text_is_calm(prose):
    text = re.sub(r"`[^`]*`", "", prose)
    assert "!" not in text.replace("![", "["), "No exclamation marks."
    assert not EMOJI.search(text)
    assert not re.search(r"</?(h\d|div|span|font|b|i|center)\b", text, re.IGNORECASE), "No HTML in the text."
    assert not re.search(r"\b[Ll]et['’]s\b|\b[Ww]e\b", text), "You do it; not we."


def test_local_links_resolve(path, texts):
    links = re.findall(r"\]\(([^)\s]+)\)", "\n".join(texts))
    local = [link.partition("#")[0] for link in links if not re.match(r"https?:|#|mailto:", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []
    assert not re.search(r"!\[\]\(", "\n".join(texts)), "A picture needs alternative text."


def test_it_links_to_the_next_notebook(path, texts):
    later = NOTEBOOKS[NOTEBOOKS.index(path) + 1 :]
    if later:
        assert f"]({later[0].name})" in texts[-1]


# The outputs


def test_only_kept_cells_have_outputs(code):
    assert [cell.source for cell in code if cell.outputs and KEPT not in tags(cell)] == []


def test_four_to_seven_cells_keep_their_output(code):
    kept = [cell for cell in code if KEPT in tags(cell)]
    assert 4 <= len(kept) <= 7
    assert [cell.source for cell in kept if not cell.outputs] == []


def test_a_cell_that_is_checked_has_a_stored_output_to_compare_with(code):
    for cell in code:
        if CHECKED in tags(cell):
            assert cell.outputs and KEPT in tags(cell), f"nbval passes without looking:\n{cell.source}"


def test_one_cell_at_most_holds_the_picture_that_stands_for_it(code):
    pictured = [cell for cell in code if "picture" in tags(cell)]
    assert len(pictured) <= 1
    assert [cell.source for cell in pictured if KEPT not in tags(cell)] == []


def test_no_kept_output_is_an_error_or_a_stream_on_stderr(code):
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"


@pytest.mark.parametrize("what", PRIVATE)
def test_no_kept_output_holds_what_is_private_or_stale(code, what):
    for cell in code:
        for output in cell.outputs:
            data = output.get("data", {"text/plain": output.get("text", "")})
            text = "\n".join(str(value) for kind, value in data.items() if not kind.startswith("image/"))
            found = re.search(PRIVATE[what], text)
            assert not found, f"{what}, {found[0]!r}, in the output of:\n{cell.source}"


def test_every_kept_picture_has_an_alternative_text_and_is_stored_once(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for output in (output for output in outputs if "image/png" in output.get("data", {})):
        assert "Source: " in output.metadata["image/png"]["alt"]
        assert "text/html" not in output.data


def test_it_carries_no_traces_of_a_run(notebook, code):
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata.get("language_info", {})) <= {"name"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}, f"Only tags in the metadata of a cell: {cell.metadata}"
    assert [cell.source for cell in code if cell.execution_count is not None] == []
    counts = [output.get("execution_count") for cell in code for output in cell.outputs]
    assert set(counts) <= {None}

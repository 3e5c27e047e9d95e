"""The project's README: its pictures are those of the notebooks, and what it links to is there."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from series import kept_outputs, runner

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURES = ROOT / "notebooks" / "pictures"
# In Markdown ![text](path), in HTML <img …>.
TAGS = re.findall(r"<img\b[^>]*>", PAGE)
IMAGES = {
    **{path: text for text, path in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", PAGE)},
    **{re.search(r'src="([^"]+)"', tag)[1]: (re.search(r'alt="([^"]*)"', tag) or "  ")[1] for tag in TAGS},
}


def test_every_image_is_there_and_has_alternative_text():
    assert IMAGES
    assert [path for path in IMAGES if not (ROOT / path).is_file()] == []
    assert [path for path, text in IMAGES.items() if len(text.split()) < 3] == []


def test_html_is_used_for_the_width_of_images_alone():
    without_code = re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.DOTALL)
    assert set(re.findall(r"</?(\w+)", without_code)) <= {"img", "br"}
    assert all(set(re.findall(r' (\w+)="', tag)) == {"src", "alt", "width"} for tag in TAGS)


def test_every_link_leads_somewhere():
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", PAGE)]
    assert [link for link in links if link and "://" not in link and not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", ["benchmarks/BENCHMARKS.md", "local_sagemaker/BENCHMARKS.md"])
def test_every_benchmark_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"\b(?:python\s+benchmarks/)?(\w+\.py)\b", text)
    assert found
    folders = (
        (ROOT / page).parent,
        ROOT / "benchmarks",
        ROOT / "local_sagemaker" / "benchmarks",
        ROOT / "training_scripts",
    )
    assert [name for name in found if not any((folder / name).is_file() for folder in folders)] == []


def test_every_picture_of_a_notebook_is_shown():
    paths = {path.relative_to(ROOT).as_posix() for path in PICTURES.iterdir()}
    assert paths == {f"notebooks/pictures/{name}.png" for name, path in runner.find().items() if _is_pictured(path)}
    assert paths <= set(IMAGES)


def _is_pictured(path: Path) -> bool:
    return kept_outputs.picture(path) is not None


@pytest.mark.parametrize("path", sorted(PICTURES.iterdir()), ids=lambda path: path.stem)
def test_a_picture_is_the_figure_that_its_notebook_keeps(path):
    kept = Image.open(io.BytesIO(kept_outputs.picture(ROOT / "notebooks" / f"{path.stem}.ipynb")))
    with Image.open(path) as picture:
        same = picture.size == kept.size and picture.convert("RGB").tobytes() == kept.convert("RGB").tobytes()
    assert same, f"{path.name} is another picture than its notebook shows. Draw it: python -m series keep"
    assert path.stat().st_size <= 60_000

"""JupyterLab opens and saves a notebook of the series, and git sees no change."""

import asyncio
import html
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.extension.manager import ExtensionPackage
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from nbformat import v4

from series import jupyter_server, runner


def as_jupyterlab_sends_it(content: dict) -> dict:
    """Return a notebook as JupyterLab 4.6 hands it to the server after it was opened: seen in Chromium, 2026-11-28."""

    def number(text: str) -> int | float:
        value = float(text)
        return int(value) if value.is_integer() else value

    # Its numbers are JavaScript's.
    sent = json.loads(json.dumps(content), parse_float=number)
    name = sent["metadata"]["kernelspec"]["name"]
    kernel = KernelSpecManager().get_kernel_spec(name)
    sent["metadata"]["kernelspec"] = {"display_name": kernel.display_name, "language": kernel.language, "name": name}
    # Of the class: a kernel of its own would stay, and later tests would look like notebooks.
    sent["metadata"]["language_info"] = dict(IPythonKernel.language_info)
    return sent


def pictures(content: dict) -> list[dict]:
    outputs = [output for cell in content["cells"] for output in cell.get("outputs", [])]
    return [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.fixture
def manager(tmp_path) -> AsyncLargeFileManager:
    """The manager of files of JupyterLab's server, with this project's extension."""
    found = AsyncLargeFileManager(root_dir=str(tmp_path))
    (names,) = json.loads((runner.NOTEBOOKS / "jupyter_server.json").read_text())["ServerApp"].values()
    for name in names:
        extension = ExtensionPackage(name=name, enabled=True)
        assert extension.validate()
        extension.load_all_points(SimpleNamespace(web_app=SimpleNamespace(settings={}), contents_manager=found))
    return found


@pytest.mark.parametrize("path", runner.find().values(), ids=runner.find())
def test_jupyterlab_shows_alternative_texts_and_saves_an_opened_notebook_as_it_was(path, manager, tmp_path):
    copy = shutil.copy(path, tmp_path)

    async def open_and_save() -> None:
        model = await manager.get(path.name)
        for output in pictures(model["content"]):
            shown = re.search(r'<img alt="([^"]+)"', output["data"]["text/html"])
            assert html.unescape(shown[1]) == output["metadata"]["image/png"]["alt"]
        sent = {"type": "notebook", "format": "json", "content": as_jupyterlab_sends_it(model["content"])}
        await manager.save(sent, path.name)

    asyncio.run(open_and_save())
    assert Path(copy).read_bytes() == path.read_bytes()


def test_notebooks_of_others_are_left_alone(manager, tmp_path):
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "My project", "language": "python"},
        "language_info": {"name": "python", "version": "3.9.1"},
    }
    alts = ({"alt": "a"}, {"alt": 3}, None)
    data = {"image/png": "AA==", "text/html": "<b>theirs</b>"}
    outputs = [v4.new_output("display_data", data=data, metadata={"image/png": alt}) for alt in alts]
    notebook = v4.new_notebook(cells=[v4.new_code_cell("", outputs=outputs)], metadata=metadata)
    nbformat.write(notebook, tmp_path / "theirs.ipynb")

    async def open_and_save() -> None:
        content = (await manager.get("theirs.ipynb"))["content"]
        assert content["cells"][0]["outputs"] == outputs
        await manager.save({"type": "notebook", "format": "json", "content": content}, "theirs.ipynb")

    asyncio.run(open_and_save())
    saved = nbformat.read(tmp_path / "theirs.ipynb", as_version=4)
    assert (saved["metadata"], saved["cells"][0]["outputs"]) == (metadata, outputs)


def test_the_server_takes_larger_messages_than_photos_are():
    server = SimpleNamespace(web_app=SimpleNamespace(settings={}), contents_manager=AsyncLargeFileManager())
    jupyter_server._load_jupyter_server_extension(server)
    # The setting that Tornado reads when a connection opens; over its own 10 MiB an upload kills the gallery's button.
    assert server.web_app.settings["websocket_max_message_size"] > 100_000_000


def test_make_installs_what_keeps_them_as_they_are(project):
    assert (
        "cp notebooks/jupyter_server.json .venv/etc/jupyter/jupyter_server_config.d/"
        in (project / "Makefile").read_text()
    )

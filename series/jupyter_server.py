"""An extension of Jupyter Server, which leaves a notebook unmodified that was only looked at.

JupyterLab writes the kernel's name and the version of Python into every notebook that it saves. It takes the
alternative text of a picture from HTML only, which holds the picture once more: JupyterLab gets that, files do not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async

from helpers.display.pictures import as_html

# What the notebooks say of their kernel, whichever Python runs it.
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    # An upload over Tornado's 10 MiB closes the connection to the kernel, and the button of the gallery goes dead. The
    # settings of files in jupyter_server_config.d do not reach Tornado; only extensions are read there.
    server.web_app.settings["websocket_max_message_size"] = 100 * 1024 * 1024
    manager = server.contents_manager
    read = manager.get

    async def get(*arguments: Any, **options: Any) -> dict[str, Any]:
        model: dict[str, Any] = await ensure_async(read(*arguments, **options))
        for data, described in _pictures(model):
            data.setdefault("text/html", described)
        return model

    manager.get = get
    manager.register_pre_save_hook(_before_save)


def _before_save(*, model: dict[str, Any], path: str, contents_manager: Any, **_: object) -> None:
    """Leave out what JupyterLab adds, of the kernel where the file does so too: others' notebooks stay theirs."""
    for data, described in _pictures(model):
        if data.get("text/html") == described:
            del data["text/html"]
    saved = Path(getattr(contents_manager, "root_dir", ""), path.strip("/"))
    if model.get("type") == "notebook" and model.get("content") and saved.is_file():
        before = json.loads(saved.read_text(encoding="utf-8") or "{}").get("metadata", {})
        metadata = model["content"]["metadata"]
        same_kernel = (metadata.get("kernelspec") or {}).get("name") == KERNEL["kernelspec"]["name"]
        if same_kernel and {name: before.get(name) for name in KERNEL} == KERNEL:
            metadata |= KERNEL


def _pictures(model: dict[str, Any]) -> Iterator[tuple[dict[str, str], str]]:
    """Yield the data of each picture in a notebook that has an alternative text, and the HTML that says it."""
    if model.get("type") == "notebook" and model.get("content"):
        for output in (output for cell in model["content"]["cells"] for output in cell.get("outputs", ())):
            about, png = output.get("metadata", {}).get("image/png"), output.get("data", {}).get("image/png")
            alt = about.get("alt") if isinstance(about, dict) else None
            if isinstance(alt, str) and isinstance(png, str):
                yield output["data"], as_html(png.replace("\n", ""), alt)

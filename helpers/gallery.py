"""A gallery to try models by hand: pick or upload an image, pick a model, see what it says."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from IPython import get_ipython

from helpers import images, plots
from helpers.aws import invocation
from helpers.endpoint import MultiModelEndpoint
from helpers.plots import style
from helpers.sources import image_files

_UPLOADED = "uploaded image"
_SHOWN_PIXELS = 300  # of a large photograph; the model gets the file as it is
# Base64 makes four bytes of three, and one call carries so many.
_UPLOAD_MEGABYTES = invocation.MAX_BODY_BYTES * 3 / 4 / 1e6


def is_headless() -> bool:
    """Return whether nobody sits in front of this kernel, as under papermill, nbval or nbconvert.

    Jupyter's messaging protocol tells it: with each cell a front end says whether it could ask a person for input
    (https://jupyter-client.readthedocs.io/en/stable/messaging.html, `allow_stdin`).
    """
    kernel = getattr(get_ipython(), "kernel", None)
    request = kernel.get_parent("shell") if kernel else {}
    return not request.get("content", {}).get("allow_stdin", False)


def show(
    endpoint: MultiModelEndpoint,
    samples: Mapping[str, np.ndarray],
    *,
    models: Sequence[str],
    class_names: Sequence[str],
    source: str,
) -> widgets.Widget | None:
    """Return a gallery for the person in front of the notebook, or None if there is nobody; see `Gallery`."""
    return None if is_headless() else Gallery(endpoint, samples, models, class_names, source).view


@dataclass
class Gallery:
    """Two lists and an upload above a picture of the answer, which follows each change.

    Its widgets are `image`, `upload` and `model`, to choose by, `answer`, a PNG, and `message`, what went wrong. `view`
    is the whole. `samples` are uint8 (H, W, 3) by the name that the list shows, and all models have the `class_names`.
    """

    endpoint: MultiModelEndpoint
    samples: Mapping[str, np.ndarray]
    models: Sequence[str]
    class_names: Sequence[str]
    source: str

    def __post_init__(self) -> None:
        """Build the widgets and ask about the first image."""
        self._files = {name: images.encode(pixels) for name, pixels in self.samples.items()}
        narrow = widgets.Layout(max_width="98%")  # as on a phone; the rest is its margin
        self.image = widgets.Dropdown(options=list(self._files), description="image", layout=narrow)
        self.model = widgets.Dropdown(options=list(self.models), description="model", layout=narrow)
        limit = math.floor(_UPLOAD_MEGABYTES * 10) / 10
        self.upload = widgets.FileUpload(
            accept=".jpg,.jpeg,.png", description=f"your image, up to {limit} MB", layout=widgets.Layout(width="auto")
        )
        # Boxes stretch what is in them: the picture keeps its own size, or shrinks on a narrow screen.
        own_size = widgets.Layout(align_self="flex-start", width="auto", height="auto", max_width="100%")
        self.answer, self.message = widgets.Image(format="png", layout=own_size), widgets.HTML()
        choices = widgets.HBox([self.image, self.upload], layout=widgets.Layout(flex_flow="row wrap"))
        self.view = widgets.VBox([choices, self.model, self.message, self.answer])
        self.upload.observe(self._take_upload, "value")
        for choice in (self.image, self.model):
            choice.observe(self._ask, "value")
        self._ask()

    def _take_upload(self, change: Mapping[str, Any]) -> None:
        if change["new"]:
            self._files[_UPLOADED] = bytes(change["new"][0]["content"])
            # Emptied first, so that a second upload counts as a change as well.
            self.image.value = None
            self.image.options = list(self._files)
            self.image.value = _UPLOADED

    def _ask(self, _: Mapping[str, Any] | None = None) -> None:
        if self.image.value is None:
            return
        self.message.value, self.answer.layout.display = "", None
        try:
            self.answer.value = self._draw(self._files[self.image.value])
        except (invocation.EndpointError, ValueError, OSError, BotoCoreError, ClientError) as error:
            self.message.value = html.escape(str(error))
            self.answer.value, self.answer.layout.display = b"", "none"  # or browsers draw a broken picture

    def _draw(self, file: bytes) -> bytes:
        """Ask the model and return the picture of its answer."""
        said = self.endpoint.predict([file], target_model=self.model.value)
        figure = plots.predictions(
            np.asarray(image_files.read(file, within=_SHOWN_PIXELS))[None],
            said.labels,
            said.probabilities,
            self.class_names,
            title=self.model.value,
            source="an image of yours" if self.image.value == _UPLOADED else self.source,
        )
        return style.png(figure)

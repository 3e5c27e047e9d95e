"""A gallery to try models by hand: pick or upload an image, pick a model, see what it says."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from IPython import get_ipython

from helpers import images, plots
from helpers.aws import invocation
from helpers.aws.invocation import EndpointError
from helpers.endpoint import MultiModelEndpoint
from helpers.plots import style

_UPLOADED = "uploaded image"
# Large photographs are shown small; the model gets the file as it is.
_SHOWN_PIXELS = 300
# Base64 makes four bytes of three, and one call carries so many.
_UPLOAD_MEGABYTES = invocation.MAX_BODY_BYTES * 3 / 4 / 1e6


def is_headless() -> bool:
    """Return whether nobody sits in front of this kernel, as under papermill, nbval or nbconvert.

    Jupyter's messaging protocol tells it: with each cell a front end says whether it could ask a person for input
    (https://jupyter-client.readthedocs.io/en/stable/messaging.html, ``allow_stdin``).
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
    """Return a gallery for the person in front of the notebook, or None if there is nobody.

    Args:
        endpoint: Answers.
        samples: Images to pick from, uint8 (H, W, 3), by the name that the list shows.
        models: Target models to pick from.
        class_names: Class names of all these models, in the order of their probabilities.
        source: Where the images come from.
    """
    if is_headless():
        return None
    return Gallery(endpoint, samples, models=models, class_names=class_names, source=source).view


class Gallery:
    """Two lists and an upload above a picture of the answer, which follows each change.

    Attributes:
        view: The whole, to be shown.
        image: List of images.
        upload: Button for an image file.
        model: List of models.
        answer: The image beside the most probable classes, as PNG.
        message: What went wrong, or nothing.
    """

    def __init__(
        self,
        endpoint: MultiModelEndpoint,
        samples: Mapping[str, np.ndarray],
        *,
        models: Sequence[str],
        class_names: Sequence[str],
        source: str,
    ) -> None:
        """Build the widgets and ask about the first image; the arguments are those of `show`."""
        self._endpoint, self._class_names, self._source = endpoint, class_names, source
        self._files = {name: images.encode(pixels) for name, pixels in samples.items()}
        narrow = widgets.Layout(max_width="98%")  # as on a phone; the rest is its margin
        self.image = widgets.Dropdown(options=list(self._files), description="image", layout=narrow)
        self.model = widgets.Dropdown(options=list(models), description="model", layout=narrow)
        self.upload = widgets.FileUpload(
            accept=".jpg,.jpeg,.png",
            multiple=False,
            description=f"your image, up to {math.floor(_UPLOAD_MEGABYTES * 10) / 10} MB",
            layout=widgets.Layout(width="auto"),
        )
        # Boxes stretch what is in them: the picture keeps its own size, or shrinks on a narrow screen.
        own_size = widgets.Layout(align_self="flex-start", width="auto", height="auto", max_width="100%")
        self.answer, self.message = widgets.Image(format="png", layout=own_size), widgets.HTML()
        wrapped = widgets.Layout(flex_flow="row wrap")
        self.view = widgets.VBox(
            [widgets.HBox([self.image, self.upload], layout=wrapped), self.model, self.message, self.answer]
        )
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
        file, self.message.value = self._files[self.image.value], ""
        try:
            said = self._endpoint.predict([file], target_model=self.model.value)
            self.answer.value, self.answer.layout.display = self._draw(file, said.labels, said.probabilities), None
        except (EndpointError, ValueError, OSError, BotoCoreError, ClientError) as error:
            self.message.value = html.escape(str(error))
            self.answer.value, self.answer.layout.display = b"", "none"  # or browsers draw a broken picture

    def _draw(self, file: bytes, labels: Sequence[str], probabilities: np.ndarray) -> bytes:
        shown = images.read(file, within=_SHOWN_PIXELS)
        uploaded = self.image.value == _UPLOADED
        figure = plots.predictions(
            np.asarray(shown)[None],
            labels,
            probabilities,
            self._class_names,
            title=self.model.value,
            source="an image of yours" if uploaded else self._source,
        )
        return style.png(figure)

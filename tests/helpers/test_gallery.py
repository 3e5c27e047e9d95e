import datetime
import io

import numpy as np
import pytest
from botocore.exceptions import ClientError
from jupyter_client.manager import start_new_kernel
from PIL import Image

from helpers import gallery, images
from helpers.aws.invocation import EndpointError, Predictions, request_body

SAMPLES = {"dark": np.zeros((8, 8, 3), np.uint8), "bright": np.full((8, 8, 3), 255, np.uint8)}


class Endpoint:
    """Answers by the brightness of the file, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def predict(self, files, *, target_model):
        self.asked.append((files[0], target_model))
        if target_model == "broken.tar.gz":
            raise EndpointError("broken.tar.gz refused the request: <no reason>")
        with Image.open(io.BytesIO(files[0])) as image:
            bright = np.asarray(image).mean() / 255
        return Predictions(["bright" if bright > 0.5 else "dark"], np.array([[1 - bright, bright]]), 0.01)


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
def view(endpoint):
    models = ["a.tar.gz", "b.tar.gz", "broken.tar.gz"]
    return gallery.Gallery(endpoint, SAMPLES, models=models, class_names=["dark", "bright"], source="a test")


def upload(view, content, name="mine.png"):
    modified = datetime.datetime.now(datetime.UTC)
    view.upload.value = (
        {"name": name, "type": "image/png", "size": len(content), "content": content, "last_modified": modified},
    )


def test_it_begins_with_the_first_choices_and_each_other_one_changes_the_picture(view, endpoint):
    assert endpoint.asked == [(images.encode(SAMPLES["dark"]), "a.tar.gz")]
    before = view.answer.value
    assert Image.open(io.BytesIO(before)).format == "PNG"
    view.image.value = "bright"
    picture = view.answer.value
    assert picture != before
    view.model.value = "b.tar.gz"
    assert endpoint.asked[1:] == [(images.encode(SAMPLES["bright"]), model) for model in ("a.tar.gz", "b.tar.gz")]
    assert view.answer.value != picture


def test_an_uploaded_file_goes_to_the_model_as_it_is_and_stays_in_the_list(view, endpoint):
    photograph = images.encode(np.full((900, 1200, 3), 200, np.uint8), "JPEG")
    upload(view, photograph)
    assert endpoint.asked[-1] == (photograph, "a.tar.gz")
    assert list(view.image.options) == ["dark", "bright", "uploaded image"] and view.image.value == "uploaded image"
    second = images.encode(np.full((5, 5, 3), 9, np.uint8))
    upload(view, second)
    assert endpoint.asked[-1] == (second, "a.tar.gz") and len(endpoint.asked) == 3
    view.image.value = "dark"
    view.image.value = "uploaded image"
    assert endpoint.asked[-1] == (second, "a.tar.gz")


def test_what_goes_wrong_is_said_and_the_next_choice_answers_again(view):
    view.model.value = "broken.tar.gz"
    assert view.message.value == "broken.tar.gz refused the request: &lt;no reason&gt;" and view.answer.value == b""
    assert view.answer.layout.display == "none"  # no broken picture
    view.model.value = "a.tar.gz"
    assert view.message.value == "" and view.answer.value and view.answer.layout.display is None
    upload(view, b"no image")
    assert "cannot identify image file" in view.message.value and view.answer.value == b""


def test_an_uploaded_photo_is_shown_upright(view, monkeypatch):
    shown = []
    drawn = gallery.plots.predictions
    monkeypatch.setattr(
        gallery.plots, "predictions", lambda found, *a, **k: shown.append(found) or drawn(found, *a, **k)
    )
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :300] = 255
    exif, photo = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(photo, "JPEG", exif=exif)
    upload(view, photo.getvalue())
    (picture,) = shown[-1]
    assert picture.shape == (300, 150, 3)
    assert picture[:140].min() > 200 and picture[160:].max() < 50


def test_the_picture_keeps_its_size_and_the_limit_of_an_upload_is_said(view):
    layout = view.answer.layout
    assert (layout.align_self, layout.width, layout.max_width) == ("flex-start", "auto", "100%")
    assert view.upload.description == "your image, up to 4.7 MB"
    request_body([bytes(int(4.7e6))])
    with pytest.raises(ValueError, match="one call may carry"):
        request_body([bytes(int(4.8e6))])


def test_an_error_of_the_service_is_said_as_well(view, endpoint, monkeypatch):
    def fail(*_, **__):
        raise ClientError(
            {"Error": {"Code": "ValidationError", "Message": "Endpoint <x> not found."}}, "InvokeEndpoint"
        )

    monkeypatch.setattr(endpoint, "predict", fail)
    view.model.value = "b.tar.gz"
    assert view.message.value.endswith("Endpoint &lt;x&gt; not found.") and view.answer.value == b""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("person", [True, False])
def test_it_is_shown_to_a_person_and_to_nobody_else(kernel, project, person):
    code = f"""
import sys; sys.path.insert(0, {str(project)!r})
import numpy as np
from helpers import gallery
from helpers.aws.invocation import Predictions
class Endpoint:
    def predict(self, files, *, target_model):
        return Predictions(["a"], np.array([[0.9, 0.1]]), 0.01)
gallery.show(Endpoint(), {{"x": np.zeros((4, 4, 3), np.uint8)}}, models=["m"], class_names=["a", "b"], source="s")
"""
    outputs = []
    kernel.execute_interactive(code, allow_stdin=person, timeout=60, output_hook=outputs.append)
    assert not [message for message in outputs if message["msg_type"] == "error"]
    shown = [message for message in outputs if message["msg_type"] == "execute_result"]
    assert len(shown) == person
    if person:
        assert "application/vnd.jupyter.widget-view+json" in shown[0]["content"]["data"]


def test_outside_a_notebook_there_is_nobody(endpoint):
    assert gallery.is_headless()
    assert gallery.show(endpoint, SAMPLES, models=["a.tar.gz"], class_names=["dark", "bright"], source="s") is None
    assert endpoint.asked == []

"""What AWS's container 2.20 was observed to answer (deep-learning-containers e0ecedea, TensorFlow Serving 9d981c5c).

Each row of the files in ``contract`` is a call and its answer. Ports, numbers of seconds and the layout of white space
are no part of it, and an answer may say more than AWS's does. Where we are
stricter on purpose, ``is_stricter`` says so."""

import base64
import functools
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local_sagemaker.container import single_model_proxy

pytestmark = pytest.mark.slow

CONTRACT = Path(__file__).parent / "contract"
MODELS = "/opt/ml/models"


@functools.cache
def rows(name):
    return [json.loads(line) for line in (CONTRACT / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The models of the rows."""
    folder = tmp_path_factory.mktemp("contract")
    subprocess.run([sys.executable, CONTRACT / "saved_models.py", folder], check=True, capture_output=True)
    for script in (CONTRACT / "scripts").iterdir():
        shutil.copytree(folder / "models/hp2", folder / "models" / script.name)
        shutil.copytree(script, folder / "models" / script.name / "model/code")
    shutil.copytree(CONTRACT / "scripts/h_io", folder / "single/io/code")
    shutil.copytree(folder / "models/hp2", folder / "models/h_syntax")
    (folder / "models/h_syntax/model/code").mkdir()
    (folder / "models/h_syntax/model/code/inference.py").write_text("def handler(data, context:\n    pass\n")
    return folder


@pytest.fixture(scope="module")
def servables(saved):
    """A function that returns a loaded model of the predict rows, which takes less time with a graph of its own."""
    from local_sagemaker.container.servables import Servable

    loaded = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_SAGEMAKER_ENGINE", "own")
        yield lambda name: loaded.get(name) or loaded.setdefault(name, Servable(name, saved / "predict" / name / "1"))


def comparable(text, folder=None):
    """An answer without what is no part of the contract: a document if it is JSON."""
    text = text.replace(str(folder), MODELS) if folder else text
    text = re.sub(r"(localhost:\d+)/[\w-]+(?=/v1/models/)", r"\1", text)  # the secret of our address
    text = re.sub(r"(port |localhost:|grpc_port\": ?|after |timeout\": ?|\A)\d+(?= grpc|\.|\b)", r"\1N", text)
    try:
        return tidy(json.loads(text))
    except ValueError:
        return tidy(text)


def tidy(value):
    if isinstance(value, dict):
        return {key: comparable(item) if key == "description" else tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tidy(item) for item in value]
    if isinstance(value, str):  # the stand-in of the container rows left quotation marks out; we name no nodes
        return re.sub(r"\s+", " ", value.partition("\n\t [[")[0].replace("'", "")).strip()
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def says(answer, wanted):
    """Whether an answer is the wanted one; where that is a text, it may go on."""
    if isinstance(wanted, dict):
        return answer.keys() == wanted.keys() and all(says(answer[key], wanted[key]) for key in wanted)
    return answer.startswith(wanted) if isinstance(wanted, str) else answer == wanted


def is_stricter(model, body, status):
    """Whether a request is refused here only: 8 and 16 bits would wrap, or the answer would be no UTF-8."""
    if status != 200:
        return False
    numbers = [int(number) for number in re.findall(r"-?\d+", body if isinstance(body, str) else "")]
    ranges = {"id_int8": (-128, 127), "id_uint8": (0, 255), "id_int16": (-(2**15), 2**15 - 1)}
    low, high = ranges.get(model, (-math.inf, math.inf))
    return any(not low <= number <= high for number in numbers)


@pytest.mark.parametrize("number", range(len(rows("predict"))))
def test_tensorflow_serving(servables, number):
    from local_sagemaker.container.tensors import RequestError

    model, body, status, answer = rows("predict")[number]
    sent = base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode()
    try:
        found = 200, json.loads(servables(model).predict(sent))
    except RequestError as error:
        found = error.status, str(error)
    if answer is None or is_stricter(model, body, status):
        assert found[0] == 400
        return
    assert found[0] == status
    assert says(tidy(found[1]), tidy(answer))


@pytest.fixture(scope="module")
def multi_model(saved, start_container):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_TFS_WAIT_TIME_SECONDS", "12")
        return start_container()


def test_multi_model_mode(multi_model, saved):
    folder = saved / "models"
    wrong = []
    for case, method, path, headers, body, status, content_type, answer in rows("multi_model"):
        encoding = "latin-1" if case == "not utf-8" else "utf-8"
        sent = body.replace(MODELS, str(folder)).encode(encoding)
        headers = {name.lower(): value for name, value in headers.items()}
        found = multi_model.raw(method, path.partition("?")[0], sent, **headers)
        wanted = comparable(answer if isinstance(answer, str) else json.dumps(answer))
        if found[:2] != (status, content_type) or not says(
            comparable(found[2].decode("utf-8", "replace"), folder), wanted
        ):
            wrong.append((case, found, status, content_type, answer))
    assert not wrong


@pytest.mark.parametrize("model", ["hp", "mul", "two", "text", "io"])
def test_single_model_mode(start_container, saved, model):
    container = start_container()
    request = {"model_name": model, "url": str(saved / "single" / model), "single": True}
    assert container.call("POST", "/models", json.dumps(request).encode())[0] == 200
    wrong = []
    for case, name, method, path, headers, body, status, content_type, answer, reaching in rows("single_model"):
        if name != model:
            continue
        headers = {key.lower(): value for key, value in headers.items()}
        found = container.raw(method, path, body.encode(), **headers)
        wanted = comparable(answer if isinstance(answer, str) else json.dumps(answer))
        if found[:2] != (status, content_type) or not says(comparable(found[2].decode()), wanted):
            wrong.append((case, found, status, content_type, answer))
        if reaching and model != "io":
            media_type = headers["content-type"].partition(";")[0]
            assert single_model_proxy.convert(media_type, body.encode()) == reaching[0].encode(), case
    assert not wrong

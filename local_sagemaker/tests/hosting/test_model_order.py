from pathlib import Path

from local_sagemaker.hosting.model_order import ModelOrder
from local_sagemaker.hosting.models import Model, ModelSource


def model(key):
    return Model(ModelSource("bucket", key, key), Path(key))


def keys(order):
    return [item.source.key for item in order]


def test_the_least_recently_used_model_is_first():
    order = ModelOrder()
    models = {key: model(key) for key in "abc"}
    for item in models.values():
        order.add(item)
    order.touch(models["a"])
    assert keys(order) == ["b", "c", "a"]
    assert order.first(lambda item: item is not models["b"]) is models["c"]
    assert order.first(lambda item: False) is None
    order.add(models["b"])
    assert (keys(order), len(order)) == (["c", "a", "b"], 3)


def test_a_model_that_is_not_there_is_neither_touched_nor_forgotten():
    order = ModelOrder()
    here = model("a")
    order.add(here)
    order.touch(model("b"))
    order.discard(model("a"))  # another one of that name
    assert order.get(here.source.model_name) is here
    order.discard(here)
    assert (len(order), order.get(here.source.model_name)) == (0, None)


def test_looking_for_the_first_does_not_look_at_the_others():
    order, seen = ModelOrder(), []
    for number in range(1000):
        order.add(model(str(number)))
    assert order.first(lambda item: seen.append(item) or True).source.key == "0"
    assert len(seen) == 1

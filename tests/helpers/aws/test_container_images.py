import pytest

from helpers.aws import container_images


@pytest.mark.parametrize(("instance", "processor"), [("ml.c5.xlarge", "cpu"), ("ml.g4dn.xlarge", "gpu")])
def test_the_images_fit_the_instance(connection, instance, processor):
    training = container_images.training_image(connection, instance)
    serving = container_images.serving_image(connection, instance)
    assert "/tensorflow-training:2.21" in training and processor in training
    assert "/tensorflow-inference:2.20" in serving and (processor == "gpu") == ("gpu" in serving)
    assert all(f".{connection.region}." in image for image in (training, serving))

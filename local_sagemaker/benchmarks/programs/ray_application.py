"""SavedModels behind Ray Serve, multiplexed in one replica, as its page "Model Multiplexing" shows."""

import argparse
import base64
import signal
import threading
from pathlib import Path
from typing import Any

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=16, ray_actor_options={"num_cpus": 1})
class SavedModels:
    """The models of a folder, each loaded by its first call."""

    def __init__(self, repository: str) -> None:
        """Serve the models of a folder."""
        self._repository = Path(repository)

    @serve.multiplexed(max_num_models_per_replica=10_000)
    async def load(self, model_id: str) -> Any:
        """Load a model."""
        import tensorflow as tf

        return tf.saved_model.load(str(self._repository / model_id / "1"))

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Call the signature that fits the request."""
        import tensorflow as tf

        document = await request.json()
        model = await self.load(serve.get_multiplexed_model_id())
        if "image_bytes" in document:
            encoded = [base64.b64decode(text) for text in document["image_bytes"]]
            outputs = model.signatures["serving_bytes"](image_bytes=tf.constant(encoded))
        else:
            instances = tf.constant(document["instances"], dtype=tf.float32)
            outputs = model.signatures["serving_default"](instances=instances)
        return {"probabilities": outputs["probabilities"].numpy().tolist()}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--temporary-folder", required=True)
    options = parser.parse_args()
    stopped = threading.Event()
    ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", _temp_dir=options.temporary_folder)
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    serve.run(SavedModels.bind(options.repository))
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    stopped.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()

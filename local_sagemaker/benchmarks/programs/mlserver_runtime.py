"""SavedModels behind MLServer, as its page "Custom Inference Runtimes" shows."""

import tensorflow as tf
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class SavedModel(MLModel):
    """A SavedModel; an input named ``image_bytes`` goes to its second signature."""

    async def load(self) -> bool:
        """Load the model that ``parameters.uri`` of its settings names."""
        self._model = tf.saved_model.load(self.settings.parameters.uri)
        return True

    async def unload(self) -> bool:
        """Forget the model."""
        del self._model
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Call the signature."""
        request_input = payload.inputs[0]
        decoded = self.decode(request_input, default_codec=NumpyCodec)
        if request_input.name == "image_bytes":
            outputs = self._model.signatures["serving_bytes"](image_bytes=tf.constant(decoded))
        else:
            outputs = self._model.signatures["serving_default"](instances=tf.constant(decoded))
        probabilities = NumpyCodec.encode_output("probabilities", outputs["probabilities"].numpy())
        return InferenceResponse(model_name=self.name, outputs=[probabilities])

"""The order in which models were used. None of its steps takes longer the more models there are."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from local_sagemaker.hosting.models import Model


class ModelOrder:
    """Models by name, the least recently used one first."""

    def __init__(self) -> None:
        """Start with none."""
        self._models: OrderedDict[str, Model] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of models."""
        return len(self._models)

    def __iter__(self) -> Iterator[Model]:
        """Yield the models, the least recently used one first."""
        return iter(self._models.values())

    def get(self, name: str) -> Model | None:
        """Return the model of a name, if there is one."""
        return self._models.get(name)

    def add(self, model: Model) -> None:
        """Take a model in as the most recently used one."""
        self._models[model.source.model_name] = model
        self.touch(model)

    def touch(self, model: Model) -> None:
        """Make a model the most recently used one, if it is here."""
        if model.source.model_name in self._models:
            self._models.move_to_end(model.source.model_name)

    def discard(self, model: Model) -> None:
        """Forget a model, if it is here; another one of its name stays."""
        if self._models.get(model.source.model_name) is model:
            del self._models[model.source.model_name]

    def clear(self) -> None:
        """Forget all models."""
        self._models.clear()

    def first(self, eligible: Callable[[Model], bool]) -> Model | None:
        """Return the least recently used model that is eligible; whoever asks often keeps the others few."""
        return next((model for model in self if eligible(model)), None)

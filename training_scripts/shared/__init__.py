"""What the training scripts have in common, and Keras, imported in two thirds of the time.

Keras takes scikit-learn, Matplotlib and pandas along where they are installed. The scripts need none of them, and a job
bills from its start.
"""

import sys

_LEFT_OUT = [name for name in ("sklearn", "matplotlib", "pandas") if name not in sys.modules]
# What Python takes for "cannot be imported".
sys.modules.update(dict.fromkeys(_LEFT_OUT))  # type: ignore[arg-type]
import keras  # noqa: E402
from keras import layers  # noqa: E402

for _name in _LEFT_OUT:
    del sys.modules[_name]

__all__ = ["keras", "layers"]

"""A training script that raises after it has written a model, for test_training.py."""

import os
from pathlib import Path

Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("half a model")
raise ValueError("the learning rate must be positive")

"""A training script that leaves a model and no reports, for test_training.py."""

import os
from pathlib import Path

Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("a model")

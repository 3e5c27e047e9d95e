"""A training script that does in a second what those of the series do; `--pause` makes it wait before each epoch."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

text = Path(os.environ["SM_CHANNEL_TRAINING"], "a.txt").read_text()
pause = float(sys.argv[sys.argv.index("--pause") + 1]) if "--pause" in sys.argv else 0.0
for epoch in (1, 2):
    time.sleep(pause)
    print(f"epoch {epoch}/2 loss=0.5 accuracy=0.9 val_loss=0.6 val_accuracy=0.8 seconds=0.1", flush=True)
Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(text)
output = Path(os.environ["SM_OUTPUT_DATA_DIR"])
part = {"accuracy": 0.9, "count": 10, "mistake_count": 1}
for name, document in (
    ("history", {"epoch": [1, 2]}),
    ("evaluation", {"validation": part, "test": {**part, "accuracy": 0.8}, "class_names": ["a", "b"]}),
    (
        "provenance",
        {"hyperparameters": sys.argv[1:], "data": {"source": "Two texts."}, "weights": {"description": "none."}},
    ),
):
    (output / f"{name}.json").write_text(json.dumps(document))
(output / "mistakes").mkdir()
for split in ("validation", "test"):
    np.savez(
        output / "mistakes" / f"{split}.npz",
        images=np.full((1, 2, 2, 3), 7, np.uint8),
        indices=np.array([4]),
        labels=np.array([0]),
        predictions=np.array([1]),
        probabilities=np.array([[0.1, 0.9]]),
    )

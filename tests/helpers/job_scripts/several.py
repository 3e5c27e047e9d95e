"""A training script that leaves several archives, for test_training.py."""

import os
import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).with_name("succeed.py")))
for name in "ab":
    Path(os.environ["SM_MODEL_DIR"], f"{name}.tar.gz").write_bytes(f"archive {name}".encode())

"""A training script that leaves several archives, for test_training.py."""

import os
import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).with_name("succeed.py")))
for name in "ab":
    Path(os.environ["SM_MODEL_DIR"], f"{name}.tar.gz").write_bytes(f"archive {name}".encode())
# Neither a link nor a folder is an archive.
Path(os.environ["SM_MODEL_DIR"], "link.tar.gz").symlink_to("a.tar.gz")
Path(os.environ["SM_MODEL_DIR"], "folder.tar.gz").mkdir()

#!/usr/bin/env bash
# jsonschema 4.26.0 with its extra "format-nongpl", which JupyterLab installs (rfc3987-syntax 1.1.0, lark 1.3.1, Python
# 3.11): `import jsonschema` takes some fifteen times as long as without.
#
# Input: `import jsonschema` in a new process, in two environments.
# One would expect: an extra for formats that are checked on request costs something once they are checked; the import
# stays as it was.
# Seen: the import takes the extra along, and rfc3987-syntax builds the parser of a grammar as it is imported: about a
# second, more than all else together. Whatever imports jsonschema beside JupyterLab pays it in each process, such as
# the SageMaker SDK (sagemaker-core 2.27), whose import takes half as long again.
#
# Needs Python with venv, pip's usual access to packages, and a minute. Exits with 1 once the import is less than three
# times as slow.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv plain
python3 -m venv extra
plain/bin/pip install --quiet --disable-pip-version-check jsonschema==4.26.0
extra/bin/pip install --quiet --disable-pip-version-check \
    "jsonschema[format-nongpl]==4.26.0" rfc3987-syntax==1.1.0 lark==1.3.1

measure() {  # the least processor seconds of five imports
    for _ in 1 2 3 4 5; do
        "$1" -c "import time; start = time.process_time(); import jsonschema; print(time.process_time() - start)"
    done | sort -g | head -n 1
}
plain=$(measure plain/bin/python)
extra=$(measure extra/bin/python)
echo "import jsonschema: $plain s; with the extra: $extra s"
python3 -c "import sys; sys.exit($extra < 3 * $plain)"

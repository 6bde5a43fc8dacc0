#!/bin/sh
# test_parity_transformers.sh: Transformers beside PyTorch, larger than those of tests/data/parity. Needs $GLIA_PYTHON, a python
# with torch and safetensors; without it the test is skipped.
python=${GLIA_PYTHON:-python3}
"$python" -c 'import torch, safetensors' 2>/dev/null || {
    echo "skipped: $python has no torch and safetensors (GLIA_PYTHON names a python that has)"
    exit 77
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" "${GLIA_SOURCE_DIR:?}/tools/parity/transformers.py" "$folder" || exit 1
GLIA_PARITY=$folder "${GLIA_BINARY_DIR:?}/tests/test_parity_layers"

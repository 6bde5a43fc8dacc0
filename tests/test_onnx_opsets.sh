#!/bin/sh
# What operators meant in the opsets 7 to 17, beside ONNX Runtime: small models of each, made by tools/onnx/dump_old_opsets.py.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${GLIA_PYTHON:-}" ] || ! "$GLIA_PYTHON" -c 'import onnx, onnxruntime' 2>/dev/null; then
    echo "skipped: GLIA_PYTHON names no Python with the packages onnx and onnxruntime"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$GLIA_PYTHON" "$top/tools/onnx/dump_old_opsets.py" "$work/models" 2>"$work/log" || { cat "$work/log"; exit 1; }
code=0
"${GLIA_BINARY_DIR:-$top/build/release}/tests/onnx_nodes" "$work"/models/* >"$work/results" || code=$?
grep -v ' passed ' "$work/results" && code=1
exit "$code"

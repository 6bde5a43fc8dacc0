#!/bin/sh
# ONNX's own node tests: none may fail, and docs/onnx.md must say what became of them. With an argument, a file, the table goes
# there instead:
#     GLIA_PYTHON=python3 GLIA_BINARY_DIR=build/release tests/test_onnx_nodes.sh docs/onnx.md
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
python=${GLIA_PYTHON:-}
if [ -z "$python" ] || ! version=$("$python" -c 'import onnx; print(onnx.__version__)' 2>/dev/null); then
    echo "skipped: GLIA_PYTHON names no Python with the package onnx, which makes these tests"
    exit 77
fi
build=${GLIA_BINARY_DIR:-$top/build/release}
tests=$build/onnx_node_tests-$version # made once: it takes longer than to run them
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ ! -d "$tests" ]; then
    "$python" "$top/tools/onnx/dump_node_tests.py" "$work/tests" 2>"$work/dump.log" || { cat "$work/dump.log"; exit 1; }
    mv "$work/tests" "$tests"
fi
code=0
"$build/tests/onnx_nodes" "$tests"/test_* >"$work/results" || code=$?
grep ' failed ' "$work/results" || true
"$python" "$top/tools/onnx/node_table.py" "$work/results" "$version" >"$work/table"
grep '^\*\*' "$work/table"
if [ $# != 0 ]; then
    cp "$work/table" "$1"
elif ! grep -q "^$version); do not edit" "$top/docs/onnx.md"; then
    echo "docs/onnx.md is of another version of the package onnx than $version: not compared"
elif ! diff "$top/docs/onnx.md" "$work/table"; then
    echo "docs/onnx.md is out of date; make it anew: tests/test_onnx_nodes.sh docs/onnx.md"
    code=1
fi
exit "$code"

#!/bin/sh
# ONNX's own node tests: none may fail. With an argument, a file, the table of docs/onnx.md goes there:
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
[ $# = 0 ] || "$python" "$top/tools/onnx/node_table.py" "$work/results" "$version" >"$1"
passed=$(grep -c ' passed ' "$work/results" || true)
echo "$passed passed"
[ "$passed" -ge 1230 ] || { echo "fewer than before: something that was read is not any more"; exit 1; }
exit "$code"

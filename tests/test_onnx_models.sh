#!/bin/sh
# Networks that others trained, beside ONNX Runtime, or beside outputs stored with them: the same numbers, or refused with the reason.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
models=${GLIA_DATA:-}/models runner=${GLIA_BINARY_DIR:-$top/build/release}/tests/onnx_nodes
[ -n "${GLIA_DATA:-}" ] && [ -d "$models" ] || { echo "skipped: there are no models in GLIA_DATA"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
# expect FOLDER WORD...: the runner's line has all the words
expect() {
    "$runner" "$1" >"$work/line" 2>/dev/null || true
    shift
    for word in "$@"; do
        grep -q "$word" "$work/line" || { echo "expected '$word':"; cat "$work/line"; failed=1; }
    done
}
expect "$models/mnist_onnx" ' passed ' # three stored outputs
if [ -n "${GLIA_PYTHON:-}" ] && "$GLIA_PYTHON" -c 'import onnx, onnxruntime' 2>/dev/null; then
    "$GLIA_PYTHON" "$top/tools/onnx/dump_models.py" "$work" "$models"/onnx_light/*.onnx "$models"/ultraface/*.onnx \
        "$models"/yunet/*.onnx "$models"/silero_vad/*.onnx
    for name in light_resnet50 light_squeezenet version-RFB-320 yunet_n_320_320; do # the light ones also give their stored outputs
        expect "$work/$name" ' passed '
    done
    expect "$work/silero_vad_16k_op15" ' refused ' "If ('/model/decoder/If_1'" 'opset 15'
else
    echo "without ONNX Runtime: GLIA_PYTHON names no Python that has it"
fi
exit "$failed"

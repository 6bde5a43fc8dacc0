#!/bin/sh
# test_onnx_export.sh: what `glia export --format onnx` writes, checked by ONNX's checker and run by ONNX Runtime, which are used for
# nothing else: every case of every op at several opsets, networks of all layers, and (with $GLIA_DATA) all test pictures
# of MNIST. Needs $GLIA_PYTHON, a python with numpy, onnx and onnxruntime; without it the test is skipped.
data=${GLIA_DATA:-}
python=${GLIA_PYTHON:-python3}
"$python" -c 'import numpy, onnx, onnxruntime' 2>/dev/null || {
    echo "skipped: $python has no numpy, onnx and onnxruntime (GLIA_PYTHON names a python that has)"
    exit 77
}
# shellcheck source=tests/cli.sh
. "${GLIA_SOURCE_DIR:?}/tests/cli.sh"
parity=$GLIA_SOURCE_DIR/tools/parity

mkdir cases
GLIA_ONNX_CASES=cases "${GLIA_BINARY_DIR:?}/tests/test_onnx_ops" every_case >cases.txt || say_failed "test_onnx_ops" "$(tail cases.txt)"
expect 0 " 0 failed" "$python" "$parity/onnx_cases.py" cases cases.txt
printf '%s\n' "$out"

# run_equal RUN INPUT OPTIONS...: a run, exported, says of INPUT what `glia predict` says
run_equal() {
    run=$1 input=$2
    shift 2
    expect 0 "wrote model.onnx" "$GLIA" export "$run" -o model.onnx --preprocess --probabilities "$@"
    "$GLIA" predict "$run" "$input" --top 100 --json --quiet >predictions.jsonl
    expect 0 "equal" "$python" "$parity/onnx_run.py" model.onnx "$input" predictions.jsonl
    printf '%s %s: %s\n' "$run" "$*" "$out"
}

cat >wide.yaml <<'END'
data:
  source: {idx: {images: data/images.idx, labels: data/labels.idx}}
  normalize: yes
  split: {validation: 20, test: 20}
model:
  - conv2d: {filters: 4, kernel: 3, padding: same, strides: 2, activation: relu, name: a}
  - batch_norm
  - conv2d: {filters: 4, kernel: 3, padding: same, groups: 2, activation: gelu, name: b}
  - add: {inputs: [a, b]}
  - conv2d: {filters: 6, kernel: 3, padding: same, dilation: 2, use_bias: no, activation: silu, name: c}
  - average_pool2d: {size: 3, strides: 1, padding: same, name: d}
  - multiply: {inputs: [c, d]}
  - concat: {inputs: [a, c]}
  - max_pool2d: {size: 2, padding: same}
  - dropout: 0.3
  - reshape: [10, 2, 2]
  - activation: leaky_relu
  - global_average_pool2d
  - flatten
  - dense: {units: 8, activation: selu}
  - batch_norm
  - dense: {units: 8, activation: elu}
  - dense: {units: 8, activation: softplus}
  - dense: {units: 8, activation: hard_sigmoid}
  - dense: {units: 8, activation: softsign}
  - dense: {units: 8, activation: tanh}
  - dense: {units: 8, activation: sigmoid}
  - dense: 3
train: {epochs: 2, batch_size: 16, seed: 3, threads: 1}
END
expect 0 "saved runs/wide" "$GLIA" train wide.yaml --out runs/wide
expect 0 "saved runs/net" "$GLIA" train net.yaml --out runs/net
for opset in 13 17 20 23; do run_equal runs/wide data/images.idx --opset $opset; done
run_equal runs/net data/images.idx --external 64
expect_file model.onnx.data

# The same bytes again; options that are none; a figure for programs.
expect 0 '"opset":17' "$GLIA" export runs/net -o a.onnx --json
expect 0 "opset 17" "$GLIA" export runs/net -o b.onnx
same a.onnx b.onnx "two exports differ"
expect 2 "opset" "$GLIA" export runs/net -o b.onnx --opset 12
expect 2 "no option of --format safetensors" "$GLIA" export runs/net --format safetensors --opset 17

if [ -n "$data" ] && [ -e "$data/mnist" ]; then
    export GLIA_DATA="$data"
    expect 0 "saved runs/mnist" "$GLIA" train "$GLIA_SOURCE_DIR/examples/mnist_cnn.yaml" data.limit=6000 train.epochs=1 --out runs/mnist
    images=$(find "$data/mnist/" -name 't10k-images*' | head -1)
    run_equal runs/mnist "$images"
else
    echo "note: no MNIST in \$GLIA_DATA: its 10,000 test pictures are left out"
fi
finish

#!/bin/sh
# test_parity_weights.sh: files of weights against the libraries that made the formats: numpy, safetensors, h5py, PyTorch. $GLIA_PYTHON
# is a Python that has them; without it the test is skipped. The real models are in $GLIA_DATA.
data=${GLIA_DATA:-}
: "${GLIA_SOURCE_DIR:?}"
python=${GLIA_PYTHON:-}
if [ -z "$python" ] || ! "$python" -c 'import numpy' 2>/dev/null; then
    echo "skipped: set GLIA_PYTHON to a Python with numpy, safetensors, h5py and torch"
    exit 77
fi
# shellcheck source=tests/cli.sh
. "$GLIA_SOURCE_DIR/tests/cli.sh"
parity=$GLIA_SOURCE_DIR/tools/parity/weights.py
has() { "$python" -c "import $1" 2>/dev/null || { echo "note: no $1: its part is skipped"; return 1; }; }

# --- NPZ: ours read by numpy, numpy's by us ---
expect 0 "saved runs/net-3" "$GLIA" train net.yaml train.epochs=2
expect 0 "4 arrays" "$GLIA" convert runs/net-3/best.safetensors ours.npz
expect 0 "" "$python" "$parity" repack ours.npz packed.npz
expect 0 "saved runs/packed" "$GLIA" import --weights packed.npz net.yaml --out runs/packed
same runs/net-3/best.safetensors runs/packed/best.safetensors "weights change on their way through numpy"

# --- safetensors: ours, under PyTorch's names, read by the library and by PyTorch ---
if has safetensors; then
    expect 0 "wrote t.safetensors" "$GLIA" export runs/net-3 -o t.safetensors --names pytorch
    expect 0 "wrote k.npz" "$GLIA" export runs/net-3 -o k.npz --names keras
    expect 0 "ok" "$python" "$parity" exported ours.npz t.safetensors k.npz
fi

# --- PyTorch: a module's weights, and what it computes with them ---
if has torch && has safetensors; then
    expect 0 "" "$python" "$parity" torch theirs.safetensors torch.yaml inputs.npy outputs.npy
    expect 0 "names of pytorch: 14 loaded, 0 missing, 0 of another shape, 0 unexpected, 2 ignored" \
        "$GLIA" import --weights theirs.safetensors torch.yaml --input 2x8x8 --out runs/torch
    "$GLIA" predict runs/torch inputs.npy --json >got.json
    expect 0 "ok" "$python" "$parity" compare got.json outputs.npy 1e-5
fi

# --- recurrent layers: PyTorch's in both directions, and back under its names; Keras's, by its formulas ---
# recurrent WEIGHTS NAMES MODEL: what Glia predicts of the inputs with their weights
recurrent() {
    expect 0 "names of $2: " "$GLIA" import --weights "$1" "$3" --input 7x5 --out "runs/$2-steps"
    "$GLIA" predict "runs/$2-steps" inputs.npy --json >got.json
    expect 0 "ok" "$python" "$parity" compare got.json outputs.npy 1e-5
}
if has torch && has safetensors; then
    expect 0 "" "$python" "$parity" torch_recurrent steps.safetensors steps.yaml inputs.npy outputs.npy
    recurrent steps.safetensors pytorch steps.yaml
    expect 0 "wrote back.npz" "$GLIA" export runs/pytorch-steps -o back.npz --names pytorch
    expect 0 "steps.npz" "$GLIA" convert steps.safetensors steps.npz
    expect 0 "" "$python" -c 'import numpy; a, b = numpy.load("back.npz"), numpy.load("steps.npz"); assert sorted(a) == sorted(b) and all((a[k] == b[k]).all() for k in a)'
fi
expect 0 "" "$python" "$parity" keras_recurrent steps.npz inputs.npy outputs.npy
recurrent steps.npz keras keras_recurrent.yaml

# --- a real file of PyTorch's names, measured on what it learnt ---
if [ -r "$data/models/burn_mnist/mnist.safetensors" ] && [ -d "$data/mnist" ]; then
    cat >burn.yaml <<'END'
data: {source: mnist, normalize: yes}
model:
  - conv2d: {name: conv1, filters: 8, kernel: 3, activation: relu}
  - conv2d: {name: conv2, filters: 16, kernel: 3, activation: relu}
  - conv2d: {name: conv3, filters: 24, kernel: 3, activation: relu}
  - batch_norm: {name: norm1}
  - flatten
  - dense: {name: fc1, units: 32, activation: relu}
  - dense: {name: fc2, units: 10}
  - batch_norm: {name: norm2}
loss: softmax_cross_entropy
END
    expect 0 "names of pytorch: 18 loaded, 0 missing, 0 of another shape, 0 unexpected, 2 ignored" env GLIA_DATA="$data" \
        "$GLIA" import --weights "$data/models/burn_mnist/mnist.safetensors" burn.yaml --out runs/burn
    expect 0 "accuracy                0.9917" env GLIA_DATA="$data" "$GLIA" evaluate runs/burn
fi

# --- Keras: layouts as numpy computes them; a real model ---
if "$GLIA" doctor | grep -q '^hdf5 *none'; then
    echo "note: this build has no HDF5: Keras's files are skipped"
elif has h5py; then
    expect 0 "wrote w.npz" "$GLIA" export runs/net-3 -o w.npz --names keras
    expect 0 "w.h5: 4 arrays" "$GLIA" convert w.npz w.h5
    expect 0 "ok" "$python" "$parity" keras_loader w.npz w.h5
    expect 0 "" "$python" "$parity" keras made.keras inputs.npy outputs.npy
    expect 0 "saved runs/made" "$GLIA" import made.keras --out runs/made
    "$GLIA" predict runs/made inputs.npy --json --top 5 >got.json
    expect 0 "ok" "$python" "$parity" compare got.json outputs.npy 1e-5
    if [ -r "$data/models/keras_mnist/mnist.h5" ] && [ -d "$data/mnist" ]; then
        export GLIA_DATA="$data"
        expect 0 "names of keras: 8 loaded, 0 missing, 0 of another shape, 0 unexpected" \
            "$GLIA" import "$data/models/keras_mnist/mnist.h5" data.source=mnist data.scale=1/255 --out runs/mnist
        expect 0 "" "$python" "$parity" keras_mnist "$data/models/keras_mnist/mnist.h5" "$data/mnist" inputs.npy outputs.npy
        "$GLIA" predict runs/mnist inputs.npy --json --top 10 >got.json
        expect 0 "ok" "$python" "$parity" compare got.json outputs.npy 1e-5
        expect 0 "accuracy                0.9843" "$GLIA" evaluate runs/mnist
        expect 0 "saved runs/alone" "$GLIA" import "$data/models/keras_mnist/mnist.h5" data.scale=1/255 --out runs/alone
        expect 0 "accuracy                0.9843" "$GLIA" evaluate runs/alone --data mnist:test
        expect 1 "there are no data: the model was imported without; give --data SOURCE" "$GLIA" evaluate runs/alone
    fi
fi
finish

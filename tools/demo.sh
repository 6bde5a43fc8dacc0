#!/bin/sh
# demo.sh [GLIA]: trains the tutorial network on real digits, measures it on the test set, writes a report, and says
# what to try next. `glia train` finds the data: $GLIA_DATA, the user's cache, a download, or Debian's
# dataset-fashion-mnist where there is no network.
set -eu
cd "$(dirname "$0")/.."
glia=${1:-build/release/glia}
run=runs/demo
[ -x "$glia" ] || { echo "demo: no program at $glia; run 'make all' first" >&2; exit 1; }

"$glia" train examples/mnist_cnn.yaml --out "$run" --force
echo
"$glia" evaluate "$run"

cat <<TEXT

What is where:
  examples/mnist_cnn.yaml     the network, its data and its training: change a line and train again
  $run/report.html       curves, confusion matrix, worst mistakes: open it in a browser
  $run/best.safetensors  the weights of the best epoch
Try next:
  $glia summary $run
  $glia data show mnist:test --index 3
  $glia predict $run YOUR_DIGIT.png --invert
  $glia train examples/mnist_cnn.yaml model.conv2d.filters=64 train.epochs=3
  $glia init --task image-classification my_network.yaml
TEXT

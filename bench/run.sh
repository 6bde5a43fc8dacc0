#!/bin/sh
# run.sh [BUILD]: an epoch of examples/mnist_cnn.yaml by Glia and by PyTorch, in turn, and the start of `glia predict`.
# Needs $GLIA_DATA/mnist, and a python with torch: $GLIA_PYTHON, else python3 (pip install torch in a venv).
# PAIRS (default 5) says how many pairs of epochs. docs/performance.md keeps what it printed.
set -eu
cd "$(dirname "$0")/.."
glia=${1:-build/release}/glia
python=${GLIA_PYTHON:-python3}
mnist=${GLIA_DATA:+$GLIA_DATA/mnist}
[ -n "$mnist" ] || { echo "bench: set GLIA_DATA to a folder that holds mnist/ (four IDX files)" >&2; exit 1; }
"$python" -c 'import torch' 2>/dev/null || {
    echo "bench: $python has no torch, and a time without a peer says nothing: set GLIA_PYTHON" >&2
    exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM

rate() { sed -n 's/.*"examples_per_second": *\([0-9.]*\).*/\1/p' "$1" | tail -n 1; }
median() { sort -n "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

"$python" -c 'import torch; print("PyTorch", torch.__version__, torch.backends.cpu.get_cpu_capability())'
echo "training, examples/s (two epochs a run, the second counts; PyTorch as it comes and channels-last):"
for pair in $(seq "${PAIRS:-5}"); do
    "$glia" train examples/mnist_cnn.yaml train.epochs=2 --seed "$pair" --out "$scratch/run" --force --quiet >/dev/null
    "$python" bench/mnist_torch.py "$mnist" --epochs 2 --seed "$pair" | grep epoch >"$scratch/plain"
    "$python" bench/mnist_torch.py "$mnist" --epochs 2 --seed "$pair" --channels-last | grep epoch >"$scratch/last"
    ours=$(rate "$scratch/run/metrics.jsonl") plain=$(rate "$scratch/plain") last=$(rate "$scratch/last")
    echo "$ours $plain $last" | awk '{printf "  glia %6.0f   torch %6.0f   torch channels-last %6.0f\n", $1, $2, $3}'
    echo "$ours $plain $last" | awk '{print ($2 > $3 ? $2 : $3) / $1}' >>"$scratch/ratios"
done
echo "time of an epoch, glia / the faster PyTorch: median $(median "$scratch/ratios")"

# One picture out of the test set, as a PNG, through the whole program.
picture=tests/data/digit.png
[ -e "$picture" ] || exit 0
for _ in $(seq 21); do
    start=$(date +%s%N)
    "$glia" predict "$scratch/run" "$picture" --quiet >/dev/null
    echo "$start $(date +%s%N)" | awk '{print ($2 - $1) / 1e6}' >>"$scratch/starts"
done
start=$(date +%s%N)
"$python" -c 'import torch'
echo "glia predict, one PNG, program start to answer: median $(median "$scratch/starts") ms;" \
    "import torch alone: $(echo "$start $(date +%s%N)" | awk '{print ($2 - $1) / 1e6}') ms"

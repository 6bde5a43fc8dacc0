#!/bin/sh
# Networks of the zoo get the weights that PyTorch saved of its own, by name. Skipped without PyTorch in GLIA_PYTHON.
set -eu
python=${GLIA_PYTHON:-python3}
"$python" -c 'import safetensors, torch' 2>/dev/null || { echo "skipped: $python has no torch and safetensors"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" "$GLIA_SOURCE_DIR/tools/parity/zoo.py" --save "$work"
for model in "$work"/*.yaml; do
    net=${model%.yaml}
    input=$(sed -n '1s/# //p' "$model")
    "$GLIA" import --weights "$net.safetensors" "$model" --input "$input" --out "$net.run" >"$net.log" 2>&1 || { cat "$net.log"; exit 1; }
    grep -q ' loaded, 0 missing, 0 of another shape, 0 unexpected' "$net.log" || { cat "$net.log"; exit 1; }
    echo "$(basename "$net"): $(sed -n "s/.*, names/names/p" "$net.log")"
done

#!/bin/sh
# check_layers.sh: an include may only point down the floors of docs/architecture.md.
set -eu
cd "$(dirname "$0")/.."
# folder:floor
floors="core:0 graph:1 ops:1 passes:2 kernels:2 exec:3 data:4 io:4 onnx:4 emit:4 train:5 zoo:5 recipe:6 report:6"
floor_of() { printf '%s\n' $floors | sed -n "s/^$1://p"; }
failed=0
for folder in src/*/; do
    here=$(basename "$folder")
    floor=$(floor_of "$here")
    [ -n "$floor" ] || { echo "check_layers: src/$here has no floor; add it to $0 and docs/architecture.md" >&2; failed=1; continue; }
    for include in $(git grep -hoE '^#include "[a-z]+/' -- "src/$here" | sed 's/.*"\(.*\)\//\1/' | sort -u); do
        [ "$include" != glia ] || continue
        there=$(floor_of "$include")
        if [ -z "$there" ] || [ "$there" -gt "$floor" ]; then
            git grep -nE "^#include \"$include/" -- "src/$here" >&2
            echo "check_layers: src/$here (floor $floor) may not include $include (floor ${there:-unknown})" >&2
            failed=1
        fi
    done
done
exit "$failed"

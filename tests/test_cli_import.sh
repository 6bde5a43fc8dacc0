#!/bin/sh
# test_cli_import.sh: weights into runs, and files of weights into others.
# shellcheck source=tests/cli.sh
. "${GLIA_SOURCE_DIR:?}/tests/cli.sh"

expect 0 "saved runs/net-3" "$GLIA" train net.yaml train.epochs=2
best=runs/net-3/best.safetensors

# --- convert: there and back the same arrays ---
expect 0 "w.npz: 4 arrays, 604 bytes" "$GLIA" convert $best w.npz
expect 0 "back.safetensors: 4 arrays, " "$GLIA" convert w.npz back.safetensors
expect 0 "again.npz: 4 arrays, " "$GLIA" convert back.safetensors again.npz
same w.npz again.npz "arrays change on the way from npz to safetensors and back"
expect 2 "'w.bin' ends like no format; expected one of " "$GLIA" convert w.npz w.bin
expect 1 "none.npz" "$GLIA" convert none.npz w.safetensors
expect 2 "too few arguments" "$GLIA" convert w.npz

if ! "$GLIA" doctor | grep -q '^hdf5 *none'; then
    expect 0 "w.h5: 4 arrays, 604 bytes" "$GLIA" convert w.npz w.h5
    expect 0 "w2.h5: 4 arrays, 604 bytes" "$GLIA" convert w.npz w2.h5
    same w.h5 w2.h5 "the same arrays give other bytes"
    expect 0 "saved runs/h5" "$GLIA" import --weights w.h5 net.yaml --out runs/h5
    same $best runs/h5/best.safetensors "arrays change on the way through HDF5"
fi

# --- summary: what is in a file ---
expect 0 "4 arrays, 151 numbers, 604 bytes" "$GLIA" summary w.npz
expect_lines 1 "^conv2d.weight  *f32  *4×1×3×3 " "a line an array"
expect 0 '{"arrays":[{"name":"conv2d.weight","dtype":"f32","shape":[4,1,3,3]},' "$GLIA" summary w.npz --json

# --- import: what a run predicts, its weights in a new run predict too ---
expect 0 "w.npz, names of glia: 4 loaded, 0 missing, 0 of another shape, 0 unexpected, 0 ignored" \
    "$GLIA" import --weights w.npz net.yaml --out runs/theirs
expect_lines 4 "^loaded " "every array has a line"
expect_file runs/theirs/config.yaml
"$GLIA" predict runs/net-3 data/six.idx >ours.txt
"$GLIA" predict runs/theirs data/six.idx >theirs.txt
same ours.txt theirs.txt "imported weights predict otherwise"
expect 0 "accuracy" "$GLIA" evaluate runs/theirs
expect 1 "runs/theirs already holds a training" "$GLIA" import --weights w.npz net.yaml --out runs/theirs
expect 0 "saved runs/theirs" "$GLIA" import --weights w.npz net.yaml --out runs/theirs --force
expect 0 "saved runs/net-imported" "$GLIA" import --weights w.npz net.yaml --quiet --map order
expect 0 '"run":"runs/json"' "$GLIA" import --weights $best net.yaml --out runs/json --json
expect_lines 1 '^{"names":"glia","loaded":4,"missing":0,"misshaped":0,"unexpected":0,"ignored":0,"arrays":\[{"state":"loaded","parameter":"conv2d.weight","parameter_shape":\[4,1,3,3\],"array":"conv2d.weight","array_shape":\[4,1,3,3\],"change":""}' "the report as JSON"
expect 0 "saved runs/shape" "$GLIA" import --weights w.npz net.yaml data.scale=1/255 --input 1x8x8 --out runs/shape
"$GLIA" predict runs/shape data/six.idx >shape.txt
same ours.txt shape.txt "with --input no data is read, and the predictions are the same"

# --- what does not fit ---
expect 1 "4×1×3×3 there, 'conv2d.weight' needs 5×1×3×3" "$GLIA" import --weights w.npz net.yaml model.conv2d.filters=5 --out runs/no
expect_lines 3 "^other shape " "the report is printed also on failure"
expect_lines 1 "partial leaves what does not fit" "a hint"
checks=$((checks + 1))
[ ! -e runs/no ] || say_failed "a failed import leaves a run" ""
expect 0 "2 loaded, 0 missing, 2 of another shape" \
    "$GLIA" import --weights w.npz net.yaml model.conv2d.kernel=5 --partial --out runs/part
expect 1 "unknown names 'torch'; known: glia, huggingface, keras, pytorch" "$GLIA" import --weights w.npz net.yaml --map torch --out runs/no
expect 1 "holds weights, but says nothing of their model" "$GLIA" import w.npz
expect 2 "expected a shape like 1x28x28, found 'x'" "$GLIA" import --weights w.npz net.yaml --input x
expect 1 "the ending does not say in which format to read weights" "$GLIA" import --weights net.yaml net.yaml

# --- export under the names of others, and back ---
for names in huggingface keras pytorch; do
    expect 0 "wrote $names.npz" "$GLIA" export runs/net-3 -o $names.npz --names $names
    expect 0 "saved runs/$names" "$GLIA" import --weights $names.npz net.yaml --out runs/$names --map $names
    same $best runs/$names/best.safetensors "weights change on their way through the names of $names"
done
expect 1 "unknown names 'torch'" "$GLIA" export runs/net-3 -o t.npz --names torch

# --- NPZ as data ---
expect 0 "" "$GLIA" convert w.npz data/w.npz
expect 1 "holds no array 'x'; it holds conv2d.weight, " "$GLIA" data show npz:w.npz
expect 1 "holds no array 'pixels'" "$GLIA" data show npz:w.npz,pixels
expect 0 "npz:w.npz,dense.weight: 3 examples of 36" "$GLIA" data show npz:w.npz,dense.weight

finish

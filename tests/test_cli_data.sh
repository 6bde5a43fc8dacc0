#!/bin/sh
# Data that the program refuses: the message, exit code 1, and no run left behind.
. "$(dirname "$0")/cli.sh"

# refuse TEXT SOURCE: training says TEXT and leaves nothing.
refuse() {
    expect 1 "$1" "$GLIA" train net.yaml --out runs/refused data.source="$2"
    checks=$((checks + 1))
    [ ! -e runs ] || { say_failed "a refused training leaves a run: $2" "$(ls -R runs)"; rm -rf runs; }
}

# --- IDX ---
head -c 5000 data/images.idx >cut.idx
refuse "cut.idx: error: truncated: the header promises 7680 bytes of data, found 4984" idx:cut.idx,data/labels.idx
head -c 9 data/images.idx >header.idx
refuse "header.idx: error: truncated: expected 12 more bytes of the IDX header, found 5" idx:header.idx,data/labels.idx
{ cat data/images.idx; printf x; } >long.idx
refuse "long.idx: error: too long: the header promises 7680 bytes of data, found more" idx:long.idx,data/labels.idx
{ printf '\001'; tail -c +2 data/images.idx; } >magic.idx
refuse "magic.idx: error: not an IDX file: expected it to begin with 00 00 and a type" idx:magic.idx,data/labels.idx
# shellcheck disable=SC2059
printf "$(labels 90)" >few.idx
refuse "data/images.idx holds 120 inputs, but few.idx holds 90 targets" idx:data/images.idx,few.idx
{ printf '\000\000\011\001\000\000\000\170'; tail -c +9 data/labels.idx | head -c 119; printf '\377'; } >below.idx
refuse "label -1 of example 119 is out of range 0 … 2" idx:data/images.idx,below.idx
{ head -c 127 data/labels.idx; printf '\003'; } >above.idx
refuse "but the data has 4 classes" idx:data/images.idx,above.idx
refuse "cannot open none.idx: No such file or directory" idx:none.idx,data/labels.idx
refuse "cannot read data: it is a folder, expected a file" idx:data,data/labels.idx
mkdir mnist
for part in train t10k; do
    cp data/images.idx mnist/$part-images-idx3-ubyte.gz
    { head -c 127 data/labels.idx; printf '\012'; } >mnist/$part-labels-idx1-ubyte.gz
done
export GLIA_DATA=.
refuse "mnist:train: label 10 of example 119 is out of range 0 … 9" mnist
unset GLIA_DATA

# --- gzip ---
if command -v gzip >/dev/null && "$GLIA" doctor | grep -q '^zlib' && ! "$GLIA" doctor | grep -q '^zlib *none'; then
    gzip -c data/images.idx >images.gz
    expect 0 "120 examples" "$GLIA" data show idx:images.gz,data/labels.idx
    head -c 300 images.gz >cut.gz
    refuse "cut.gz: error: truncated gzip file: it ends in the middle of its data" idx:cut.gz,data/labels.idx
    { head -c 300 images.gz; printf 'damaged damaged'; tail -c +316 images.gz; } >damaged.gz
    refuse "damaged.gz: error: damaged gzip data: " idx:damaged.gz,data/labels.idx
    gzip -c long.idx >long.gz
    refuse "long.gz: error: too long: the header promises 7680 bytes of data, found more" idx:long.gz,data/labels.idx
fi

# --- tables ---
printf 'a,b,kind\n1,2,x\n3,,y\n' >missing.csv
refuse "missing.csv:3: error: column 2 'b': the value is missing" csv:missing.csv
printf 'a,b,kind\n1,2,x\n3,four,y\n' >word.csv
refuse "word.csv:3: error: column 2 'b': expected a number, found 'four'" csv:word.csv
printf '1,2,x\n3,4\n' >ragged.csv
refuse "ragged.csv:2: error: expected 3 cells as in the first row, found 2" csv:ragged.csv
printf '1,2,x\n3,"4,y\n' >open.csv
refuse "open.csv:2: error: cell 2: a quoted cell does not end" csv:open.csv
cp data/images.idx binary.csv
refuse "not a text file: it holds a zero byte at 0" csv:binary.csv
: >empty.csv
refuse "empty.csv: the table is empty" csv:empty.csv

# --- arrays ---
printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 999999999999), }" >absurd.npy
refuse "absurd.npy: error: truncated: the header promises 11999999999988 bytes of data, found 0" npy:absurd.npy
{ printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"; printf '\000\000\200\077\000\000\300\177'; } >nan.npy
refuse "nan.npy: example 1 holds nan; a network needs finite numbers" npy:nan.npy

# --- a batch larger than the data is all of them ---
expect 0 "best epoch 2 · test accuracy" "$GLIA" train net.yaml --out runs/large train.batch_size=1000 train.epochs=2
finish

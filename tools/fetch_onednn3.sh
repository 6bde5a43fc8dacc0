#!/bin/sh
# fetch_onednn3.sh FOLDER: oneDNN 3.x with its headers, for tests: two wheels of the Python package index (built with GNU
# OpenMP, as Debian's 2.6 is), unpacked to FOLDER/include and FOLDER/lib. Does nothing when they are there.
set -eu
version=2023.2.0 # oneDNN 3.2, the newest wheel for GNU OpenMP: two OpenMP run times in one process would fight
folder=${1:?usage: tools/fetch_onednn3.sh FOLDER}
[ -f "$folder/include/oneapi/dnnl/dnnl.h" ] && [ -e "$folder/lib/libdnnl.so" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --disable-pip-version-check download --quiet --no-deps --dest "$work" \
    onednn-cpu-gomp==$version onednn-devel-cpu-gomp==$version
for wheel in "$work"/*.whl; do
    python3 -m zipfile -e "$wheel" "$work/unpacked"
done
mkdir -p "$folder"
cp -R "$work"/unpacked/*.data/data/include "$work"/unpacked/*.data/data/lib "$folder"

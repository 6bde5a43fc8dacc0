#!/bin/sh
# test_export_c.sh: a trained network as one C file: clean, self-testing, and with the same labels as Glia's. With GLIA_DATA
# it is the tutorial network and the 10,000 test digits of MNIST; else a small one with made-up pictures.
export_data=${GLIA_DATA:-}
# shellcheck source=tests/cli.sh
. "${GLIA_SOURCE_DIR:?}/tests/cli.sh"
cc=${CC:-cc}
strict="-std=c99 -Wall -Wextra -pedantic -Werror -O2"
if ! command -v "$cc" >/dev/null; then
    echo "no compiler '$cc': skipped"
    exit 77
fi

if [ -f "$export_data/mnist/t10k-images-idx3-ubyte.gz" ]; then
    export GLIA_DATA="$export_data"
    expect 0 "saved run" "$GLIA" train "$GLIA_SOURCE_DIR/examples/mnist_cnn.yaml" train.epochs=1 --out run
    gunzip -c "$GLIA_DATA/mnist/t10k-images-idx3-ubyte.gz" >pictures.idx
else
    expect 0 "saved run" "$GLIA" train net.yaml --out run
    cp data/images.idx pictures.idx
fi

# --- the files ---
expect 0 "wrote model.c" "$GLIA" export run --format c -o model.c
expect_file model.h
mkdir again
expect 0 "RAM" "$GLIA" export run -o again/model.c
same model.c again/model.c "two exports differ"
same model.h again/model.h "two exports of the header differ"
checks=$((checks + 1))
if grep -qE 'malloc|calloc|free *\(' model.c || sed '/#ifdef MODEL_TEST/,$d' model.c | grep -qE 'stdio|printf'; then
    say_failed "the file uses the heap, or prints" ""
fi
expect 0 "checked: compiled, 3 made-up examples, at most" "$GLIA" export run -o checked.c --check
expect 0 "checked: compiled, 2 made-up examples, at most" "$GLIA" export run -o checked.c --check --split-weights --tests 2
expect 1 "no compiler 'no-such-compiler'" env CC=no-such-compiler "$GLIA" export run -o checked.c --check
expect 1 "without --tests" "$GLIA" export run -o checked.c --check --tests 0
expect 0 "net.yaml can be written as c: compiled" "$GLIA" export net.yaml --format c --check --input 1x8x8
expect 1 "is no name in C" "$GLIA" export run -o other.c --name 2fast
expect 0 "wrote digits-2.c" "$GLIA" export run -o digits-2.c --name digits

# --- it compiles everywhere, and says what Glia says ---
# shellcheck disable=SC2086
{
    expect 0 "" "$cc" $strict -DMODEL_TEST model.c -o test_c
    expect 0 "at most" ./test_c
    expect 0 "" "$cc" $strict -c digits-2.c
}
# others NAME RUNNER COMPILER FLAGS...: compiled and run where there is such a compiler
others() {
    name=$1 runner=$2
    shift 2
    echo 'int main(void) { return 0; }' >hello.c
    if ! command -v "$1" >/dev/null || ! "$@" hello.c -o hello 2>/dev/null ||
        { [ -n "$runner" ] && ! command -v "$runner" >/dev/null; }; then
        echo "note: nothing for $name here: not tested"
        return
    fi
    expect 0 "" "$@" -DMODEL_TEST model.c -o "test_$name"
    expect 0 "at most" $runner "./test_$name"
}
others c++ "" g++ -x c++ -std=c++17 -Wall -Wextra -pedantic -Werror -O2
others 32-bit "" "$cc" -m32 -O2
others aarch64 qemu-aarch64 aarch64-linux-gnu-gcc -O2 -static
others armv7 qemu-arm arm-linux-gnueabihf-gcc -O2 -static

# A machine without system or C library: the compiler's own helpers, and what it may always ask for.
cat >bare.c <<'END'
#include "model.h"
void *memset(void *to, int byte, unsigned int bytes);
void *memset(void *to, int byte, unsigned int bytes) {
    volatile unsigned char *p = (unsigned char *)to;
    while (bytes--) *p++ = (unsigned char)byte;
    return to;
}
static model_arena arena;
static float in[MODEL_IN], out[MODEL_OUT];
void _start(void);
void _start(void) {
    for (;;) (void)model_predict_r(&arena, in, out);
}
END
if command -v arm-none-eabi-gcc >/dev/null; then
    expect 0 "" arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 -std=c99 \
        -ffreestanding -nostdlib model.c bare.c -lgcc -o bare.elf
    if command -v arm-none-eabi-nm >/dev/null; then
        checks=$((checks + 1))
        ! arm-none-eabi-nm bare.elf | grep -qE 'malloc|printf|sbrk' || say_failed "a bare build has heap or stdio" ""
    fi
else
    echo "note: no compiler for Cortex-M here: not tested"
fi

# --- the labels of all pictures ---
cat >label.c <<'END'
#include <stdio.h>
#include "model.h"
int main(void) {
    unsigned char in[MODEL_IN];
    float out[MODEL_OUT];
    FILE *f = fopen("pictures.idx", "rb");
    if (!f || fseek(f, 16, SEEK_SET)) return 1;
    while (fread(in, 1, sizeof in, f) == sizeof in) {
        int best = 0;
        if (model_predict_u8(in, out)) return 1;
        for (int i = 1; i < MODEL_OUT; i++) if (out[i] > out[best]) best = i;
        puts(MODEL_LABELS[best]);
    }
    return 0;
}
END
"$GLIA" predict run pictures.idx --top 1 --quiet | awk '{ print $2 }' >labels.glia
expect 0 "" "$cc" -O2 model.c label.c -o label
./label >labels.c
expect_file labels.c
same labels.glia labels.c "the C file gives other labels than Glia"
echo "$(wc -l <labels.c) labels compared"

# --- other networks: recurrent layers; attention and layer normalisation; batch normalisation, which goes into the convolution ---
cat >steps.yaml <<'END'
data: {source: {idx: {images: data/images.idx, labels: data/labels.idx}}, normalize: yes, split: {test: 20}}
model:
  - reshape: [8, 8]
  - lstm: {units: 6, return_sequences: yes, bidirectional: yes}
  - gru: {units: 5, layers: 2, reverse: yes, use_bias: no, return_sequences: yes, name: turned}
  - rnn: {units: 10, inputs: [turned, turned.h]}
  - dense: 3
train: {epochs: 4, seed: 3, threads: 1}
END
cat >norms.yaml <<'END'
data: {source: {idx: {images: data/images.idx, labels: data/labels.idx}}, normalize: yes, split: {test: 20}}
model:
  - reshape: [8, 8]
  - layer_norm
  - transformer_encoder: {heads: 2, units: 12}
  - layer_norm
  - flatten
  - dense: 3
train: {epochs: 4, seed: 3, threads: 1}
END
cat >folded.yaml <<'END'
data: {source: {idx: {images: data/images.idx, labels: data/labels.idx}}, split: {test: 20}}
model:
  - conv2d: {filters: 4, kernel: 3, padding: same, use_bias: no}
  - batch_norm: {activation: relu}
  - max_pool2d: 2
  - flatten
  - dense: 3
train: {epochs: 4, seed: 3, threads: 1}
END
# network NAME: as C it is clean, agrees with Glia in its own test, and gives the labels that `glia predict` gives
network() {
    upper=$(echo "$1" | tr '[:lower:]' '[:upper:]')
    expect 0 "saved $1" "$GLIA" train "$1.yaml" --out "$1"
    expect 0 "wrote $1.c" "$GLIA" export "$1" -o "$1.c"
    # shellcheck disable=SC2086
    expect 0 "" "$cc" $strict "-D${upper}_TEST" "$1.c" -lm -o "test_$1"
    expect 0 "at most" "./test_$1"
    sed "s/model/$1/g; s/MODEL/$upper/g; s|pictures.idx|data/images.idx|" label.c >"label_$1.c"
    expect 0 "" "$cc" -O2 "$1.c" "label_$1.c" -lm -o "label_$1"
    "./label_$1" >labels.c
    "$GLIA" predict "$1" data/images.idx --top 1 --quiet | awk '{ print $2 }' >labels.glia
    expect_file labels.c
    same labels.glia labels.c "$1 as C gives other labels than Glia"
}
network steps
network norms
network folded
expect 1 "" grep 'folded_batch_norm_[0-9]' folded.c
expect 0 "conv2d_relu_max_pool2d" cat folded.c

# --- weights apart ---
expect 0 "wrote split.bin" "$GLIA" export run -o split.c --split-weights
# shellcheck disable=SC2086
expect 0 "" "$cc" $strict -DSPLIT_TEST split.c -o split
expect 0 "at most" ./split split.bin
# shellcheck disable=SC2086
{
    expect 0 "wrote head.c" "$GLIA" export run -o head.c --train-head
    expect 0 "" "$cc" $strict -DHEAD_TEST head.c -o head
    expect 0 "at most" ./head
}
finish

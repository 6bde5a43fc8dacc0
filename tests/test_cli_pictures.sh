#!/bin/sh
# Pictures from folders and archives, JPEG; and a small network of convolutions with normalisation, schedule and
# augmentation, as examples/vgg16_bn_cifar10.yaml has them, on real pictures where they are ($GLIA_DATA).
data=${GLIA_DATA-}
. "$(dirname "$0")/cli.sh"
seeds=$GLIA_SOURCE_DIR/tests/data/fuzz

cat >small.yaml <<'YAML'
data:
  source: {cifar: train.bin}
  normalize: yes
  augment: {flip: horizontal, crop: 4}
  split: {validation: 200}
model:
  - conv2d: {filters: 8, kernel: 3, padding: same, use_bias: no, kernel_initializer: he_normal}
  - batch_norm: {activation: relu}
  - max_pool2d: 4
  - conv2d: {filters: 16, kernel: 3, padding: same, use_bias: no, kernel_initializer: he_normal}
  - batch_norm: {activation: relu}
  - max_pool2d: 4
  - flatten
  - dense: 10
optimizer: {nesterov: {learning_rate: 0.05, weight_decay: 5e-4}}
train: {epochs: 3, batch_size: 50, schedule: {kind: linear, warmup: 1}, seed: 1}
YAML

# --- made up: 60 records of CIFAR-10's format, bright or dark by the label ---
awk 'BEGIN { for (i = 0; i < 60; i++) { printf "\\%03o", i % 2; for (k = 0; k < 3072; k++) printf "\\%03o", (i % 2) * 120 + (i * 31 + k * 7) % 90 } }' >text
# shellcheck disable=SC2059
printf "$(cat text)" >train.bin
expect 0 "60 examples of 3×32×32, 10 classes" "$GLIA" data show cifar:train.bin
expect 0 "saved runs/made" "$GLIA" train small.yaml data.split.validation=20 train.batch_size=8 --out runs/made
expect 0 "schedule:" cat runs/made/config.yaml
expect 0 "flip: horizontal" cat runs/made/config.yaml
expect 0 "saved runs/parts" "$GLIA" train small.yaml data.split.validation=20 train.batch_size=8 train.epochs=3 --out runs/parts
same runs/made/last.safetensors runs/parts/last.safetensors "the same training gives other weights"
expect 0 "batch_norm.running_var" cat runs/made/best.safetensors
expect 1 "cannot be continued" "$GLIA" train small.yaml data.split.validation=20 train.batch_size=8 data.augment.crop=2 --out runs/made --resume
expect 1 "augment: crop: expected 0 or more pixels and fewer than a picture of 32×32 has, found 32" \
    "$GLIA" train small.yaml data.split.validation=20 data.augment.crop=32 --out runs/bad
expect 1 "flip: expected none or horizontal, found" "$GLIA" train small.yaml data.augment.flip=sideways --out runs/bad
expect 1 "the warm-up takes 9 epochs, but the training only 3" "$GLIA" train small.yaml data.split.validation=20 train.schedule.warmup=9 --out runs/bad

# --- folders, archives, JPEG ---
if ! "$GLIA" doctor | grep -q '^libpng *none'; then
    expect 0 "3 examples of 3×" "$GLIA" data show "folder:$seeds/tar/two.tar"
    mkdir -p pets/left pets/right
    cp "$seeds/png/rgb.png" pets/left/1.png
    cp "$seeds/png/rgb.png" pets/right/2.png
    expect 0 "2 examples of 3×" "$GLIA" data show folder:pets
    cp "$seeds/png/bits.png" pets/right/3.png
    expect 1 "all must have one size" "$GLIA" data show folder:pets
    rm -r pets/left/1.png pets/right
    expect 1 "pets holds no pictures: expected a folder for each class" "$GLIA" data show folder:pets
fi
expect 0 "saved runs/net-3" "$GLIA" train net.yaml
if "$GLIA" doctor | grep -q '^libjpeg *none'; then
    expect 1 "this build has no libjpeg" "$GLIA" predict runs/net-3 "$seeds/jpeg/grey.jpg"
else
    expect 0 "grey.jpg: 12×16 pixels, resampled to 8×8" "$GLIA" predict runs/net-3 "$seeds/jpeg/grey.jpg"
    expect 0 "1 examples of 1×12×16" "$GLIA" data show "folder:$seeds/tar/gnu.tar"
fi

# --- real pictures: in three epochs far better than chance, which is 0.1 ---
if [ -n "$data" ] && [ -e "$data/cifar10/train_8000.bin.gz" ]; then
    expect 0 "saved runs/real" "$GLIA" train small.yaml data.source="cifar:$data/cifar10/train_8000.bin.gz" \
        data.test="cifar:$data/cifar10/test_2000.bin.gz" data.limit=1200 --out runs/real
    checks=$((checks + 1))
    printf '%s\n' "$out" | awk '/test accuracy/ { for (i = 1; i < NF; i++) if ($i == "accuracy") exit !($(i + 1) > 0.2) }' ||
        say_failed "three epochs of 1,000 pictures should give a test accuracy above 0.2" "$out"
else
    echo "note: no \$GLIA_DATA/cifar10: nothing is trained on real pictures"
fi
finish

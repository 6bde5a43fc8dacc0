#!/bin/sh
# The program on ONNX files. bars.onnx is Flatten and Gemm, which weigh the three thirds of pictures of 8×8.
models=${GLIA_DATA-}/models
. "$(dirname "$0")/cli.sh"
cp "$GLIA_SOURCE_DIR/tests/data/bars.onnx" .

expect 0 "195 parameters" "$GLIA" summary bars.onnx
expect 0 "nodes   1 Flatten, 1 Gemm" "$GLIA" summary bars.onnx
expect 0 "onnx.head.linear" "$GLIA" plan bars.onnx --mode predict
expect 0 "saved imported" "$GLIA" import bars.onnx --out imported
expect 0 '{"run":"again"}' "$GLIA" import bars.onnx --out again --json --quiet
expect_file imported/best.safetensors
expect 1 "--force replaces it" "$GLIA" import bars.onnx --out imported
expect 0 "" "$GLIA" predict imported data/six.idx
expect 0 "saved trained" "$GLIA" import bars.onnx --out trained --force "data.source={idx: {images: data/images.idx, labels: data/labels.idx}}"
expect 0 "accuracy                1.0000" "$GLIA" evaluate trained --data "idx:data/images.idx,data/labels.idx"

cat >tune.yaml <<'YAML'
data: {source: {idx: {images: data/images.idx, labels: data/labels.idx}}, split: {test: 20}}
model:
  - onnx: {file: bars.onnx, output: flat, trainable: no}
  - dense: {units: 3, name: head}
train: {epochs: 3, seed: 1}
YAML
expect 0 "saved tuned" "$GLIA" train tune.yaml --out tuned
expect 0 "accuracy" "$GLIA" evaluate tuned
expect 0 "saved whole" "$GLIA" train tune.yaml --out whole "model=[{onnx: bars.onnx}]"

# A run keeps its own copy: the file may go, the run may move, the training may go on.
mkdir elsewhere && cp bars.onnx elsewhere/theirs.onnx
sed 's|bars.onnx|elsewhere/theirs.onnx|' tune.yaml >theirs.yaml
expect 0 "saved moved" "$GLIA" import elsewhere/theirs.onnx --out moved
expect 0 "saved theirs" "$GLIA" train theirs.yaml --out theirs train.epochs=1
expect 0 "saved theirs" "$GLIA" train theirs.yaml --out theirs train.epochs=2 --resume
mv elsewhere gone && mv moved there && mv theirs ours
expect 0 "" "$GLIA" predict there data/six.idx
expect 0 "accuracy" "$GLIA" evaluate ours
expect 0 "saved again2" "$GLIA" train ours/config.yaml --out again2
expect 0 "saved ours" "$GLIA" train ours/config.yaml --out ours --force
expect 0 "accuracy" "$GLIA" evaluate ours
expect 0 "saved ours" "$GLIA" train ours/config.yaml --out ours --resume train.epochs=4
cp bars.onnx gone/theirs.onnx && printf 'x' >>gone/theirs.onnx
expect 1 "ours holds another training" "$GLIA" train ours/config.yaml --out ours --resume model.onnx.file=gone/theirs.onnx

# Weights to begin with: of a run, of a file; what is not there begins anew.
source="data.source={idx: {images: data/images.idx, labels: data/labels.idx}}"
expect 0 "initial weights: 2 of 2 parameters from $PWD/imported/best.safetensors" \
    "$GLIA" train imported/config.yaml "$source" train.initial_weights=imported train.epochs=1 --out fine
expect 0 "acc 1.0000" cat fine/log.txt # after one epoch: it began with what it knew
expect 0 "2 arrays" "$GLIA" convert imported/best.safetensors bars.npz
net='model=[flatten, {dense: {units: 5, name: hidden}}, {dense: {units: 3, name: head}}]'
expect 0 "saved small" "$GLIA" train tune.yaml "$net" --out small
expect 0 "initial weights: 1 of 4 parameters from $PWD/small/best.safetensors; anew: hidden.weight (of another shape there), hidden.bias (" \
    "$GLIA" train tune.yaml "$(echo "$net" | sed s/5/6/)" train.initial_weights=small --out wider
expect 1 "initial_weights: $PWD/bars.npz: none of the file's 2 arrays is of this model" \
    "$GLIA" train tune.yaml 'model=[flatten, {dense: {units: 3, name: other}}]' train.initial_weights=bars.npz --out none
expect 1 "data is no run directory" "$GLIA" train tune.yaml train.initial_weights=data --out none
expect 1 "cannot open nowhere.npz" "$GLIA" train tune.yaml train.initial_weights=nowhere.npz --out none
# From format to format: weights by their names, models by what they are.
expect 0 "2 arrays" "$GLIA" convert bars.onnx weights.safetensors
expect 0 "head.weight" "$GLIA" summary weights.safetensors
expect 0 "initial weights: 2 of 2" "$GLIA" train imported/config.yaml "$source" train.initial_weights=bars.onnx --out fine --force
expect 0 "bars.c: " "$GLIA" convert bars.onnx bars.c
expect 2 "expected one of " "$GLIA" convert bars.onnx bars.xyz
cp bars.onnx bars.pt
expect 1 "safetensors.torch.save_file" "$GLIA" summary bars.pt
expect 1 "safetensors.torch.save_file" "$GLIA" convert bars.pt bars.npz
expect 0 "imported.c: " "$GLIA" convert imported imported.c
# A file that Glia wrote, read and written again, is the same file: names of what is in between, of inputs and outputs too.
mkdir one two
expect 0 "one/bars.onnx: " "$GLIA" convert bars.onnx one/bars.onnx
expect 0 "two/bars.onnx: " "$GLIA" convert one/bars.onnx two/bars.onnx
same one/bars.onnx two/bars.onnx "an ONNX file is not the same after it was read and written again"
expect 1 "says nothing of their model" "$GLIA" convert weights.safetensors bars.c
expect 1 "says nothing of their model" "$GLIA" plan weights.safetensors

# What a run knows of its classes and of raw data goes along: the file says it in its metadata, or does it itself.
cat >kinds.yaml <<'YAML'
data: {source: {csv: {table: data/kinds.csv}}, normalize: yes, split: {test: 20}}
model: [{dense: {units: 8, activation: relu}}, {dense: 3}]
train: {epochs: 10, seed: 1}
YAML
cat >sums.yaml <<'YAML'
data: {source: {csv: {table: data/sums.csv}}, target: values, normalize: yes}
model: [{dense: {units: 8, activation: tanh}}, {dense: 1}]
train: {epochs: 3, seed: 1}
YAML
# predicts_the_same RUN FILE OPTION...: a run, exported and imported, predicts as before
predicts_the_same() {
    run=$1 file=$2
    shift 2
    expect 0 "wrote $run.onnx" "$GLIA" export "$run" -o "$run.onnx" "$@"
    expect 0 "saved theirs" "$GLIA" import "$run.onnx" --out theirs --force
    "$GLIA" predict "$run" "$file" --quiet >ours.txt
    "$GLIA" predict theirs "$file" --quiet >theirs.txt
    expect_file ours.txt
    same ours.txt theirs.txt "$run predicts otherwise after it was exported ($*) and imported"
}
expect 0 "saved kinds" "$GLIA" train kinds.yaml --out kinds
expect 0 "saved sums" "$GLIA" train sums.yaml --out sums
expect 0 "saved scaled" "$GLIA" train tune.yaml --out scaled "model=[flatten, {dense: 3}]" data.normalize=yes
predicts_the_same sums data/sums.csv
predicts_the_same sums data/sums.csv --preprocess
predicts_the_same scaled data/six.idx
predicts_the_same scaled data/six.idx --preprocess --probabilities --opset 21
predicts_the_same kinds data/kinds.csv --preprocess --probabilities
predicts_the_same kinds data/kinds.csv
expect 0 "tan 0." cat theirs.txt
expect 0 "class_names: [" cat theirs/config.yaml
# Arrays beside the file may be a link to a file there, but not to one elsewhere.
mkdir apart
expect 0 "wrote apart/kinds.onnx.data" "$GLIA" export kinds -o apart/kinds.onnx --external 16
mv apart/kinds.onnx.data apart/blob && ln -s blob apart/kinds.onnx.data
expect 0 "saved theirs" "$GLIA" import apart/kinds.onnx --out theirs --force
mv apart/blob blob && ln -sf ../blob apart/kinds.onnx.data
expect 1 "a link that leads out of the model's folder" "$GLIA" import apart/kinds.onnx --out theirs --force
expect 0 "one/kinds.onnx: " "$GLIA" convert kinds.onnx one/kinds.onnx
expect 0 "two/kinds.onnx: " "$GLIA" convert one/kinds.onnx two/kinds.onnx
same kinds.onnx one/kinds.onnx "an ONNX file with labels and provenance is not the same after it was read and written again"
same one/kinds.onnx two/kinds.onnx "an ONNX file is not the same after it was read and written twice"
# Where a model comes from stays known when it is trained further.
expect 0 "saved further" "$GLIA" train theirs/config.yaml "data.source={csv: {table: data/kinds.csv}}" \
    train.initial_weights=theirs train.epochs=2 train.seed=5 --out further
expect 0 "wrote further.onnx" "$GLIA" export further -o further.onnx
expect 0 "origin_seed: 1" "$GLIA" summary further.onnx
expect_lines 1 '^seed: 5$' "the seed of the training is not in the file"

# --check: what was written is the model, and what cannot be written is named before any training.
for options in "" "--preprocess --probabilities --opset 21" "--external 16"; do
    # shellcheck disable=SC2086
    expect 0 "checked: 3 made-up examples, at most" "$GLIA" export kinds -o checked.onnx --check $options
done
expect 0 "checked: read back, 4 arrays are equal" "$GLIA" export kinds -o checked.safetensors --check
expect 0 "checked: read back, 4 arrays are equal" "$GLIA" export kinds -o checked.npz --check --names keras
expect 0 '"check":"3 made-up examples' "$GLIA" export kinds -o checked.onnx --check --json
expect 0 "net.yaml can be written as onnx: 3 made-up examples" "$GLIA" export net.yaml --format onnx --check --input 1x8x8
expect 1 "no multiple of 3" "$GLIA" export net.yaml --format onnx --check --input 1x8x8 \
    'model=[{adaptive_average_pool2d: 3}, flatten, {dense: 3}]'
expect 2 "net.yaml' is no run; with --check" "$GLIA" export net.yaml -o net.onnx
expect 2 "unexpected 'more' after a run" "$GLIA" export kinds more -o net.onnx
expect 0 "saved theirs" "$GLIA" import kinds.onnx --out theirs --force data.scale=2
expect 0 "scale: 2" cat theirs/config.yaml

expect 1 "there is no file none.onnx" "$GLIA" summary tune.yaml model.onnx.file=none.onnx
expect 1 "there is no tensor called 'none'" "$GLIA" summary bars.onnx model.onnx.output=none
head -c 500 bars.onnx >cut.onnx
expect 1 "the file is damaged or is no ONNX file" "$GLIA" import cut.onnx --out cut
expect 1 "gets f32 N×1×9×9 as 'x', its file wants f32 N×1×8×8" "$GLIA" summary bars.onnx --input 1x9x9

if [ -d "$models" ]; then
    expect 0 "saved digits" "$GLIA" import "$models/mnist_onnx/model.onnx" --out digits
    expect 0 "digit.png  7 " "$GLIA" predict digits "$GLIA_SOURCE_DIR/tests/data/digit.png"
    expect 0 "one/model.onnx: " "$GLIA" convert "$models/mnist_onnx/model.onnx" one/model.onnx
    expect 0 "two/model.onnx: " "$GLIA" convert one/model.onnx two/model.onnx
    same one/model.onnx two/model.onnx "mnist_onnx is not the same after it was written, read and written again"
    expect 0 "saved back" "$GLIA" import one/model.onnx --out back
    expect 0 "digit.png  7 " "$GLIA" predict back "$GLIA_SOURCE_DIR/tests/data/digit.png"
    same digits/best.safetensors back/best.safetensors "mnist_onnx has other weights after a round trip"
    # Keras's file goes to every other format, and is the same model there.
    expect 0 "several outputs: model.onnx.output=NAME" "$GLIA" summary "$models/yunet/yunet_n_320_320.onnx"
    if ! "$GLIA" doctor | grep -q '^hdf5 *none'; then
        expect 0 "run.h5: 6 arrays" "$GLIA" convert digits run.h5
        keras=$models/keras_mnist/mnist.h5
        expect 0 "dense/kernel:0" "$GLIA" summary "$keras"
        expect 0 "predict 2 examples" "$GLIA" plan "$keras" --mode predict --batch 2
        expect 0 "keras.npz: 25 arrays" "$GLIA" convert "$keras" keras.npz
        expect 0 "keras.onnx: " "$GLIA" convert "$keras" keras.onnx
        expect 0 "keras.c: " "$GLIA" convert "$keras" keras.c
        expect 0 "saved k1" "$GLIA" import "$keras" data.scale=1/255 --out k1
        expect 0 "saved k2" "$GLIA" import keras.onnx data.scale=1/255 --out k2
        for run in k1 k2; do "$GLIA" predict $run "$GLIA_SOURCE_DIR/tests/data/digit.png" >$run.txt; done
        expect 0 "digit.png  7 " cat k1.txt
        same k1.txt k2.txt "a Keras model predicts otherwise as ONNX"
    fi
    # The digits' convolutions under a new head: with 2,000 pictures of garments, far better than chance, which is 0.1.
    expect 0 "saved garments" env GLIA_DATA="${models%/models}" "$GLIA" train "$GLIA_SOURCE_DIR/examples/fine_tune.yaml" \
        data.limit=2500 data.split.validation=500 --out garments
    checks=$((checks + 1))
    printf '%s\n' "$out" | awk '/test accuracy/ { for (i = 1; i < NF; i++) if ($i == "accuracy") exit !($(i + 1) > 0.5) }' ||
        say_failed "the head of examples/fine_tune.yaml does not learn" "$out"
    expect 1 "of opset 15 cannot be read: If ('" \
        "$GLIA" import "$models/silero_vad/silero_vad_16k_op15.onnx" --input 576 --out vad
    expect_lines 1 "and [0-9]* more: control flow is not supported" "what cannot be read is not named"
fi
echo "$checks checks, $failed failed"
[ "$failed" = 0 ]

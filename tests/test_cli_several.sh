#!/bin/sh
# Several inputs, outputs and losses in a model file: trained, measured by output, predicted, exported, continued, and refused.
. "$(dirname "$0")/cli.sh"

# An archive of arrays, as safetensors: 96 points on either side [96, 2] each, how far they are apart [96, 1], which lies
# further to the right (a class) [96], and words [96, 3].
arrays() {
    awk -v n=96 -v words="$2" 'function f(x) { return x - int(x) }
    function float(v,   s, e, m) { # 4 bytes of an f32, as octal escapes
        if (v == 0) { printf "\\000\\000\\000\\000"; return }
        s = v < 0; if (s) v = -v
        for (e = 127; v >= 2; e++) v /= 2
        for (; v < 1; e--) v *= 2
        m = int((v - 1) * 8388608)
        printf "\\%03o\\%03o\\%03o\\%03o", m % 256, int(m / 256) % 256, (e % 2) * 128 + int(m / 65536), s * 128 + int(e / 2)
    }
    function long(v) { printf "\\%03o\\000\\000\\000\\000\\000\\000\\000", v }
    BEGIN {
        a = 8 * n; b = 2 * a; c = b + 4 * n; d = c + 8 * n; e = d + 24 * n
        head = sprintf("{\"left\":{\"dtype\":\"F32\",\"shape\":[%d,2],\"data_offsets\":[0,%d]},\"right\":{\"dtype\":\"F32\",\"shape\":[%d,2],\"data_offsets\":[%d,%d]},\"apart\":{\"dtype\":\"F32\",\"shape\":[%d,1],\"data_offsets\":[%d,%d]},\"which\":{\"dtype\":\"I64\",\"shape\":[%d],\"data_offsets\":[%d,%d]},\"%s\":{\"dtype\":\"I64\",\"shape\":[%d,3],\"data_offsets\":[%d,%d]}}", n, a, n, a, b, n, b, c, n, c, d, words, n, d, e)
        printf "\\%03o\\%03o\\000\\000\\000\\000\\000\\000%s", length(head) % 256, int(length(head) / 256), head
        for (i = 0; i < 4 * n; i++) x[i] = 2 * f(sin(i + 1) * 43.7) - (sin(i + 1) < 0 ? -1 : 1) * 0.5
        for (i = 0; i < 4 * n; i++) float(x[i])
        for (i = 0; i < n; i++) float(sqrt((x[2*i] - x[2*n + 2*i])^2 + (x[2*i+1] - x[2*n + 2*i+1])^2))
        for (i = 0; i < n; i++) long(x[2*i] < x[2*n + 2*i])
        for (i = 0; i < 3 * n; i++) long(i % 5)
    }' >bytes.txt
    # shellcheck disable=SC2059
    printf "$(cat bytes.txt)" >"$1"
}
arrays points.safetensors words

cat >points.yaml <<'END'
data: {source: {npz: points.safetensors}, split: {test: 0.25}}
inputs: {left: [2], right: 2, words: {shape: [3], dtype: i64}}
model:
  - dense: {units: 16, activation: relu, inputs: left, name: point}
  - dense: {share: point, inputs: right, name: other}
  - embedding: {vocabulary: 5, units: 2, inputs: words}
  - flatten
  - concat: {inputs: [point, other, flatten]}
  - dense: {units: 32, activation: relu, name: body}
  - dense: {units: 1, name: apart}
  - dense: {units: 2, name: side, inputs: body}
losses:
  apart: mse
  side: {loss: {softmax_cross_entropy: {label_smoothing: 0.01}}, weight: 0.5, target: which}
optimizer: {adam: {learning_rate: 0.01}}
train: {epochs: 60, batch_size: 16, threads: 1}
END
expect 0 "72 train · 24 test, 7 in 3 arrays, 2 of targets" "$GLIA" train points.yaml --out runs/points
expect 0 " · apart: mean absolute error 0." "$GLIA" train points.yaml --out runs/points --force
expect_lines 1 ' · side: accuracy [01]\.[0-9]*, macro F1' "no figures of the second output"
expect 0 "apart:" "$GLIA" evaluate runs/points
expect_lines 1 '^accuracy ' "accuracy is that of one output"
expect_lines 1 '^mean absolute error ' "so is the absolute error"
right=$("$GLIA" evaluate runs/points --json | sed 's/.*"side":{[^}]*"accuracy":\([0-9.]*\).*/\1/')
checks=$((checks + 1))
[ "$(echo "$right" | awk '{ print ($1 > 0.7 && $1 <= 1) }')" = 1 ] || say_failed "the side is not learnt" "$right"
expect 0 "points.safetensors[3]  apart: " "$GLIA" predict runs/points points.safetensors
expect_lines 96 '^points.safetensors\[[0-9]*\]  apart: [-0-9.e]*  side: [01] [01]\.[0-9]*$' "not a line an example"
expect 0 '"apart":[' "$GLIA" predict runs/points points.safetensors --json
expect 0 "nothing is left to train" "$GLIA" train points.yaml --out runs/points --resume
expect 1 "'weight: 0.5' there, 'weight: 0.7' here" "$GLIA" train points.yaml --out runs/points --resume losses.side.weight=0.7
expect 0 "wrote" "$GLIA" export runs/points -o points.onnx
expect 0 "parameters" "$GLIA" summary points.yaml
expect 0 "parameters" "$GLIA" summary runs/points
expect 0 "predicted" "$GLIA" plan points.yaml --profile --runs 3

# Each array in its own unit: in the model, so that whoever has it gives it raw numbers.
expect 0 "left.normalize" "$GLIA" summary points.yaml data.normalize=yes
sed 's/^data: {/data: {normalize: yes, /; s/right: 2/right: {shape: 2, normalize: no, scale: 0.5}/' points.yaml >units.yaml
expect 0 " · apart: loss 0." "$GLIA" train units.yaml --out runs/units metrics=loss
expect_file runs/units/best.safetensors
checks=$((checks + 1))
grep -q 'left: {shape: \[2\], dtype: f32, scale: 1, normalize: yes, axis: 0}' runs/units/config.yaml || say_failed "config.yaml says nothing of units" ""
expect 0 "points.safetensors[3]  apart: " "$GLIA" predict runs/units points.safetensors
expect 0 "wrote" "$GLIA" export runs/units -o units.onnx
expect 0 "nothing is left to train" "$GLIA" train units.yaml --out runs/units --resume metrics=loss

# The best epoch by a figure, or the loss, of one output.
expect 0 "side.val_accuracy" "$GLIA" train points.yaml --out runs/best data.split.validation=0.2 train.epochs=4 \
    train.early_stopping.monitor=side.val_accuracy train.early_stopping.patience=2
checks=$((checks + 1))
grep -q '"side.val_accuracy":[01]' runs/best/metrics.jsonl || say_failed "metrics.jsonl lacks the figure" "$(cat runs/best/metrics.jsonl)"
expect 1 "'monitor: side.val_accuracy' there, 'monitor: apart.val_loss' here" "$GLIA" train points.yaml --out runs/best --resume \
    data.split.validation=0.2 train.early_stopping.monitor=apart.val_loss
expect 0 "apart.val_loss" "$GLIA" train points.yaml --out runs/best --force data.split.validation=0.2 train.epochs=4 \
    train.early_stopping.monitor=apart.val_loss
expect 1 "but 'apart' has numbers; use apart.val_loss" "$GLIA" train points.yaml --out runs/x data.split.validation=0.2 \
    train.early_stopping.monitor=apart.val_accuracy
expect 1 "monitors side.val_f1, but there is no validation data; use loss" "$GLIA" train points.yaml --out runs/x \
    train.early_stopping.monitor=side.val_f1

# A siamese network: the label is seen by the loss alone, and is not needed afterwards.
cat >pairs.yaml <<'END'
data: {source: {npz: points.safetensors}}
inputs: {left: [2], right: [2], which: {dtype: i64}}
model:
  - dense: {units: 8, activation: relu, inputs: left, name: encoder}
  - dense: {share: encoder, inputs: right, name: second}
  - distance: {inputs: [encoder, second]}
  - contrastive: {inputs: [encoder, second, which], margin: 2}
losses: {contrastive: mean}
outputs: [distance]
train: {epochs: 2, batch_size: 16, threads: 1}
END
expect 0 "96 train, 5 in 3 arrays, 0 of targets" "$GLIA" train pairs.yaml --out runs/pairs
expect_lines 1 '^epoch 2/2 ' "no second epoch"
arrays nameless.safetensors others
expect 0 "nameless.safetensors[0]  distance: " "$GLIA" predict runs/pairs nameless.safetensors
expect 0 "96 train" "$GLIA" train pairs.yaml --out runs/triplet \
    "model.contrastive.margin=1"
sed 's/contrastive: {inputs: \[encoder, second, which\], margin: 2}/triplet: [encoder]/; s/contrastive: mean/triplet: mean/' pairs.yaml >triplet.yaml
expect 1 "triplet.yaml:7:5: error: " "$GLIA" train triplet.yaml --out runs/x

# CTC: labels at places that nobody knows.
cat >ctc.yaml <<'END'
data: {source: {npz: points.safetensors}}
inputs: {left: [2], words: [3]}
model:
  - dense: {units: 42, inputs: left}
  - reshape: [7, 6]
  - activation: {function: tanh, name: letters}
  - ctc: {inputs: [letters, words], blank: 5}
losses: {ctc: mean}
train: {epochs: 2, batch_size: 16, threads: 1}
END
expect 0 " · ctc: label error rate " "$GLIA" train ctc.yaml --out runs/ctc data.split.test=0.25 data.split.validation=0.25 \
    train.early_stopping.monitor=ctc.val_label_error_rate
expect 0 "label error rate  " "$GLIA" evaluate runs/ctc
expect 0 "points.safetensors[95]  letters: " "$GLIA" predict runs/ctc points.safetensors
expect_lines 96 '  letters:\( [0-4]\)* -* *([01]\.[0-9]*)$' "not the labels of each example"
expect 0 '"letters":{"labels":[' "$GLIA" predict runs/ctc points.safetensors --json

# What is wrong is told with its line.
refused() { # MESSAGE SED
    sed "$2" points.yaml >bad.yaml
    expect 1 "$1" "$GLIA" train bad.yaml --out runs/bad
}
refused "bad.yaml:2:10: error: input 'left' is 3 here, but the array of that name holds examples of 2" 's/left: \[2\]/left: [3]/'
refused "holds no array 'lift' for the input of that name; it holds left, right" 's/left: \[2\]/lift: [2]/; s/inputs: left/inputs: lift/'
refused "bad.yaml:13:3: error: unknown layer for the loss 'apert' (did you mean apart?)" 's/  apart: mse/  apert: mse/'
refused "unknown loss 'mss' (did you mean mse?)" 's/  apart: mse/  apart: mss/'
refused "holds no array 'witch' for the target of that name" 's/target: which/target: witch/'
refused "bad.yaml:4:50: error: unknown input 'lift' (did you mean left?)" 's/inputs: left/inputs: lift/'
refused "bad.yaml:4:50: error: inputs: layer 'body' stands later, on line 9; a layer's inputs come before it" 's/inputs: left/inputs: body/'
refused "words' is of whole numbers, which are taken as they are; normalize is for dtype f32" 's/dtype: i64/dtype: i64, normalize: yes/'
refused "bad.yaml:2:10: error: normalize 'left.normalize' has channels along axis 3, but an example has axes 0 to 0" \
    's/left: \[2\]/left: {shape: [2], normalize: yes, axis: 3}/'
refused "normalize 'late' stands behind other layers" 's/flatten$/normalize: {name: late}\n  - flatten/'
refused "denormalize 'apart' gives numbers, but the targets are not" \
    's/^  - dense: {units: 1, name: apart}/  - dense: 1\n  - denormalize: {name: apart}/; s/apart: mse/apart: {loss: mse, target: which}/'
refused "monitor: there are several outputs; say whose: apart.val_mae, or val_loss of all" 's/^train: {/train: {early_stopping: {monitor: val_mae}, /'
refused "unknown loss to monitor 'sid' (did you mean side?)" 's/^train: {/train: {early_stopping: {monitor: sid.val_mae}, /'
refused "there are several inputs; say which one the first layer takes" 's/, inputs: left//'
refused "losses\` come together" 's/^inputs: .*//; s/, inputs: [a-z]*//'
refused "loss: there are \`losses\` as well" 's/^optimizer/loss: mse\noptimizer/'
refused "name: 'right' is an input; choose another name" 's/name: other/name: right/'
refused "inputs by name are arrays of an archive" 's/{npz: points.safetensors}/mnist/'
finish

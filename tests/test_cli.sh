#!/bin/sh
# test_cli.sh: the program as people use it: what it says to wrong use and bad input, and what it prints.
# shellcheck source=tests/cli.sh
. "${GLIA_SOURCE_DIR:?}/tests/cli.sh"

# --- wrong use: status 2 ---
expect 2 "usage: glia COMMAND" "$GLIA"
expect 0 "commands:" "$GLIA" --help
expect 0 "glia 0." "$GLIA" --version
expect 2 "unknown command 'trian' (did you mean train?)" "$GLIA" trian
expect 2 "unknown flag '--versoin' (did you mean --version?)" "$GLIA" --versoin
expect 2 "unknown topic 'nope'; expected a command, model-file, models or man" "$GLIA" help nope
expect 1 "for that file write csv:nothing.csv" "$GLIA" data show nothing.csv
expect 2 "unknown flag '--resum' (did you mean --resume?)" "$GLIA" train net.yaml --resum
expect 2 "--seed needs a value" "$GLIA" train net.yaml --seed
expect 2 "seed: expected an integer" "$GLIA" train net.yaml --seed many
expect 2 "--quiet takes no value" "$GLIA" train net.yaml --quiet=3
expect 2 "too few arguments; expected: glia train" "$GLIA" train
expect 2 "expected key.sub=value" "$GLIA" train net.yaml other.yaml
expect 2 "give one of them" "$GLIA" train net.yaml --resume --force
expect 2 "unexpected 'b'" "$GLIA" evaluate a b
expect 2 "too few arguments" "$GLIA" predict runs/x
expect 2 "unknown verb 'lst' (did you mean list?)" "$GLIA" data lst
expect 2 "found 'regresion' (did you mean 'regression'?)" "$GLIA" init --task regresion
expect 2 "which format?" "$GLIA" export runs/x
expect 2 "unknown format 'safetensor' (did you mean safetensors?)" "$GLIA" export runs/x --format safetensor
expect 2 "'x.zip' ends like none of them" "$GLIA" export runs/x -o x.zip
expect 1 "no run directory runs/x" "$GLIA" export runs/x -o x.safetensors
for command in train evaluate predict export import convert summary plan data init doctor help; do
    expect 0 "examples:" "$GLIA" "$command" --help
done

# --- the model file ---
expect 1 "nowhere.yaml" "$GLIA" train nowhere.yaml
edit 'filters: 4, kernel' 'filters: [4, kernel'
expect 1 "broken.yaml:5:" "$GLIA" train broken.yaml
expect 1 "error: YAML syntax:" "$GLIA" train broken.yaml
edit conv2d con2d
expect 1 "broken.yaml:5:5: error: unknown layer 'con2d' (did you mean conv2d?)" "$GLIA" train broken.yaml
edit filters filtres
expect 1 "unknown setting of conv2d 'filtres' (did you mean filters?)" "$GLIA" train broken.yaml
edit 'epochs:' 'epoch:'
expect 1 "broken.yaml:11:9: error: unknown key 'epoch' (did you mean epochs?)" "$GLIA" train broken.yaml
edit 'filters: 4' 'filters: many'
expect 1 "broken.yaml:5:23: error: filters: expected an integer from 1 to" "$GLIA" train broken.yaml
edit 'filters: 4' 'filters: 0'
expect 1 "found '0'" "$GLIA" train broken.yaml
edit 'dense: 3' 'dense: 1000000000000'
expect 1 "units: expected an integer from 1 to" "$GLIA" train broken.yaml
edit 'dense: 3' 'dense: 1e12'
expect 1 "found '1e12'" "$GLIA" train broken.yaml
edit 'kernel: 3' 'kernel: 99'
expect 1 "broken.yaml:5:5: error: conv2d 'conv2d' has a kernel of 99×99, larger than its input of 8×8" "$GLIA" train broken.yaml
edit '  - flatten' '  # nothing'
expect 1 "broken.yaml:8:5: error: dense" "$GLIA" train broken.yaml
expect 1 "flatten" "$GLIA" train broken.yaml
edit 'dense: 3' 'dense: 5'
expect 1 "but the data has 3 classes" "$GLIA" train broken.yaml
edit adam adm
expect 1 "unknown optimizer 'adm' (did you mean adam?)" "$GLIA" train broken.yaml
edit softmax_cross_entropy softmax_crossentropy
expect 1 "broken.yaml:9:7: error: unknown loss 'softmax_crossentropy' (did you mean softmax_cross_entropy?)" "$GLIA" train broken.yaml
edit 'train: .*' 'train: 5'
expect 1 "train: expected settings as a mapping (key: value), found '5'" "$GLIA" train broken.yaml
edit 'learning_rate: 0.01' 'learning_rate: -1'
expect 1 "learning_rate: expected a number" "$GLIA" train broken.yaml
edit data.images.idx data\\/nothing.idx
expect 1 "nothing.idx" "$GLIA" train broken.yaml
edit 'validation: 20' 'validation: x'
expect 1 "broken.yaml:3:23: error: validation: expected a number" "$GLIA" train broken.yaml
edit 'validation: 20, test: 20' 'validation: 0.6, test: 0.5'
expect 1 "broken.yaml:3:23: error: cannot split 72 of 60 examples off" "$GLIA" train broken.yaml
edit 'validation: 20, test: 20' 'validation: 0.25, test: 0.25' # shares of the whole
expect 0 "60 train · 30 validation · 30 test" "$GLIA" train broken.yaml train.epochs=1 --out shares
edit '  - flatten' '\t- flatten'
expect 1 "broken.yaml:7:1: error: YAML syntax: a tab: YAML is indented with spaces only" "$GLIA" train broken.yaml
edit 'relu' 'rellu'
expect 1 "has an unknown activation 'rellu' (did you mean 'relu'?)" "$GLIA" train broken.yaml
edit 'seed: 3' 'seed: 3, seed: 4'
expect 1 "broken.yaml:11:45: error: 'seed' stands here twice (first in line 11)" "$GLIA" train broken.yaml
edit 'max_pool2d: 2' 'max_pool2d: 20'
expect 1 "broken.yaml:6:5: error: max_pool2d 'max_pool2d' has a window of 20×20, larger than its input of 6×6" "$GLIA" train broken.yaml
edit 'kernel: 3' 'kernel: three'
expect 1 "broken.yaml:5:34: error: kernel: expected 2 integers from 1 to" "$GLIA" train broken.yaml
edit 'optimizer: .*' 'optimizer: {adam: {lr: 3}}'
expect 1 "broken.yaml:10:20: error: unknown setting of adam 'lr'; known: learning_rate," "$GLIA" train broken.yaml
edit 'batch_size: 16' 'batch_size: 0'
expect 1 "broken.yaml:11:32: error: batch_size: expected an integer from 1 to" "$GLIA" train broken.yaml
expect 1 "leave '.units' away" "$GLIA" train net.yaml model.dense.units=3
edit 'validation: 20' 'validation: 5000'
expect 1 "broken.yaml:3:" "$GLIA" train broken.yaml
expect 1 "train.epoch=2: error: unknown key 'epoch'" "$GLIA" train net.yaml train.epoch=2
expect 1 "model.conv2d.filters=x: error: filters: expected an integer" "$GLIA" train net.yaml model.conv2d.filters=x
expect 1 "no item is called 'conv' in this list of 4: 1 conv2d, 2 max_pool2d, 3 flatten, 4 dense" "$GLIA" train net.yaml model.conv.filters=2
printf 'a: \377\n' >bytes.yaml
expect 1 "UTF-8" "$GLIA" train bytes.yaml
: >empty.yaml
expect 1 "no model" "$GLIA" train empty.yaml
checks=$((checks + 1))
[ ! -e runs ] || say_failed "a refused model file leaves a run behind" "$(ls -R runs)"

# --- a softmax before a loss that wants logits: one warning that names the layer and says what to write ---
edit 'dense: 3' 'dense: {units: 3, activation: softmax, name: head}'
expect 0 "warning: the last layer, dense 'head', ends in softmax, but softmax_cross_entropy expects logits" \
    "$GLIA" train broken.yaml train.epochs=1 --out runs/softmax
expect_lines 1 '^warning:' "expected one warning"
expect_lines 1 'remove activation: softmax, or write loss: categorical_cross_entropy$' "expected what to write"
edit 'dense: 3' 'dense: 3\n  - softmax: {name: probabilities}'
expect 0 "warning: the last layer, softmax 'probabilities', ends in softmax" "$GLIA" summary broken.yaml
expect_lines 1 'remove the layer probabilities, or write loss: categorical_cross_entropy$' "expected what to write"
expect 0 "'probabilities', ends in softmax" "$GLIA" train broken.yaml train.epochs=1 --out runs/softmax --force --quiet
expect 0 "saved" "$GLIA" train broken.yaml train.epochs=1 --out runs/right loss=categorical_cross_entropy
expect_lines 0 '^warning:' "a softmax with the loss that expects it is no mistake"

# --- train, look, use ---
expect 0 "saved runs/net-3" "$GLIA" train net.yaml
for f in config.yaml best.safetensors last.safetensors metrics.jsonl log.txt report.html; do expect_file "runs/net-3/$f"; done
expect 0 "test accuracy" cat runs/net-3/report.html
expect 1 "already holds a training; --resume continues it, --force replaces it" "$GLIA" train net.yaml
expect 0 "saved runs/net-3" "$GLIA" train net.yaml --force
expect 0 '{"run":"runs/two","epochs":2' "$GLIA" train net.yaml train.epochs=2 --out runs/two --json --quiet
expect 0 "accuracy" "$GLIA" evaluate runs/net-3
expect 0 '"accuracy":' "$GLIA" evaluate runs/net-3 --json --part validation
expect 2 "--part: expected test, validation or train" "$GLIA" evaluate runs/net-3 --part tset
expect 0 "data/six.idx[5]  2  " "$GLIA" predict runs/net-3 data/six.idx
expect 0 '"file":"data/six.idx","index":1,"top":[{"class":1,"name":"1","probability":' "$GLIA" predict runs/net-3 data/six.idx --json
expect 1 "the model expects N×1×8×8" "$GLIA" predict runs/net-3 data/labels.idx
expect 1 "error: cannot open nothing.png: No such file" "$GLIA" predict runs/net-3 nothing.png
# --- on a terminal: a bar with rate, time left, loss and metrics, never wider than the terminal ---
# terminal COLUMNS COMMAND: what the command draws, a line for each time
terminal() {
    script -qec "stty cols $1; $2" /dev/null </dev/null | tr '\r' '\n' | sed 's/\x1b\[[0-9;]*[mK]//g'
}
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    on_terminal() { # COLUMNS FILTERS
        expect 0 "saved runs/two" terminal "$1" "'$GLIA' train net.yaml --out runs/two --force train.epochs=1 train.batch_size=2 model.conv2d.filters=$2"
    }
    for filters in 2000 8000 32000; do # until an epoch takes long enough for the bar to be drawn twice
        on_terminal 120 $filters
        printf '%s\n' "$out" | grep -q ' left$' && break
    done
    expect_lines 1 '^epoch 1/1 ━━━━━━━━━━━━━━━━━━━━ 40/40  .*/s  loss [0-9.]*  acc [0-9.]* │ val loss .* acc .* s  best$' "expected the epoch's line"
    checks=$((checks + 1))
    printf '%s\n' "$out" | grep -q '^epoch 1/1 ━━━━━━━━━━━━━━━━━━━━ *[0-9]*/40  .*/s  loss [0-9.]*  acc [0-9.]*  [0-9.]* s left$' ||
        say_failed "expected a bar with the time that is left" "$out"
    on_terminal 50 $filters
    checks=$((checks + 1))
    printf '%s\n' "$out" | grep '^epoch' | grep -v 'val loss' | awk 'length($0) >= 50 { exit 1 }' ||
        say_failed "a line is wider than the terminal" "$out"
else
    echo "note: no terminal can be had here (by the program 'script'): the bar on one is not tested"
fi

# --- files that are not what they seem ---
echo "a text of some length, which is no picture" >text.png
expect 1 "text.png: error: neither a PNG nor a JPEG picture, whatever its name" "$GLIA" predict runs/net-3 text.png
: >empty.png
expect 1 "empty.png: error: neither a PNG nor a JPEG picture" "$GLIA" predict runs/net-3 empty.png
# A grey picture of 12×12 with its right third bright.
printf '\211\120\116\107\015\012\032\012\000\000\000\015\111\110\104\122\000\000\000\014\000\000\000\014\010\000\000\000\000\163\036\003\073\000\000\000\021\111\104\101\124\170\332\143\020\201\202\147\100\300\060\270\070\000\320\256\062\241\317\011\200\114\000\000\000\000\111\105\116\104\256\102\140\202' >twelve.png
if "$GLIA" doctor | grep -q '^libpng *none'; then
    expect 1 "this build has no libpng" "$GLIA" predict runs/net-3 twelve.png
else
    expect 0 "twelve.png: 12×12 pixels, resampled to 8×8" "$GLIA" predict runs/net-3 twelve.png
    expect_lines 1 '^twelve.png  2  0\.' "the bright third is the class"
    head -c 60 twelve.png >cut.png
    expect 1 "cut.png: error: damaged PNG picture" "$GLIA" predict runs/net-3 cut.png
    # A bad file does not stop the others.
    expect 1 "twelve.png  2  0." "$GLIA" predict runs/net-3 text.png twelve.png
fi
# npy SHAPE COUNT: an NPY file of so many zeros
npy() {
    printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($1), }"
    head -c $(($2 * 4)) /dev/zero
}
npy 3,7 21 >narrow.npy
expect 1 "narrow.npy holds 3×7; the model expects N×1×8×8" "$GLIA" predict runs/net-3 narrow.npy
npy 2,64 128 >flat.npy
expect 0 "flat.npy[1]  " "$GLIA" predict runs/net-3 flat.npy
npy 2,64 100 >short.npy
expect 1 "short.npy: error: truncated" "$GLIA" predict runs/net-3 short.npy
npy 0,64 0 >none.npy
expect 1 "none.npy holds 0×64" "$GLIA" predict runs/net-3 none.npy
{ npy 64, 0; head -c 252 /dev/zero; printf '\000\000\300\177'; } >nan.npy
expect 1 "nan.npy: example 0 holds nan; a network needs finite numbers" "$GLIA" predict runs/net-3 nan.npy
: >empty.npy
expect 1 "empty.npy: error: not an NPY file" "$GLIA" predict runs/net-3 empty.npy
: >empty.csv
expect 1 "empty.csv: the table is empty" "$GLIA" predict runs/net-3 empty.csv
expect 1 "empty.csv: the table is empty" "$GLIA" train net.yaml --out runs/none data.source=csv:empty.csv
echo "a,b,kind" >header.csv
expect 1 "header.csv" "$GLIA" train net.yaml --out runs/none data.source=csv:header.csv
# shellcheck disable=SC2059
{ printf "$(images 0)" >none.idx; printf "$(labels 0)" >none_labels.idx; }
expect 1 "the data set is empty" "$GLIA" train net.yaml --out runs/none data.source=idx:none.idx,none_labels.idx
expect 1 "the data set is empty" "$GLIA" data show npy:none.npy
checks=$((checks + 1))
[ "$(ls runs)" = "$(printf 'net-3\nright\nsoftmax\ntwo')" ] || say_failed "a refused training leaves a run behind" "$(ls runs)"
expect 0 "conv2d" "$GLIA" summary runs/net-3
expect 0 '"parameters":' "$GLIA" summary net.yaml --json
expect 0 "4×6×6" "$GLIA" summary net.yaml --input 1x8x8
expect 1 "expected a shape like 1x28x28" "$GLIA" summary net.yaml --input big

# --- the plan of a step: of a file, of a run, of shapes alone; with times ---
expect 0 "net · train on 16 examples · f32 · 2 threads" "$GLIA" plan net.yaml --threads 2
expect_lines 1 '^memory  .* before planning' "expected the memory before and after planning"
expect_lines 1 '^conv2d\.conv2d .* f32 ' "expected a line for the convolution"
checks=$((checks + 1))
[ "$(printf '%s\n' "$out" | LC_ALL=C sed 's/[\300-\377][\200-\277]*/x/g' | awk 'length($0) > 100' | wc -l)" -eq 0 ] || say_failed "a line is wider than 100 columns" "$out"
expect 0 "net · predict 1 example · f32" "$GLIA" plan runs/net-3 --mode predict --batch 1
expect_lines 0 'measured' "nothing ran, so nothing was measured"
expect_lines 0 'backward' "predicting has no gradients"
expect 0 "net · evaluate 5 examples · bf16" "$GLIA" plan net.yaml --mode evaluate --batch 5 --precision bf16
expect 0 ", measured " "$GLIA" plan net.yaml --input 1x8x8 --profile --runs 2
expect_lines 1 'GFLOP/s, .* examples/s$' "expected the speed"
expect 0 ", measured " "$GLIA" plan runs/net-3 --mode predict --profile --runs 1
for loss in mse sigmoid_cross_entropy; do # targets are made up for each kind of loss
    expect 0 ", measured " "$GLIA" plan net.yaml loss=$loss --input 1x8x8 --profile --runs 1
done
expect 0 '"mode":"train","precision":"f32","batch":16,"threads":1,' "$GLIA" plan net.yaml --threads 1 --json --profile --runs 1
for word in '"memory_unplanned":' '"segments":[{"mode":' '"kernel":' '"outputs":[{"dtype":"f32","shape":[16' '"intensity":' '"measured":'; do
    expect 0 "$word" "$GLIA" plan net.yaml --json --profile --runs 1
done
expect 0 "glia: linear: " "$GLIA" plan net.yaml --trace
expect 2 "--mode: expected train, evaluate or predict" "$GLIA" plan net.yaml --mode run
expect 1 "nowhere.yaml" "$GLIA" plan nowhere.yaml
expect 1 "is no run directory" "$GLIA" evaluate data
expect 0 "120 examples" "$GLIA" data show idx:data/images.idx,data/labels.idx
expect 1 "--index: expected 0 to 119" "$GLIA" data show idx:data/images.idx,data/labels.idx --index 500
expect 0 "mnist" "$GLIA" data list
expect 0 "cores" "$GLIA" doctor
expect 0 '"cores":' "$GLIA" doctor --json
expect 0 '"isa":"baseline","GLIA_ISA":"baseline; this machine has' env GLIA_ISA=baseline "$GLIA" doctor --json
expect 0 "'sse' is none of baseline, avx2, avx512, amx: ignored" env GLIA_ISA=sse "$GLIA" doctor

# The resolved file trains the same network again.
expect 0 "saved runs/again" "$GLIA" train runs/net-3/config.yaml --out runs/again
checks=$((checks + 1))
cmp -s runs/net-3/last.safetensors runs/again/last.safetensors || say_failed "the resolved file gives other weights" ""
# A batch larger than the data is one smaller batch.
expect 0 "saved runs/wide" "$GLIA" train net.yaml train.batch_size=100000 train.epochs=1 --out runs/wide

# --- tables ---
cat >kinds.yaml <<'END'
data: {source: {csv: data/kinds.csv}, normalize: yes, split: {validation: 0.2, test: 0.2, stratified: yes}}
model: [{dense: {units: 8, activation: relu}}, {dense: 3}]
optimizer: {adam: {learning_rate: 0.05}}
train: {epochs: 30}
END
expect 0 "test accuracy 1.0000" "$GLIA" train kinds.yaml
printf '2.1,4.5\n' >one.csv
expect 0 "one.csv  gem  " "$GLIA" predict runs/kinds-0 one.csv
expect 0 "data/kinds.csv[1]  tan  " "$GLIA" predict runs/kinds-0 data/kinds.csv
printf '1,2,3,4,5\n6,7,8,9,10\n' >wide.csv
expect 1 "the model expects 2, or one more for the target" "$GLIA" predict runs/kinds-0 wide.csv
sed 's/gem/jet/' data/kinds.csv >other.csv
expect 1 "every part needs the same classes" "$GLIA" evaluate runs/kinds-0 --data csv:other.csv
cat >sums.yaml <<'END'
data: {source: "csv:data/sums.csv", target: values, normalize: yes, split: {test: 0.2}}
model: [{dense: {units: 16, activation: relu}}, {dense: 1}]
optimizer: {adam: {learning_rate: 0.02}}
train: {epochs: 40}
END
expect 0 "test mean absolute error" "$GLIA" train sums.yaml
expect 0 "R²" "$GLIA" evaluate runs/sums-0
expect 0 "[99]  " "$GLIA" predict runs/sums-0 data/sums.csv

# --- named sets without a network (a proxy that nobody answers): Debian's Fashion-MNIST, said once ---
offline() (XDG_CACHE_HOME=$work/cache https_proxy=http://127.0.0.1:9 all_proxy=http://127.0.0.1:9 exec "$GLIA" "$@")
if "$GLIA" doctor | grep -q '^libcurl *none'; then said="this build has no libcurl"; else said="cannot download https://"; fi
if [ -r /usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz ]; then
    expect 0 "$said" offline data get mnist
    expect 0 "using fashion_mnist from /usr/share/datasets/fashion-mnist in place of mnist" offline data get mnist
    expect 0 "fashion_mnist:test: 10,000 examples" offline data show mnist:test
    expect 0 "fashion_mnist:" offline train "$GLIA_SOURCE_DIR/examples/mnist_cnn.yaml" data.limit=300 data.split.validation=50 train.epochs=1 --out runs/offline
    checks=$((checks + 1))
    [ "$(printf '%s\n' "$out" | grep -c '^warning:')" = 1 ] || say_failed "expected the substitute to be named once" "$out"
    # Nobody shall take its figures for those of MNIST: the log, the configuration and the report say so, too.
    expect 0 "in place of mnist" grep '  warning: .*using fashion_mnist from /usr/share/datasets/fashion-mnist' runs/offline/log.txt
    expect 0 'substitute: fashion_mnist in place of mnist' cat runs/offline/config.yaml
    expect 0 "These are not figures of mnist, which was not to be had: fashion_mnist stood in for it." cat runs/offline/report.html
    expect 0 "fashion_mnist:test:" offline evaluate runs/offline --quiet
    mkdir real # MNIST comes back, as far as its files' names tell
    ln -s /usr/share/datasets/fashion-mnist real/mnist
    mnist_there() (GLIA_DATA=$work/real offline "$@")
    expect 1 "the run was trained on fashion_mnist in place of mnist, which is there now; train anew, or ask for data.source=fashion_mnist" \
        mnist_there evaluate runs/offline
    expect 1 "the run was trained on fashion_mnist in place of mnist" \
        mnist_there train "$GLIA_SOURCE_DIR/examples/mnist_cnn.yaml" data.limit=300 data.split.validation=50 --out runs/offline --resume
    expect 0 "saved runs/mnist" mnist_there train "$GLIA_SOURCE_DIR/examples/mnist_cnn.yaml" data.limit=300 data.split.validation=50 train.epochs=1 --out runs/mnist
    expect 1 "0" grep -c 'substitute:' runs/mnist/config.yaml
    expect 1 "the run was trained on mnist, but now there is only fashion_mnist, another data set" offline evaluate runs/mnist
else
    echo "note: Debian's dataset-fashion-mnist is not installed: its use without a network is not tested"
    expect 1 "or install Debian's package dataset-fashion-mnist" offline data get mnist
fi
checks=$((checks + 1))
[ -z "$(find cache -type f 2>/dev/null)" ] || say_failed "a failed download leaves files" "$(find cache)"
expect 1 "unknown data source 'mnits' (did you mean mnist?)" "$GLIA" train net.yaml data.source=mnits
expect 1 "unknown data source 'foo'; known: " "$GLIA" train net.yaml data.source=foo
expect 1 " csv, " "$GLIA" train net.yaml data.source=foo
expect 1 "unknown data set 'foo' (known: mnist, fashion_mnist, cifar10, cifar10-jpeg, tinyshakespeare)" "$GLIA" data get foo
expect 1 "unknown data set 'mnst' (did you mean mnist?)" "$GLIA" data get mnst

# --- starters ---
for task in image-classification tabular-classification regression time-series text-classification language-model; do
    expect 0 "wrote $task.yaml" "$GLIA" init --task "$task" "$task.yaml"
    expect 0 "parameters" "$GLIA" summary "$task.yaml" --input "$(case $task in image*) echo 1x28x28 ;; ti*) echo 24x1 ;; te*|l*) echo 64 ;; *) echo 4 ;; esac)"
done
expect 1 "is there already" "$GLIA" init regression.yaml
for f in "$GLIA_SOURCE_DIR"/examples/*.yaml; do # an example whose data is not there says in a comment what it takes
    grep -q 'onnx:' "$f" && continue # its network is in $GLIA_DATA: test_cli_onnx.sh
    shape=$(sed -n 's/^#.*--input \([0-9x]*\).*/\1/p' "$f")
    [ "$shape" ] || shape=$(grep -q csv: "$f" && echo 4 || { grep -q cifar "$f" && echo 3x32x32 || echo 1x28x28; })
    expect 0 "parameters" "$GLIA" summary "$f" --input "$shape"
done

# --- generated pages are up to date ---
for page in model-file:docs/model-file.md man:man/glia.1; do
    checks=$((checks + 1))
    "$GLIA" help "${page%%:*}" | cmp -s - "$GLIA_SOURCE_DIR/${page#*:}" ||
        say_failed "${page#*:} is old; write it again: glia help ${page%%:*} > ${page#*:}" ""
done

finish

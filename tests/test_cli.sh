#!/bin/sh
# test_cli.sh: the program as people use it: messages, exit codes, runs that are stopped, killed and resumed. It
# makes its own small data.
set -u
: "${GLIA:?the program to test}" "${GLIA_SOURCE_DIR:?}"
[ -x "$GLIA" ] || { echo "$GLIA is no program"; exit 1; }
unset GLIA_DATA
work=$(mktemp -d)
mounted=
child=
cleanup() {
    [ -z "$child" ] || kill -9 "$child" 2>/dev/null
    [ -z "$mounted" ] || umount "$mounted"
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work" || exit 1
checks=0 failed=0

say_failed() {
    failed=$((failed + 1))
    printf 'FAILED: %s\n  %s\n' "$1" "$(printf '%s' "$2" | sed 's/^/  /' | head -20)"
}

# expect CODE TEXT COMMAND...: the exit status, and a part of what it prints on stdout or stderr ("" for any).
expect() {
    code=$1 text=$2
    shift 2
    checks=$((checks + 1))
    out=$("$@" 2>&1)
    got=$?
    [ "$got" = "$code" ] || { say_failed "$* gives status $got, expected $code" "$out"; return; }
    case $out in
    *"$text"*) ;;
    *) say_failed "$*: expected \"$text\"" "$out" ;;
    esac
}

# expect_file FILE: it is there and not empty.
expect_file() {
    checks=$((checks + 1))
    [ -s "$1" ] || say_failed "$1 is missing or empty" ""
}

if "$GLIA" doctor | grep -q '^libyaml *none'; then
    echo "data: {source: mnist}" >m.yaml
    expect 1 "this build has no libyaml" "$GLIA" train m.yaml
    echo "$checks checks, $failed failed; this build reads no model files: the rest is skipped"
    [ "$failed" = 0 ]
    exit
fi

# --- data: pictures of 8×8 with a bright bar whose place is the class; a table with the same idea ---
# idx_bytes TYPE COUNT: escapes for printf
images() {
    awk -v n="$1" 'BEGIN {
        printf "\\000\\000\\010\\003\\000\\000\\%03o\\%03o\\000\\000\\000\\010\\000\\000\\000\\010", int(n / 256), n % 256
        for (i = 0; i < n; i++) for (y = 0; y < 8; y++) for (x = 0; x < 8; x++)
            printf "\\%03o", int(x / 3) == i % 3 ? 200 + (i * 7 + y * 5) % 50 : (i * 11 + x * 13 + y * 3) % 60
    }'
}
labels() {
    awk -v n="$1" 'BEGIN {
        printf "\\000\\000\\010\\001\\000\\000\\%03o\\%03o", int(n / 256), n % 256
        for (i = 0; i < n; i++) printf "\\%03o", i % 3
    }'
}
mkdir data
# shellcheck disable=SC2059
{ printf "$(images 120)" >data/images.idx; printf "$(labels 120)" >data/labels.idx; printf "$(images 6)" >data/six.idx; }
awk 'BEGIN { print "a,b,kind"; for (i = 0; i < 90; i++) printf "%d.%d,%d.5,%s\n", i % 3, i % 7, (i % 3) * 2, substr("redtangem", i % 3 * 3 + 1, 3) }' >data/kinds.csv
awk 'BEGIN { for (i = 0; i < 100; i++) printf "%d,%d,%.2f\n", i % 10, i % 7, 2 * (i % 10) - (i % 7) + 1 }' >data/sums.csv

cat >net.yaml <<'END'
data:
  source: {idx: {images: data/images.idx, labels: data/labels.idx}}
  split: {validation: 20, test: 20}
model:
  - conv2d: {filters: 4, kernel: 3, activation: relu}
  - max_pool2d: 2
  - flatten
  - dense: 3
loss: softmax_cross_entropy
optimizer: {adam: {learning_rate: 0.01}}
train: {epochs: 8, batch_size: 16, seed: 3}
END

# edit OLD NEW: a copy of net.yaml as broken.yaml with a line changed
edit() {
    sed "s/$1/$2/" net.yaml >broken.yaml
    cmp -s net.yaml broken.yaml && say_failed "nothing to change: $1" ""
}

# --- wrong use: status 2 ---
expect 2 "usage: glia COMMAND" "$GLIA"
expect 0 "commands:" "$GLIA" --help
expect 0 "glia 0." "$GLIA" --version
expect 2 "unknown command 'trian' (did you mean train?)" "$GLIA" trian
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
for command in train evaluate predict summary data init doctor help; do
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
expect 1 "broken.yaml:5:5: error: conv2d" "$GLIA" train broken.yaml
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
edit 'validation: 20' 'validation: 5000'
expect 1 "broken.yaml:3:" "$GLIA" train broken.yaml
expect 1 "train.epoch=2: error: unknown key 'epoch'" "$GLIA" train net.yaml train.epoch=2
expect 1 "model.conv2d.filters=x: error: filters: expected an integer" "$GLIA" train net.yaml model.conv2d.filters=x
expect 1 "no item is called 'conv'" "$GLIA" train net.yaml model.conv.filters=2
printf 'a: \377\n' >bytes.yaml
expect 1 "UTF-8" "$GLIA" train bytes.yaml
: >empty.yaml
expect 1 "no model" "$GLIA" train empty.yaml
checks=$((checks + 1))
[ ! -e runs ] || say_failed "a refused model file leaves a run behind" "$(ls -R runs)"

# --- a softmax before a loss that wants logits: one warning that says what to write ---
edit 'dense: 3' 'dense: {units: 3, activation: softmax, name: head}'
expect 0 "'head'" "$GLIA" train broken.yaml train.epochs=1 --out runs/softmax
checks=$((checks + 1))
[ "$(printf '%s\n' "$out" | grep -c '^warning:')" = 1 ] || say_failed "expected one warning" "$out"

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
expect 1 "nothing.png" "$GLIA" predict runs/net-3 nothing.png
expect 0 "conv2d" "$GLIA" summary runs/net-3
expect 0 '"parameters":' "$GLIA" summary net.yaml --json
expect 0 "4×6×6" "$GLIA" summary net.yaml --input 1x8x8
expect 1 "expected a shape like 1x28x28" "$GLIA" summary net.yaml --input big
expect 1 "is no run directory" "$GLIA" evaluate data
expect 0 "120 examples" "$GLIA" data show idx:data/images.idx,data/labels.idx
expect 1 "--index: expected 0 to 119" "$GLIA" data show idx:data/images.idx,data/labels.idx --index 500
expect 0 "mnist" "$GLIA" data list
expect 0 "cores" "$GLIA" doctor
expect 0 '"cores":' "$GLIA" doctor --json

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
else
    echo "note: Debian's dataset-fashion-mnist is not installed: its use without a network is not tested"
    expect 1 "or install Debian's package dataset-fashion-mnist" offline data get mnist
fi
checks=$((checks + 1))
[ -z "$(find cache -type f 2>/dev/null)" ] || say_failed "a failed download leaves files" "$(find cache)"
expect 1 "unknown data source 'mnits' (did you mean mnist?)" "$GLIA" train net.yaml data.source=mnits
expect 1 "known: csv, fashion_mnist, idx, mnist, npy" "$GLIA" train net.yaml data.source=foo
expect 1 "unknown data set 'mnst' (did you mean mnist?)" "$GLIA" data get mnst

# --- starters ---
for task in image-classification tabular-classification regression; do
    expect 0 "wrote $task.yaml" "$GLIA" init --task "$task" "$task.yaml"
    expect 0 "parameters" "$GLIA" summary "$task.yaml" --input "$([ $task = image-classification ] && echo 1x28x28 || echo 4)"
done
expect 1 "is there already" "$GLIA" init regression.yaml
for f in "$GLIA_SOURCE_DIR"/examples/*.yaml; do
    expect 0 "parameters" "$GLIA" summary "$f" --input "$(grep -q csv: "$f" && echo 4 || echo 1x28x28)"
done

# --- places that cannot be written ---
expect 1 "cannot" "$GLIA" train net.yaml --out /proc/nowhere
expect 1 "is a file; expected a folder" "$GLIA" train net.yaml --out net.yaml
expect 1 "net.yaml" "$GLIA" train net.yaml --out net.yaml/run
expect 1 "no run directory" "$GLIA" train net.yaml --out data
mkdir small
if mount -t tmpfs -o size=48k glia_test small 2>/dev/null; then
    mounted=$work/small
    expect 1 "No space left" "$GLIA" train net.yaml --out small/run model.conv2d.filters=64
    umount small && mounted=
else
    echo "note: no small tmpfs here (not root): a full disk is imitated by a limit on file sizes only"
fi
full_disk() (trap '' XFSZ; ulimit -f 8; exec "$GLIA" "$@")
expect 1 "File too large" full_disk train net.yaml --out runs/full model.conv2d.filters=64

# --- another model's run ---
expect 1 "nothing to resume" "$GLIA" train net.yaml --out runs/none --resume
edit 'filters: 4' 'filters: 5'
expect 1 "holds another training" "$GLIA" train broken.yaml --out runs/net-3 --resume
expect 1 "filters: 5" "$GLIA" train broken.yaml --out runs/net-3 --resume
expect 1 "holds another training" "$GLIA" train net.yaml --out runs/net-3 --resume --seed 4
cp -r runs/net-3 runs/mixed
cp runs/two/best.safetensors runs/mixed/best.safetensors
expect 0 "accuracy" "$GLIA" evaluate runs/mixed # the same shapes: fine
cp runs/kinds-0/best.safetensors runs/mixed/best.safetensors
expect 1 "runs/mixed/best.safetensors" "$GLIA" evaluate runs/mixed
printf 'garbage' >runs/mixed/best.safetensors
expect 1 "runs/mixed/best.safetensors" "$GLIA" predict runs/mixed data/six.idx

# --- resume gives what a training in one go gives ---
expect 0 "saved runs/half" "$GLIA" train net.yaml train.epochs=4 --out runs/half
expect 0 "saved runs/half" "$GLIA" train net.yaml --out runs/half --resume
checks=$((checks + 1))
cmp -s runs/net-3/last.safetensors runs/half/last.safetensors || say_failed "4 + 4 epochs differ from 8" ""

# wait_for FILE: until it is there, for 20 s
wait_for() {
    tries=0
    while [ ! -s "$1" ] && [ $tries -lt 200 ]; do sleep 0.1; tries=$((tries + 1)); done
}

# --- Ctrl-C ---
"$GLIA" train net.yaml train.epochs=1000000 --out runs/stopped >stopped.txt 2>&1 &
child=$!
wait_for runs/stopped/last.safetensors
kill -INT $child
wait $child
status=$?
child=
checks=$((checks + 1))
[ $status = 1 ] || say_failed "a stopped training gives status $status, expected 1" "$(tail -5 stopped.txt)"
expect 0 "Continue with: glia train runs/stopped --resume" cat stopped.txt
done_epochs=$(wc -l <runs/stopped/metrics.jsonl)
expect 0 "saved runs/stopped" "$GLIA" train runs/stopped --resume train.epochs=$((done_epochs + 2))
checks=$((checks + 1))
[ "$(wc -l <runs/stopped/metrics.jsonl)" -le $((done_epochs + 2)) ] || say_failed "resumed epochs are counted twice" ""

# --- kill -9 in the middle of saving: what is on disk is whole ---
for round in 1 2 3 4 5 6 7 8; do
    "$GLIA" train net.yaml train.epochs=1000000 --out runs/killed $([ $round = 1 ] || echo --resume) >killed.txt 2>&1 &
    child=$!
    [ $round != 1 ] || wait_for runs/killed/last.safetensors
    sleep "0.$round"
    kill -9 $child
    wait $child 2>/dev/null
    child=
    expect 0 "accuracy" "$GLIA" evaluate runs/killed --quiet
done
expect 0 "saved runs/killed" "$GLIA" train net.yaml --out runs/killed --resume train.epochs=$(($(wc -l <runs/killed/metrics.jsonl) + 1))
checks=$((checks + 1))
[ -z "$(find runs/killed -name '*.tmp-*')" ] || say_failed "half-written files stay" "$(ls runs/killed)"

# --- generated pages are up to date ---
for page in model-file:docs/model-file.md man:man/glia.1; do
    checks=$((checks + 1))
    "$GLIA" help "${page%%:*}" | cmp -s - "$GLIA_SOURCE_DIR/${page#*:}" ||
        say_failed "${page#*:} is old; write it again: glia help ${page%%:*} > ${page#*:}" ""
done

echo "$checks checks, $failed failed"
[ "$failed" = 0 ]

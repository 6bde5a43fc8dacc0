#!/bin/sh
# test_cli_runs.sh: run directories when things go wrong: full disks, damaged files, stopped and killed trainings.
# shellcheck source=tests/cli.sh
. "${GLIA_SOURCE_DIR:?}/tests/cli.sh"

expect 0 "saved runs/net-3" "$GLIA" train net.yaml
expect 0 "saved runs/other" "$GLIA" train net.yaml model.conv2d.filters=5 --out runs/other

# --- places that cannot be written: nothing is lost, and there is nothing half-done ---
expect 1 "cannot" "$GLIA" train net.yaml --out /proc/nowhere
expect 1 "is a file; expected a folder" "$GLIA" train net.yaml --out net.yaml
expect 1 "net.yaml" "$GLIA" train net.yaml --out net.yaml/run
expect 1 "no run directory" "$GLIA" train net.yaml --out data
expect 1 "no run directory" "$GLIA" train net.yaml --out data --force
expect 0 "120 examples" "$GLIA" data show idx:data/images.idx,data/labels.idx
mkdir small
if mount -t tmpfs -o size=96k glia_test small 2>/dev/null; then
    mounted=$work/small
    expect 1 "No space left" "$GLIA" train net.yaml --out small/run model.conv2d.filters=200
    rm -rf small/run
    expect 0 "saved small/run" "$GLIA" train net.yaml --out small/run train.epochs=2
    cp small/run/last.safetensors before.safetensors
    dd if=/dev/zero of=small/filler bs=1k count=96 2>/dev/null # the disk fills up between two sessions
    expect 1 "No space left" "$GLIA" train net.yaml --out small/run --resume
    same before.safetensors small/run/last.safetensors "a full disk spoils the checkpoint"
    expect 0 "accuracy" "$GLIA" evaluate small/run
    rm small/filler
    expect 0 "saved small/run" "$GLIA" train net.yaml --out small/run --resume
    same runs/net-3/last.safetensors small/run/last.safetensors "a training resumed after a full disk gives other weights"
    mount -o remount,ro small
    expect 1 "cannot write small/run/log.txt: Read-only file system" "$GLIA" train small/run --resume train.epochs=9
    expect 1 "small/new: Read-only file system" "$GLIA" train net.yaml --out small/new
    expect 0 "accuracy" "$GLIA" evaluate small/run
    umount small && mounted=
else
    echo "note: no small tmpfs here (not root): a full disk is imitated by a limit on file sizes only"
fi
full_disk() (trap '' XFSZ; ulimit -f "$1"; shift; exec "$GLIA" "$@")
expect 1 "File too large" full_disk 8 train net.yaml --out runs/full model.conv2d.filters=64
expect 0 "saved runs/limit" "$GLIA" train net.yaml --out runs/limit train.epochs=2
expect 1 "File too large" full_disk 2 train net.yaml --out runs/limit --resume
expect 0 "accuracy" "$GLIA" evaluate runs/limit
expect 0 "runs/limit continues after epoch 2" "$GLIA" train net.yaml --out runs/limit --resume
same runs/net-3/last.safetensors runs/limit/last.safetensors "a training resumed after a failed write gives other weights"

# --- the machine's memory ---
cat >huge.yaml <<'END'
data: {source: "idx:data/images.idx,data/labels.idx"}
model:
  - flatten
  - dense: {units: 16777216, name: huge}
  - dense: {units: 60000, name: wide}
  - dense: 3
END
expect 1 "huge.yaml:5:5: error: training needs " "$GLIA" train huge.yaml
expect 1 "most of it is for dense 'wide' with its 1,006,633,020,000 parameters" "$GLIA" train huge.yaml
checks=$((checks + 1))
[ ! -e runs/huge-0 ] || say_failed "a refused model leaves a run behind" ""

# A limit: refused with the figure, or obeyed.
expect 1 "training needs at least" "$GLIA" train net.yaml --out runs/narrow train.memory_limit=50KB
expect 1 "but memory_limit is 0.1 MB; even with one example at a time" "$GLIA" train net.yaml --out runs/narrow train.memory_limit=50KB --force
expect 0 "saved runs/narrow" "$GLIA" train net.yaml --out runs/narrow train.memory_limit=1.5GB --force
expect 1 "memory_limit: expected a number of bytes such as 80MB or 1.5GB, found 'much'" "$GLIA" train net.yaml train.memory_limit=much

# Memory that ends while the network is prepared: told as such, and the run can begin again.
little() (ulimit -v 400000; exec "$GLIA" "$@")
if little doctor >/dev/null 2>&1; then # a sanitizer, or many threads, want more for themselves
    expect 1 "error: out of memory: " little train net.yaml --out runs/little model.conv2d.filters=1000000
    expect 0 "saved runs/little" little train net.yaml --out runs/little --force
    same runs/net-3/last.safetensors runs/little/last.safetensors "begun again after memory had run out, a training gives other weights"
else
    echo "note: this program does not start in 400 MB of addresses: memory that runs out is not tested here"
fi

# --- another model's run ---
expect 1 "nothing to resume: runs/none is no run directory" "$GLIA" train net.yaml --out runs/none --resume
expect 1 "data is no run directory (it has no config.yaml)" "$GLIA" train data --resume
expect 1 "net.yaml is a file; expected a run directory" "$GLIA" evaluate net.yaml
expect 1 "no run directory runs/none: No such file" "$GLIA" predict runs/none data/six.idx
edit 'filters: 4' 'filters: 5'
expect 1 "holds another training: 'conv2d: … filters: 4' there, 'conv2d: … filters: 5' here" "$GLIA" train broken.yaml --out runs/net-3 --resume
expect 1 "holds another training" "$GLIA" train net.yaml --out runs/net-3 --resume --seed 4
cp -r runs/net-3 runs/mixed
cp runs/other/best.safetensors runs/other/last.safetensors runs/mixed
expect 1 "runs/mixed/best.safetensors" "$GLIA" evaluate runs/mixed
expect 1 "runs/mixed/last.safetensors is of another model: layer 1 is conv2d 'conv2d' N×5×6×6 there, conv2d 'conv2d' N×4×6×6 here" \
    "$GLIA" train net.yaml --out runs/mixed --resume
same runs/other/last.safetensors runs/mixed/last.safetensors "a refused resume changes the checkpoint"

# --- damaged files ---
copy() { rm -rf runs/bad && cp -r runs/net-3 runs/bad; }
copy && printf 'garbage' >runs/bad/best.safetensors
expect 1 "runs/bad/best.safetensors: error:" "$GLIA" evaluate runs/bad
expect 1 "runs/bad/best.safetensors: error:" "$GLIA" predict runs/bad data/six.idx
# weights HEADER BYTES: a safetensors file of that header and so many zeros
weights() {
    # shellcheck disable=SC2059
    printf "$(printf '\\%03o\\%03o\\000\\000\\000\\000\\000\\000' $((${#1} % 256)) $((${#1} / 256)))"
    printf '%s' "$1"
    head -c "$2" /dev/zero
}
# bad_weights TEXT: both who read weights refuse them
bad_weights() {
    expect 1 "runs/bad/best.safetensors$1" "$GLIA" evaluate runs/bad
    expect 1 "runs/bad/best.safetensors$1" "$GLIA" predict runs/bad data/six.idx
    expect_lines 0 '^data/six' "a prediction by weights that were refused"
}
pair() { printf '{"a":{"dtype":"%s","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[%s]}}' "$1" "$2"; }
if "$GLIA" doctor | grep -q '^jansson *[0-9]'; then
    weights "$(pair F32 12,20)" 20 >runs/bad/best.safetensors
    bad_weights ": error: hole in the data: expected tensor 'b' to begin at byte 8, found 12"
    weights "$(pair F32 4,12)" 12 >runs/bad/best.safetensors
    bad_weights ": error: tensors 'a' and 'b' overlap: expected 'b' to begin at byte 8, found 4"
    weights "$(pair F32 8,16)" 12 >runs/bad/best.safetensors
    bad_weights ": error: tensor 'b' ends at byte 16 of the data, which has only 12 bytes (truncated?)"
    weights "$(pair F16 8,16)" 16 >runs/bad/best.safetensors
    bad_weights ": error: tensor 'a': Glia has no arrays of dtype F16"
    printf '\377\377\377\377\377\377\377\177{}' >runs/bad/best.safetensors
    bad_weights ": error: not a safetensors file: expected a header of at most 100000000 bytes, found 9223372036854775807"
    weights "$(pair F32 8,16)" 16 >runs/bad/best.safetensors
    bad_weights " is not of this model: 4 parameters are missing ('conv2d.weight'), 2 are left over ('a')"
    # The right names and shapes, whole numbers in place of floats.
    sed 's/"dtype":"F32"/"dtype":"I32"/' runs/net-3/best.safetensors >runs/bad/best.safetensors
    bad_weights " is not of this model: 'conv2d.weight' is i32 4×1×3×3 there, the model needs f32 4×1×3×3"
fi
copy && head -c 300 runs/net-3/last.safetensors >runs/bad/last.safetensors
expect 1 "the checkpoint is damaged and cannot be continued" "$GLIA" train runs/bad --resume train.epochs=10
same runs/net-3/best.safetensors runs/bad/best.safetensors "a damaged checkpoint costs the best weights"
expect 0 "accuracy" "$GLIA" evaluate runs/bad
rm runs/bad/last.safetensors
expect 1 "has no last.safetensors to continue from, only best.safetensors" "$GLIA" train runs/bad --resume
expect 1 "already holds a training" "$GLIA" train net.yaml --out runs/bad
same runs/net-3/best.safetensors runs/bad/best.safetensors "a missing checkpoint costs the best weights"
rm runs/bad/best.safetensors
expect 1 "runs/bad has no weights: its training did not finish one epoch" "$GLIA" evaluate runs/bad
expect 1 "runs/bad has no weights" "$GLIA" predict runs/bad data/six.idx
copy && rm runs/bad/config.yaml
expect 1 "runs/bad is no run directory (it has no config.yaml)" "$GLIA" evaluate runs/bad
expect 1 "already holds a training" "$GLIA" train net.yaml --out runs/bad
copy && : >runs/bad/config.yaml
expect 1 "runs/bad/config.yaml: error: no model" "$GLIA" evaluate runs/bad
# A damaged history is no reason to stop: whole lines stay, epochs are counted once.
copy && { head -2 runs/net-3/metrics.jsonl; echo '{"epoch":garbage'; tail -1 runs/net-3/metrics.jsonl | head -c 40; } >runs/bad/metrics.jsonl
expect 0 "runs/bad continues after epoch 8" "$GLIA" train runs/bad --resume train.epochs=10
expect 0 '{"epoch":1,
{"epoch":2,
{"epoch":9,
{"epoch":10,' grep -o '^{"epoch":[0-9]*,' runs/bad/metrics.jsonl
copy && rm runs/bad/metrics.jsonl
expect 0 "saved runs/bad" "$GLIA" train runs/bad --resume train.epochs=9
expect 0 "has had its 8 epochs: nothing is left to train" "$GLIA" train runs/net-3 --resume

# --- export: the weights of the best epoch ---
expect 0 '"files":[{"path":"net.safetensors","bytes":' "$GLIA" export runs/net-3 --format safetensors --json
expect 0 "wrote out.safetensors" "$GLIA" export runs/net-3 -o out.safetensors
same net.safetensors out.safetensors "two exports differ"
expect 1 "cannot" "$GLIA" export runs/net-3 -o /proc/nowhere.safetensors

# --- data that are gone: predictions need none ---
mv data/images.idx data/gone.idx
expect 1 "runs/net-3/config.yaml:3:11: error: cannot open" "$GLIA" evaluate runs/net-3
expect 1 "runs/net-3/config.yaml:3:11: error: cannot open" "$GLIA" train runs/net-3 --resume train.epochs=9
expect 0 "data/six.idx[5]  2  " "$GLIA" predict runs/net-3 data/six.idx
expect 0 "4×6×6" "$GLIA" summary runs/net-3
mv data/gone.idx data/images.idx
# --- results that cannot be written ---
to_full() { "$GLIA" "$@" >/dev/full; }
[ ! -c /dev/full ] || expect 1 "cannot write to stdout: No space left" to_full evaluate runs/net-3

# --- a training that goes wrong: the step, the node, the checkpoint ---
expect 1 "epoch 1, batch 2 of 5, step 2: the loss became NaN or infinite: the result of 'dense.linear' (16×3) holds" \
    "$GLIA" train net.yaml optimizer.adam.learning_rate=1e30 --out runs/nan
expect 1 "lower the learning rate" "$GLIA" train net.yaml optimizer.adam.learning_rate=1e30 --out runs/nan2
expect 1 "runs/nan3/last.safetensors has the last good weights, of epoch 0" \
    "$GLIA" train net.yaml optimizer.adam.learning_rate=1e30 --out runs/nan3
expect 0 "error: epoch 1, batch 2 of 5, step 2" cat runs/nan/log.txt
expect 0 "accuracy" "$GLIA" evaluate runs/nan
copy
expect 1 "runs/bad/last.safetensors has the last good weights, of epoch 8" \
    "$GLIA" train runs/bad --resume train.epochs=10 optimizer.adam.learning_rate=1e30
same runs/net-3/last.safetensors runs/bad/last.safetensors "a NaN spoils the checkpoint"

# --- resume gives what a training in one go gives ---
expect 0 "saved runs/half" "$GLIA" train net.yaml train.epochs=4 --out runs/half
expect 0 "saved runs/half" "$GLIA" train net.yaml --out runs/half --resume
same runs/net-3/last.safetensors runs/half/last.safetensors "4 + 4 epochs differ from 8"

# epochs_of RUN: how many its history has
epochs_of() { wc -l <"$1/metrics.jsonl"; }

# --- what may change meanwhile, and what may not ---
cp -r runs/half runs/changed
expect 0 "changed from here on: learning_rate 0.001 (was 0.01), epochs 9 (was 8)" \
    "$GLIA" train net.yaml --out runs/changed --resume train.epochs=9 optimizer.adam.learning_rate=0.001
expect 0 "changed from here on: learning_rate 0.001 (was 0.01), epochs 9 (was 8)" cat runs/changed/log.txt
# refused SAVED GIVEN OVERRIDE
refused() {
    expect 1 "runs/changed holds another training: '$1' there, '$2' here; it cannot be continued" \
        "$GLIA" train net.yaml --out runs/changed --resume train.epochs=20 "$3"
}
cp runs/changed/last.safetensors changed.safetensors
refused 'optimizer: adam' 'optimizer: sgd' optimizer=sgd
refused 'loss: softmax_cross_entropy' 'loss: categorical_cross_entropy' loss=categorical_cross_entropy
refused 'batch_size: 16' 'batch_size: 8' train.batch_size=8
refused 'shuffle: yes' 'shuffle: no' train.shuffle=no
refused 'monitor: val_loss' 'monitor: val_accuracy' train.early_stopping.monitor=val_accuracy
refused 'validation: 20' 'validation: 30' data.split.validation=30
same changed.safetensors runs/changed/last.safetensors "a refused resume changes the checkpoint"
expect 0 "9" epochs_of runs/changed
expect 0 "epochs: 9" cat runs/changed/config.yaml

# --- killed before the first checkpoint: resuming begins again ---
for left in "config.yaml log.txt" "log.txt" "log.txt config.yaml.tmp-1"; do
    rm -rf runs/fresh && mkdir runs/fresh
    for f in $left; do cp "runs/net-3/${f%.tmp-1}" "runs/fresh/$f"; done
    expect 0 "saved runs/fresh" "$GLIA" train net.yaml --out runs/fresh --resume
    same runs/net-3/last.safetensors runs/fresh/last.safetensors "begun again with $left, a training gives other weights"
done
mkdir runs/nothing
expect 1 "nothing to resume: runs/nothing is no run directory" "$GLIA" train net.yaml --out runs/nothing --resume

# wait_for FILE: until it is there, for 20 s
wait_for() {
    tries=0
    while [ ! -s "$1" ] && [ $tries -lt 2000 ]; do sleep 0.01; tries=$((tries + 1)); done
}

# --- two trainings in one folder ---
"$GLIA" train net.yaml train.epochs=1000000 --out runs/busy >busy.txt 2>&1 &
child=$!
wait_for runs/busy/best.safetensors
expect 1 "another training is running in runs/busy" "$GLIA" train runs/busy --resume
expect 1 "another training is running in runs/busy" "$GLIA" train net.yaml --out runs/busy --force
expect 0 "accuracy" "$GLIA" evaluate runs/busy
kill -9 $child
wait $child 2>/dev/null
child=
expect 0 "saved runs/busy" "$GLIA" train net.yaml --out runs/busy --force # the lock fell with the process

# --- Ctrl-C, and the polite kill ---
for signal in INT TERM; do
    "$GLIA" train net.yaml train.epochs=1000000 --out runs/$signal >stopped.txt 2>&1 &
    child=$!
    wait_for runs/$signal/best.safetensors
    kill -$signal $child
    wait $child
    status=$?
    child=
    checks=$((checks + 1))
    [ $status = 1 ] || say_failed "a stopped training gives status $status, expected 1" "$(tail -5 stopped.txt)"
    expect 0 "Continue with: glia train runs/$signal --resume" cat stopped.txt
    epochs=$(($(epochs_of runs/$signal) + 2))
    expect 0 "saved runs/$signal" "$GLIA" train runs/$signal --resume train.epochs=$epochs
    expect 0 "saved runs/straight" "$GLIA" train net.yaml train.epochs=$epochs --out runs/straight --force
    same runs/straight/last.safetensors runs/$signal/last.safetensors "a stopped and resumed training gives other weights"
    same runs/straight/best.safetensors runs/$signal/best.safetensors "a stopped and resumed training has another best epoch"
    checks=$((checks + 1))
    [ "$(epochs_of runs/$signal)" = $epochs ] || say_failed "resumed epochs are counted twice" ""
done

# --- kill -9 at random moments, most of them while something is being written: what is on disk is whole ---
# killed FILE SECONDS ARGUMENTS...: starts the program, and kills it so long after FILE is there
killed() {
    file=$1 seconds=$2
    shift 2
    "$GLIA" "$@" >killed.txt 2>&1 &
    child=$!
    wait_for "$file"
    sleep "$seconds"
    kill -9 $child 2>/dev/null
    wait $child 2>/dev/null
    child=
}
# Checkpoints of some megabytes, so that many a moment falls into their writing.
sed 's/filters: 4/filters: 64/; s/  - dense: 3/  - dense: {units: 256, activation: relu}\n  - dense: 3/' net.yaml >wide.yaml
seed=$(date +%N)
moments=$(awk -v seed="$seed" 'BEGIN { srand(seed); for (i = 0; i < 12; i++) printf "%.4f\n", rand() * 0.06 }')
for moment in $moments; do # before and around the first checkpoint
    rm -rf runs/early
    killed wide.yaml "$moment" train wide.yaml train.epochs=1000000 --out runs/early
    resume=
    [ ! -e runs/early/log.txt ] || resume=--resume
    expect 0 "saved runs/early" "$GLIA" train wide.yaml --out runs/early $resume train.epochs="$([ ! -s runs/early/metrics.jsonl ] && echo 1 || epochs_of runs/early)"
    moment=$(awk -v m="$moment" 'BEGIN { print m * 2 }')
    killed runs/killed/metrics.jsonl "$moment" train wide.yaml train.epochs=1000000 --out runs/killed "$([ -e runs/killed/log.txt ] && echo --resume || echo --quiet)"
    [ ! -e runs/killed/last.safetensors ] || expect 0 "accuracy" "$GLIA" evaluate runs/killed --quiet
done
epochs=$(($(epochs_of runs/killed) + 1))
expect 0 "saved runs/killed" "$GLIA" train wide.yaml --out runs/killed --resume train.epochs=$epochs
expect 0 "saved runs/straight" "$GLIA" train wide.yaml train.epochs=$epochs --out runs/straight --force
same runs/straight/last.safetensors runs/killed/last.safetensors "a training killed 12 times gives other weights (seed $seed)"
same runs/straight/best.safetensors runs/killed/best.safetensors "a training killed 12 times has another best epoch (seed $seed)"
checks=$((checks + 1))
[ -z "$(find runs/killed -name '*.tmp-*')" ] || say_failed "half-written files stay (seed $seed)" "$(ls runs/killed)"

finish

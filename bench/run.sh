#!/bin/sh
# shellcheck disable=SC2317 # jobs are called by the names in $all
# run.sh [JOB ...]: Glia's times beside PyTorch's on this machine; no job named: all of them, which takes half an hour or more.
# Leave the machine alone meanwhile. Each job writes its own section of docs/performance.md again, between "<!-- bench JOB -->"
# and "<!-- end -->", and docs/roofline.svg follows from all sections: so jobs can be run one by one.
#
# For every job: the same initial weights and the same batches must give the same first losses; PyTorch's fastest settings are
# looked for (kept in BUILD/bench/; `make clean` forgets them); then both run in turn, and medians count.
#
#   BUILD         default build/release
#   GLIA_DATA     folder that holds mnist/ (four IDX files), for J1, J5, sweep and start, and cifar10-jpeg/ for J2b
#   GLIA_PYTHON   a python with torch, default python3; without one only Glia is measured
#   PAIRS         turns of each, default 5
#   EXAMPLES      only so many in an epoch or an evaluation: a rehearsal, which writes only to BUILD/bench/, as does a run without torch
set -eu
all="J1 J2 J2b J3 J4 J5 J6 J7 sweep start" # each is a function below
cd "$(dirname "$0")/.."
build=${BUILD:-build/release} python=${GLIA_PYTHON:-python3} pairs=${PAIRS:-5}
glia=$build/bench/glia_bench kept=$build/bench
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
say() { echo "bench: $*" >&2; }

# --- what is there -----------------------------------------------------------------------------------------------------------

cores=$(getconf _NPROCESSORS_ONLN)
has_torch=yes
version=$("$python" -c 'import torch; print(torch.__version__)' 2>/dev/null) || has_torch=
[ "$has_torch" ] || say "$python has no torch: PyTorch's half is skipped (set GLIA_PYTHON)"

# --- one measurement ---------------------------------------------------------------------------------------------------------

# number KEY: of the line of JSON on stdin; list KEY: one a line.
number() { sed -n 's/.*"'"$1"'": *\([0-9.e+-]*\).*/\1/p'; }
list() { sed -n 's/.*"'"$1"'": *\[\([^]]*\)\].*/\1/p' | tr -d ' ' | tr ',' '\n'; }
median() { sort -g | awk '{v[NR] = $1} END {if (NR) printf "%.9g\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

# with ALLOCATOR COMMAND ...: runs it with a C library's or another allocator, if it is installed; fails otherwise.
with() {
    allocator=$1
    shift
    case $allocator in
    malloc) "$@" ;;
    malloc-keeps) MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864 "$@" ;;
    *)
        library=$(find /usr/lib /usr/local/lib -name "lib$allocator.so.*" 2>/dev/null | sort | head -n 1)
        [ "$library" ] || return 1
        LD_PRELOAD=$library "$@"
        ;;
    esac
}

# torch SETTINGS ARGUMENT ...: SETTINGS are an allocator and options of torch_jobs.py.
torch() {
    settings=$1
    shift
    # shellcheck disable=SC2086
    with ${settings%% *} "$python" bench/torch_jobs.py "$@" --load "$scratch/load" ${settings#* }
}

# faster SETTINGS ARGUMENT ...: whether a short run is faster with them than the best so far ($best, $best_time).
faster() {
    candidate=$1 few=$((2000 + 100 * batch))
    shift
    case "$*" in
    *--examples*)
        quarter=$(($(echo "$*" | sed 's/.*--examples \([0-9]*\).*/\1/') / 4))
        [ "$few" -lt "$quarter" ] || few=$quarter
        ;;
    esac
    torch "$candidate" "$@" --repeats 3 --examples "$few" >"$scratch/try" 2>"$scratch/log" || return 1
    time=$(list seconds <"$scratch/try" | median)
    say "    PyTorch with $candidate: $time s"
    awk "BEGIN {exit !(${best_time:-1e9} > $time)}" || return 1
    best=$candidate best_time=$time
}

# settle NAME ARGUMENT ...: PyTorch's fastest settings for a job to $best: one choice after the other.
settle() {
    file=$kept/torch-$1
    shift
    if [ -e "$file" ]; then best=$(cat "$file") && return; fi
    best_time=
    for allocator in malloc malloc-keeps jemalloc tcmalloc_minimal; do faster "$allocator --threads $cores" "$@" || :; done
    faster "${best%% *} --threads 1" "$@" || :
    case $1 in *mlp* | *lstm* | *gpt2*) ;; *) faster "$best --channels-last" "$@" || : ;; esac
    faster "$best --compile" "$@" || :
    echo "$best" >"$file"
}

# check OURS THEIRS FIRST LATER: whether the losses in two files of JSON agree: the first of them to one part in 1/FIRST, those
# after an update in 1/LATER; says how far they are apart at most.
check() {
    list losses <"$1" >"$scratch/ours"
    list losses <"$2" >"$scratch/theirs"
    paste "$scratch/ours" "$scratch/theirs" | awk -v first="$3" -v later="$4" 'NF == 2 {
        d = $1 - $2; d = (d < 0 ? -d : d) / ($2 < 0 ? -$2 : $2); if (d > worst) worst = d
        if (d > (NR == 1 ? first : later)) apart = 1
    } END {apart = apart || !NR; printf "%s %.0e\n", apart ? "DIFFER" : "same", worst; exit apart}'
}

# --- a job -------------------------------------------------------------------------------------------------------------------

failed=0

# there FOLDER: whether the job that runs has its data.
there() { [ -e "${GLIA_DATA:-}/$1" ] || { say "skipped: no \$GLIA_DATA/$1" && false; }; }

# measure JOB TITLE MODEL WHAT REPEATS ARGUMENT ...: adds a line to $scratch/rows.
measure() {
    job=$1 title=$2 model=$3 what=$4 repeats=$5
    shift 5
    case $model in */*) ;; *) model=examples/$model ;; esac
    set -- "$model.yaml" "$what" "$@"
    case $what in epoch | evaluate) set -- "$@" ${EXAMPLES:+--examples "$EXAMPLES"} ;; esac
    batch=$(echo "$*" | sed 's/.*--batch \([0-9]*\).*/\1/')
    first=1e-4 later=1e-4 unrandom='' best='' ratio='' theirs='' their_memory='' agreed=''
    case ${model##*/} in # VGG16: see docs/performance.md, "first losses"
    vgg16) later=1e-2 unrandom="model.dropout_a.rate=0 model.dropout_b.rate=0" ;;
    vgg16_bn* | resnet18*) later=2e-2 ;;
    esac
    case "$*" in
    *generate*) first=0 later=0 ;; # tokens
    *bf16*) first=3e-2 later=5e-2 ;;
    esac
    say "$job: $title"
    # shellcheck disable=SC2086
    "$glia" "$@" $unrandom --repeats 0 --save "$scratch/load" >"$scratch/first"
    if [ "$has_torch" ]; then
        # shellcheck disable=SC2086
        torch "malloc --threads $cores" "$@" $unrandom --repeats 0 >"$scratch/second"
        agreed=$(check "$scratch/first" "$scratch/second" "$first" "$later") || failed=1
        say "    first losses: $agreed"
        settle "$(echo "$*" | tr -c 'a-z0-9\n' _)" "$@"
    fi
    rm -f "$scratch"/seconds.* "$scratch/ratios"
    for _ in $(seq "$pairs"); do
        "$glia" "$@" --repeats "$repeats" >"$scratch/glia"
        list seconds <"$scratch/glia" | tee -a "$scratch/seconds.glia" | median >"$scratch/a"
        [ "$has_torch" ] || continue
        torch "$best" "$@" --repeats "$repeats" >"$scratch/torch"
        list seconds <"$scratch/torch" | tee -a "$scratch/seconds.torch" | median >"$scratch/b"
        paste "$scratch/a" "$scratch/b" | awk '{print $2 / $1}' >>"$scratch/ratios"
    done
    ours=$(median <"$scratch/seconds.glia") our_memory=$(number peak_mb <"$scratch/glia")
    if [ "$has_torch" ]; then
        ratio=$(median <"$scratch/ratios") theirs=$(median <"$scratch/seconds.torch")
        their_memory=$(number peak_mb <"$scratch/torch")
    fi
    say "    Glia $ours s, PyTorch ${theirs:-not measured}${theirs:+ s, ratio $ratio}"
    echo "$job|$title|$ours|$theirs|$ratio|$our_memory|$their_memory|$(number flops <"$scratch/glia")|$(
        number bytes <"$scratch/glia")|$agreed|$best" >>"$scratch/rows"
}

J1() {
    there mnist || return 0
    measure J1 "tutorial CNN, epoch of 60,000, batch 128" mnist_cnn epoch 2 --batch 128
    measure J1 "evaluation of 10,000, batch 128" mnist_cnn evaluate 5 --batch 128
    measure J1 "epoch of 60,000, batch 1" mnist_cnn epoch 1 --batch 1
    measure J1 "evaluation of 10,000, batch 1" mnist_cnn evaluate 3 --batch 1
}

J2() {
    measure J2 "VGG16 at 224×224, forward, batch 1" vgg16 forward 5 --input 3x224x224 --batch 1
    measure J2 "forward, batch 8" vgg16 forward 3 --input 3x224x224 --batch 8
    measure J2 "training step, batch 8" vgg16 step 3 --input 3x224x224 --batch 8
    measure J2 "forward, batch 1, bf16" vgg16 forward 5 --input 3x224x224 --batch 1 --precision bf16
    measure J2 "forward, batch 8, bf16" vgg16 forward 3 --input 3x224x224 --batch 8 --precision bf16
    measure J2 "training step, batch 8, bf16" vgg16 step 3 --input 3x224x224 --batch 8 --precision bf16
}

# A part of the pictures, none of them changed at random, so that both sides see the same; and with a low rate, so that rounding
# does not grow.
J2b() {
    there cifar10-jpeg || return 0
    plain="data.source=cifar10-jpeg data.augment.flip=none data.augment.crop=0 data.augment.cutout=0 train.schedule.kind=constant"
    plain="$plain train.schedule.warmup=0 optimizer.nesterov.learning_rate=0.0001 loss=softmax_cross_entropy"
    for precision in f32 bf16; do
        # shellcheck disable=SC2086
        measure J2b "VGG16-BN on CIFAR-10, epoch of 6,400 of its pictures, batch 128, $precision" vgg16_bn_cifar10 epoch 1 \
            --batch 128 --examples 6400 --precision "$precision" $plain
    done
}

J3() {
    for precision in f32 bf16; do
        measure J3 "GPT-2 124M, training step, 4 × 64 tokens, $precision" bench/gpt2 step 3 --input 64 --batch 4 --precision "$precision"
    done
}

J4() {
    for precision in f32 bf16; do
        measure J4 "LSTM 128 → 256, 100 steps, training step, batch 64, $precision" bench/lstm step 20 --input 100x128 --batch 64 \
            --precision "$precision"
    done
}

J5() { ! there mnist || measure J5 "MLP 784-512-512-10, epoch of 60,000, batch 128" mlp epoch 2 --batch 128; }

# The rate is constant and low, so that rounding does not grow.
J6() {
    for precision in f32 bf16; do
        measure J6 "ResNet-18 at 32×32, training step, batch 128, $precision" resnet18_cifar10 step 5 --input 3x32x32 --batch 128 \
            --precision "$precision" optimizer.nesterov.learning_rate=0.001 train.schedule.kind=constant train.schedule.warmup=0
    done
}

J7() {
    for precision in f32 bf16; do
        measure J7 "GPT-2 124M, a token after 32 to 95 others, $precision" bench/gpt2 generate 3 --input 1024 --batch 1 \
            --precision "$precision"
    done
}

# Seconds an example of short epochs, over batch and threads: adds lines to $scratch/sweep. PyTorch's allocator and options
# are those that were best at batch 128; nothing is measured in turn.
sweep() {
    there mnist || return 0
    for model in mnist_cnn mlp; do
        batch=128
        set -- "examples/$model.yaml" epoch --batch "$batch"
        "$glia" "$@" --repeats 0 --save "$scratch/load" >"$scratch/glia"
        if [ "$has_torch" ]; then settle "$(echo "$*" | tr -c 'a-z0-9\n' _)" "$@"; fi
        for batch in 1 2 4 8 16 32 64 128 256 512 1024 2048 4096; do
            examples=$((batch > 1024 ? 4 * batch : 4096))
            say "sweep: $model, batch $batch"
            for threads in 1 $cores; do
                set -- "examples/$model.yaml" epoch --batch "$batch" --examples "$examples"
                "$glia" "$@" --threads "$threads" --save "$scratch/load" | list seconds | median >"$scratch/glia.$threads"
                : >"$scratch/torch.$threads"
                [ "$has_torch" ] || continue
                torch "$best --threads $threads" "$@" | list seconds | median >"$scratch/torch.$threads"
            done
            for side in glia torch; do
                for threads in 1 "$cores"; do awk -v n="$examples" '{printf "|%.6g", $1 / n}' "$scratch/$side.$threads"; done
            done >"$scratch/cells"
            echo "$model|$batch$(cat "$scratch/cells")" >>"$scratch/sweep"
        done
    done
}

# From the start of the program to its answer: `glia predict` on one picture; beside it, `import torch` alone. Writes $scratch/start.
start() {
    there mnist || return 0
    say "start: glia predict, import torch"
    "$build/glia" train examples/mnist_cnn.yaml \
        data.limit=1000 data.split.validation=0 train.epochs=1 --out "$scratch/run" --quiet >/dev/null
    for _ in $(seq 21); do timed "$build/glia" predict "$scratch/run" tests/data/digit.png --quiet; done | median >"$scratch/a"
    echo "\`glia predict\` on one PNG, from the start of the program to its answer: $(cat "$scratch/a") ms." >"$scratch/start"
    [ "$has_torch" ] || return 0
    for _ in 1 2 3; do timed "$python" -c 'import torch'; done | median >"$scratch/b"
    echo "\`import torch\` alone: $(cat "$scratch/b") ms." >>"$scratch/start"
}
# Milliseconds that a command takes.
timed() {
    from=$(date +%s%N)
    "$@" >/dev/null
    echo "$from $(date +%s%N)" | awk '{print ($2 - $1) / 1e6}'
}

# --- all of it ---------------------------------------------------------------------------------------------------------------

# tell JOB: what it found, as Markdown.
tell() {
    echo "$(date +%F), $pairs turns on $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $cores cores:" \
        "$(number f32_gflops <"$scratch/machine") GFLOP/s f32, $(number bf16_gflops <"$scratch/machine") bf16," \
        "$(number memory_gbs <"$scratch/machine") GB/s from memory, $(number cache_gbs <"$scratch/machine") from cache;" \
        "PyTorch ${version:-absent}."
    if [ -s "$scratch/rows" ]; then echo && awk -f bench/table.awk "$scratch/machine" "$scratch/rows"; fi
    if [ -s "$scratch/sweep" ]; then
        printf '\nTime an example, by batch and threads (medians of three short epochs, not in turn):\n\n'
        awk -v kind=sweep -f bench/table.awk "$scratch/machine" "$scratch/sweep"
    fi
    if [ -s "$scratch/start" ]; then echo && cat "$scratch/start"; fi
}

# enter JOB: puts what it found into its section of the page.
enter() {
    awk -v start="<!-- bench $1 -->" 'FNR == NR {tables = tables $0 "\n"; next} /^<!-- end -->/ {inside = 0} !inside
        $0 == start {inside = found = 1; printf "\n%s\n", tables} END {exit !found}' "$kept/$1.md" docs/performance.md >"$scratch/page" ||
        { say "docs/performance.md has no section '<!-- bench $1 -->'" && return 1; }
    cp "$scratch/page" docs/performance.md
    awk -f bench/roofline.awk "$scratch/machine" docs/performance.md >docs/roofline.svg
}

jobs=$(echo "$*" | tr ',' ' ')
for job in $jobs; do
    case " $all " in *" $job "*) ;; *) say "unknown job '$job' ($all)" && exit 2 ;; esac
done
"$glia" machine >"$scratch/machine"
for job in ${jobs:-$all}; do
    for found in rows sweep start; do : >"$scratch/$found"; done
    "$job"
    cat "$scratch/rows" "$scratch/sweep" "$scratch/start" | grep -q . || continue
    tell "$job" >"$kept/$job.md"
    cat "$kept/$job.md"
    say "also in $kept/$job.md"
    [ "${EXAMPLES:-}" ] || [ ! "$has_torch" ] || enter "$job"
done
exit "$failed"

#!/bin/sh
# fuzz.sh [SECONDS [NAME...]]: runs random graphs and networks of the release build (tests/test_random_NAME), for each
# instruction set, and the fuzzers (tests/fuzz), which it builds with clang; all of them, or those named (graphs networks csv
# idx jpeg npy onnx png recipe safetensors tar yaml), one after another, each for SECONDS. Graphs come from new seeds every time;
# a failure prints its seed. Seeds of fuzzers: tests/data/fuzz/NAME; what a run finds new is kept in build/fuzz/corpus/NAME for
# the next one. Exit code 1 when one found a wrong result, a crash, a leak, too slow an input or too much memory; the input is
# kept. Too slow is a minute of the wall's clock: a busy machine has let a process wait for half of one.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
case $seconds in
'' | *[!0-9]* | 0) echo "usage: tools/fuzz.sh [SECONDS [NAME...]]; expected a number above 0, found '$seconds'" >&2; exit 2 ;;
esac
[ $# = 0 ] || shift
[ $# != 0 ] || set -- graphs networks $(basename -a -s .c tests/fuzz/fuzz_*.c | sed 's/^fuzz_//')

# Seconds are shared between planned programs and slopes, on each instruction set.
failed=0 fuzzers= seed=$(date +%s)
for name in "$@"; do
    program=build/release/tests/test_random_$name
    [ -f "tests/test_random_$name.c" ] || { fuzzers="$fuzzers $name"; continue; }
    [ -x "$program" ] || { echo "fuzz: $program is not there; make builds it" >&2; exit 1; }
    for isa in "" avx2 baseline; do
        log=build/release/random_$name${isa:+_$isa}.log result=ok
        GLIA_ISA=$isa GLIA_RANDOM_SEED=$seed GLIA_RANDOM_SECONDS=$((seconds / 6 + 1)) OMP_WAIT_POLICY=passive \
            "$program" >"$log" 2>&1 || result=FAILED
        printf '%-14s %-10s %s graphs from seed %s  %s\n' "$name" "${isa:-native}" \
            "$(awk '/ graphs from seed /{n += $1} END {print n + 0}' "$log")" "$seed" "$result"
        [ "$result" = ok ] || { failed=1; tail -n 60 "$log" >&2; }
        seed=$((seed + 100000))
    done
done
[ -n "$fuzzers" ] || exit "$failed"
# shellcheck disable=SC2086
set -- $fuzzers
if ! echo 'int LLVMFuzzerTestOneInput(void *p, long n) { return !p && n; }' |
    clang -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null; then
    echo "fuzz: the fuzzers are skipped: there is no clang with libFuzzer here (tools/setup.sh fuzz installs it)"
    exit "$failed"
fi
cmake --preset fuzz >/dev/null
ninja -C build/fuzz ${JOBS:+-j "$JOBS"} >build/fuzz/build.log 2>&1 || { cat build/fuzz/build.log >&2; exit 1; }

# The examples are the seeds of model files, and their guide has every word.
mkdir -p build/fuzz/corpus/recipe
cp examples/*.yaml build/fuzz/corpus/recipe/
grep -o '`[a-z_0-9.]*`' docs/model-file.md | tr -d '`' | tr . '\n' | sort -u | sed '/./!d; s/.*/"&"/' >build/fuzz/recipe.dict

printf '%-14s %12s %9s %9s  %s\n' fuzzer executions edges inputs result
for name in "$@"; do
    corpus=build/fuzz/corpus/$name log=build/fuzz/$name.log seeds=tests/data/fuzz/$name dict=
    mkdir -p "$corpus"
    [ -d "$seeds" ] || seeds=
    [ ! -s "build/fuzz/$name.dict" ] || dict=-dict=build/fuzz/$name.dict
    result=ok
    # shellcheck disable=SC2086
    build/fuzz/tests/fuzz/fuzz_"$name" -max_total_time="$seconds" -max_len=4096 -timeout=60 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix=build/fuzz/"$name"- $dict \
        "$corpus" $seeds >"$log" 2>&1 || result=FAILED
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    inputs=$(find "$corpus" -type f | wc -l)
    printf '%-14s %12s %9s %9s  %s\n' "$name" "${executions:--}" "${edges:--}" "$inputs" "$result"
    [ "$result" = ok ] && continue
    failed=1
    tail -n 60 "$log" >&2
    artifact=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "fuzz: the input that $name failed on: ${artifact:-none was written} (log: $log)" >&2
done
exit "$failed"

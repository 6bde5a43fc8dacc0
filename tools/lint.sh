#!/bin/sh
# lint.sh: formatting, the direction of includes, sizes, and what a library must not call.
set -eu
cd "$(dirname "$0")/.."
sources=$(git ls-files '*.c' '*.h')
failed=0

# shellcheck disable=SC2086
clang-format --dry-run -Werror $sources || failed=1
tools/check_layers.sh || failed=1

for f in $sources; do
    lines=$(wc -l <"$f")
    [ "$lines" -le 1000 ] || { echo "$f: $lines lines; 1000 at most: split it" >&2; failed=1; }
done

# A test that is not in its file's list never runs.
for f in $(git ls-files 'tests/*.c'); do
    for t in $(sed -n 's/^TEST(\([a-z0-9_]*\)).*/\1/p' "$f"); do
        grep -q "TEST_ENTRY($t)" "$f" || { echo "$f: TEST($t) is in no TEST_MAIN" >&2; failed=1; }
    done
done

# Library code never ends the process nor prints to stdout.
if git grep -nE '\b(exit|abort|_exit|printf|puts|putchar)\(' -- 'src/*.c' | grep -vE '(//|/\*|\*).*\(' ; then
    echo "lint: library code must not end the process or print to stdout" >&2
    failed=1
fi
# Nobody decides by an op's name outside src/ops but passes, which look for patterns of named ops, and the reader of ONNX that
# leaves out ops that undo each other.
if git grep -nE 'strcmp\([^,]*op->name' -- src cli ':!src/ops' ':!src/kernels/kernel.c' ':!src/passes/pass.c' \
    ':!src/onnx/undo.c'; then
    echo "lint: facts about ops belong in their blocks" >&2
    failed=1
fi
[ "$failed" = 0 ] && echo "lint: ok"
exit "$failed"

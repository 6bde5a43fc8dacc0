# cli.sh: what the tests of the program share, to be read by them (". cli.sh"): checks, a folder of their own, and
# small data that they make themselves.
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

# expect_lines COUNT PATTERN WHY: lines of the last output that match
expect_lines() {
    checks=$((checks + 1))
    [ "$(printf '%s\n' "$out" | grep -c -e "$2")" = "$1" ] || say_failed "$3" "$out"
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
train: {epochs: 8, batch_size: 16, seed: 3, threads: 1}
END

# edit OLD NEW: a copy of net.yaml as broken.yaml with a line changed
edit() {
    sed "s/$1/$2/" net.yaml >broken.yaml
    cmp -s net.yaml broken.yaml && say_failed "nothing to change: $1" ""
}

# same FILE FILE WHY
same() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || say_failed "$3" "$1 and $2 differ"
}

finish() {
    echo "$checks checks, $failed failed"
    [ "$failed" = 0 ]
    exit
}

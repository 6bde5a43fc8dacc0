#!/bin/sh
# out_and_in.sh: what it costs to take models out and in: exports of the tutorial network, one image by its C file, by
# Glia's engine and by ONNX Runtime on one thread, and the import of an ONNX file of 100 MB. GLIA_DATA has mnist/;
# GLIA_PYTHON, a Python with onnx and onnxruntime, is wanted for the last two.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${GLIA_BINARY_DIR:-$top/build/release}
glia=$build/glia
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$glia" train "$top/examples/mnist_cnn.yaml" data.limit=6000 data.split.validation=500 train.epochs=1 --out run --quiet >/dev/null
# seconds COMMAND...: the best of five
seconds() {
    for _ in 1 2 3 4 5; do
        begin=$(date +%s%N)
        "$@" >out.txt
        end=$(date +%s%N)
        echo $((end - begin))
    done | sort -n | awk 'NR == 1 { printf "%.3f s\n", $1 / 1e9 }'
}
echo "export as ONNX: $(seconds "$glia" export run -o m.onnx --preprocess --probabilities)"
echo "export as C: $(seconds "$glia" export run -o model.c)"
tail -1 out.txt
cat >time.c <<'END'
#include <stdio.h>
#include <time.h>
#include "model.h"
static model_arena arena;
static float x[MODEL_IN], y[MODEL_OUT];
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
int main(void) {
    double best = 1e9;
    for (int i = 0; i < MODEL_IN; i++) x[i] = (float)(i % 7) / 7;
    for (int r = 0; r < 50; r++) {
        const double begin = now();
        for (int i = 0; i < 200; i++) model_predict_r(&arena, x, y);
        if ((now() - begin) / 200 < best) best = (now() - begin) / 200;
    }
    printf("%.1f us, arena of %d bytes\n", best, (int)sizeof arena);
    return 0;
}
END
for flags in "-O2" "-O3 -march=native"; do
    # shellcheck disable=SC2086
    ${CC:-cc} -std=gnu99 $flags model.c time.c -lm -o time
    echo "one image, C file, $flags: $(./time)"
done
${CC:-cc} -std=c99 -O2 -c model.c -o model.o
size model.o
echo "one image, Glia's engine: $("$glia" plan run --mode predict --batch 1 --threads 1 --profile | grep '^time')"
if ! "${GLIA_PYTHON:-python3}" -c 'import onnx, onnxruntime' 2>/dev/null; then
    echo "GLIA_PYTHON names no Python with onnx and onnxruntime: the rest is left out"
    exit
fi
"${GLIA_PYTHON:-python3}" - <<'END'
import time
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("m.onnx", options, providers=["CPUExecutionProvider"])
feed = {session.get_inputs()[0].name: np.zeros((1, 1, 28, 28), np.float32)}
best = 1.0
for _ in range(30):
    begin = time.perf_counter()
    for _ in range(200):
        session.run(None, feed)
    best = min(best, (time.perf_counter() - begin) / 200)
print(f"one image, ONNX Runtime {onnxruntime.__version__}: {1e6 * best:.1f} us")
names, shapes = [f"w{i}" for i in range(5)], [(2560, 2560)] * 4 + [(10, 2560)]
nodes = [helper.make_node("Gemm", [f"y{i}", w], [f"y{i + 1}"], transB=1) for i, w in enumerate(names)]
arrays = [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in zip(names, shapes)]
ends = [helper.make_tensor_value_info(n, 1, ["N", s]) for n, s in (("y0", 2560), ("y5", 10))]
graph = helper.make_graph(nodes, "big", ends[:1], ends[1:], arrays)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "big.onnx")
END
echo "import of 100 MB, with the run written: $(seconds "$glia" import big.onnx --out big --force --quiet)"
echo "the same read and planned only: $(seconds "$glia" summary big.onnx)"
cat >memory.c <<'END'
#include <glia/glia.h>
#include <stdio.h>
#include <time.h>
static long anonymous(void) {
    char line[200];
    long kilobytes = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %ld", &kilobytes) == 1) break;
    if (f) fclose(f);
    return kilobytes;
}
int main(void) {
    glia_error err = {0};
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    const long before = anonymous();
    glia_model *m = glia_model_new("big");
    glia_value *x = glia_input(m, "x", .shape = {2560});
    glia_model_set_output(m, glia_layer(m, "onnx", NULL, &x, 1, "file=big.onnx"));
    if (glia_model_status(m, &err) != GLIA_OK || glia_model_initialize(m, 0, &err) != GLIA_OK) return puts(err.message), 1;
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("in C, ready to predict: %.3f s, %ld KB of memory of its own, weights 102,500 KB\n",
           (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec), anonymous() - before);
    glia_model_free(m);
    return 0;
}
END
${CC:-cc} -I"$top/include" -I"$build/generated" memory.c "$build/libglia.so" -Wl,-rpath,"$build" -o memory
./memory
echo "object code in the program:"
(cd "$build/CMakeFiles/glia_objects.dir/src" && for part in onnx emit; do
    size -t $part/*.o | awk -v part=$part 'END { printf "  %s %.0f KB\n", part, $4 / 1024 }'
done; size -t ops/emit_*.o | awk 'END { printf "  ops as C %.0f KB\n", $4 / 1024 }')

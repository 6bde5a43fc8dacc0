/* onnx_nodes.c: runs ONNX's node tests: folders of model.onnx, tolerance.txt and test_data_set_N with input_N.pb and
 * output_N.pb, as tools/onnx/dump_node_tests.py makes them. For each it prints a line:
 *     NAME OPSET OPERATORS passed|refused|failed REASON
 * Refused: Glia says that it cannot read it. Failed: it gave an error later, or other numbers. The exit status is 1 when
 * one failed. Inputs that Glia needs while it reads (shapes, axes) are known to it, see glia_onnx_options. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glia/program.h"
#include "graph/graph.h"
#include "onnx/proto.h"

enum { MOST = 64 };

typedef struct data_set {
    glia_onnx *files[2 * MOST]; /* which hold the tensors' data */
    int n_files;
    glia_tensor inputs[MOST], outputs[MOST];
    double precision[MOST]; /* of outputs of 16 bits: two units in the last place; else 0 */
    size_t n_inputs, n_outputs;
} data_set;

typedef struct verdict {
    const char *word; /* "passed" */
    char reason[600];
} verdict;

static bool exists(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

/* ONNX's numbers of 16 bits are rounded in every step on the way, Glia's at the end or not at all. */
static double precision_of(int64_t type) {
    return type == GLIA_ONNX_F16 ? 0x1p-9 : type == GLIA_ONNX_BF16 ? 0x1p-6 : 0;
}

/* Reads KIND_0.pb, KIND_1.pb, …; false when one holds what Glia has no arrays for. */
static bool read_tensors(data_set *set, const char *folder, const char *kind, glia_tensor *out, size_t *count,
                         verdict *v) {
    for (*count = 0; *count < MOST; (*count)++) {
        char path[1024];
        glia_onnx_tensor tensor;
        glia_error err = {0};
        snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, kind, *count);
        if (!exists(path)) return true;
        if (glia__onnx_open_tensor(&set->files[set->n_files], path, &tensor, &err) != GLIA_OK ||
            tensor.dtype == GLIA_DTYPE_COUNT) {
            set->n_files += err.status == GLIA_OK;
            snprintf(v->reason, sizeof v->reason, "%s %zu is of a type that Glia has no arrays of", kind,
                     *count);
            return false;
        }
        set->n_files++;
        if (out == set->outputs) set->precision[*count] = precision_of(tensor.data_type);
        if (glia_tensor_new(&out[*count], tensor.dtype, tensor.shape, NULL, &err) != GLIA_OK) abort();
        if (tensor.bytes) memcpy(out[*count].data, tensor.data, tensor.bytes);
    }
    return true;
}

static void free_set(data_set *set) {
    for (int i = 0; i < set->n_files; i++) glia_onnx_close(set->files[i]);
    for (size_t i = 0; i < set->n_inputs; i++) glia_tensor_free(&set->inputs[i]);
    for (size_t i = 0; i < set->n_outputs; i++) glia_tensor_free(&set->outputs[i]);
}

/* Builds the graph for these inputs. `fixed`: whole numbers are constants, so that what is computed from them is. */
static glia_status build(glia_onnx *file, const data_set *set, bool fixed, glia_graph **graph,
                         glia_value **inputs, glia_value **outputs, glia_error *err) {
    *graph = glia_graph_new(NULL);
    if (!*graph) abort();
    for (size_t i = 0; i < set->n_inputs; i++) {
        const glia_tensor *t = &set->inputs[i];
        const bool whole = t->dtype == GLIA_I64 || t->dtype == GLIA_I32;
        const char *name = glia_onnx_input(file, i);
        inputs[i] =
            fixed && whole ? glia_graph_const(*graph, t) : glia_graph_input(*graph, name, t->dtype, t->shape);
    }
    return glia_onnx_build(
        file, *graph,
        (glia_onnx_options){
            .inputs = inputs, .n_inputs = set->n_inputs, .known = set->inputs, .n_known = set->n_inputs},
        outputs, MOST, err);
}

static bool close_enough(double have, double want, double relative, double absolute) {
    if (isnan(want)) return isnan(have);
    if (isinf(want)) return have == want;
    return fabs(have - want) <= absolute + relative * fabs(want);
}

/* The largest finite size of a number in it. */
static double largest(const glia_tensor *t) {
    double most = 0;
    for (int64_t i = glia_shape_elems(&t->shape); i-- > 0;) {
        const double x = fabs(glia_tensor_get(t, i));
        if (isfinite(x)) most = fmax(most, x);
    }
    return most;
}

static bool same_output(const glia_tensor *have, const glia_tensor *want, double relative, double absolute,
                        verdict *v) {
    char a[128], b[128];
    if (have->dtype != want->dtype || !glia_shape_equal(&have->shape, &want->shape)) {
        snprintf(v->reason, sizeof v->reason, "is %s %s, expected %s %s", glia_dtype_name(have->dtype),
                 glia_shape_text(&have->shape, a, sizeof a), glia_dtype_name(want->dtype),
                 glia_shape_text(&want->shape, b, sizeof b));
        return false;
    }
    const int64_t elems = glia_shape_elems(&want->shape);
    if (!glia_dtype_is_float(want->dtype)) {
        if (memcmp(have->data, want->data, glia_tensor_bytes(want)) == 0) return true;
        snprintf(v->reason, sizeof v->reason, "whole numbers differ");
        return false;
    }
    if (want->dtype != GLIA_F64) /* sums that should be 0 are what f32 leaves of them */
        absolute = fmax(absolute, 0x1p-22 * largest(want));
    for (int64_t i = 0; i < elems; i++) {
        const double x = glia_tensor_get(have, i), y = glia_tensor_get(want, i);
        if (close_enough(x, y, relative, absolute)) continue;
        snprintf(v->reason, sizeof v->reason, "element %lld is %.9g, expected %.9g", (long long)i, x, y);
        return false;
    }
    return true;
}

static bool run(glia_graph *graph, const data_set *set, glia_value **inputs, glia_value **outputs,
                const double *tolerance, verdict *v, glia_error *err) {
    glia_program *program = NULL;
    bool fine = glia_program_new(&program, graph, outputs, (int)set->n_outputs,
                                 (glia_program_options){.threads = 1}, err) == GLIA_OK;
    for (size_t i = 0; i < set->n_inputs && fine; i++)
        if (inputs[i] && glia_value_get_kind(inputs[i]) == GLIA_VALUE_INPUT) {
            glia_error unused = {0}; /* an input that nothing needs is none of the program's */
            (void)!glia_program_bind(program, inputs[i], set->inputs[i].data, &unused);
        }
    fine = fine && glia_program_run(program, 0, err) == GLIA_OK;
    if (!fine) snprintf(v->reason, sizeof v->reason, "%s", err->message);
    for (size_t i = 0; i < set->n_outputs && fine; i++) {
        glia_tensor have = glia_program_output(program, outputs[i]);
        const double relative = fmax(tolerance[0], set->precision[i]);
        fine = same_output(&have, &set->outputs[i], relative, tolerance[1], v);
    }
    glia_program_free(program);
    return fine;
}

static void test_data_set(glia_onnx *file, const char *folder, const double *tolerance, verdict *v) {
    data_set set = {.n_files = 0};
    glia_value *inputs[MOST] = {NULL}, *outputs[MOST] = {NULL};
    v->word = "refused";
    if (read_tensors(&set, folder, "input", set.inputs, &set.n_inputs, v) &&
        read_tensors(&set, folder, "output", set.outputs, &set.n_outputs, v)) {
        glia_graph *graph = NULL;
        glia_status status = GLIA_OK;
        for (int fixed = 0; fixed < 2; fixed++) {
            glia_error err = {0};
            glia_graph_free(graph);
            status = build(file, &set, fixed, &graph, inputs, outputs, &err);
            if (status != GLIA_OK) snprintf(v->reason, sizeof v->reason, "%s", err.message);
            if (status == GLIA_OK) break;
        }
        glia_error err = {0};
        if (status == GLIA_OK)
            v->word = run(graph, &set, inputs, outputs, tolerance, v, &err) ? "passed" : "failed";
        else if (status != GLIA_UNSUPPORTED)
            v->word = "failed";
        if (strcmp(v->word, "passed") == 0) *v->reason = 0;
        glia_graph_free(graph);
    }
    free_set(&set);
}

/* "Gemm", or "Add+Mul". */
static void operators(const glia_onnx *file, char *out, size_t capacity) {
    const glia_onnx_graph *graph = file->model.graph;
    size_t used = 0;
    *out = 0;
    for (size_t i = 0; i < graph->n_nodes && used < capacity; i++) {
        bool named = false;
        for (size_t k = 0; k < i && !named; k++)
            named = strcmp(graph->nodes[k].op_type, graph->nodes[i].op_type) == 0;
        const char *domain = graph->nodes[i].domain;
        if (!named)
            used += (size_t)snprintf(out + used, capacity - used, "%s%s%s%s", used ? "+" : "",
                                     domain && *domain ? domain : "", domain && *domain ? "." : "",
                                     graph->nodes[i].op_type);
    }
}

static void test_folder(const char *folder, verdict *v) {
    char path[1024], ops[512] = "?";
    double tolerance[2] = {1e-3, 1e-7};
    glia_error err = {0};
    glia_onnx *file;
    const char *slash = strrchr(folder, '/');
    snprintf(path, sizeof path, "%s/tolerance.txt", folder);
    FILE *text = fopen(path, "r");
    if (text) {
        if (fscanf(text, "%lf %lf", &tolerance[0], &tolerance[1]) != 2) abort();
        fclose(text);
    }
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (glia_onnx_open(&file, path, NULL, &err) != GLIA_OK) {
        v->word = "failed";
        snprintf(v->reason, sizeof v->reason, "%s", err.message);
    } else {
        operators(file, ops, sizeof ops);
        for (int i = 0; i < MOST; i++) {
            snprintf(path, sizeof path, "%s/test_data_set_%d/output_0.pb", folder, i);
            if (!exists(path)) break;
            *strrchr(path, '/') = 0;
            test_data_set(file, path, tolerance, v);
            if (strcmp(v->word, "passed") != 0) break;
        }
    }
    printf("%s %lld %s %s %s\n", slash ? slash + 1 : folder, (long long)glia_onnx_opset(file), ops, v->word,
           v->reason);
    fflush(stdout);
    glia_onnx_close(file);
}

int main(int argc, char **argv) {
    int passed = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        verdict v = {.word = "refused", .reason = "it has no data"};
        test_folder(argv[i], &v);
        passed += strcmp(v.word, "passed") == 0;
        failed += strcmp(v.word, "failed") == 0;
    }
    fprintf(stderr, "%d passed, %d refused, %d failed\n", passed, argc - 1 - passed - failed, failed);
    return failed ? 1 : 0;
}

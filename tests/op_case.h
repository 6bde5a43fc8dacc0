/* op_case.h: makes the inputs of an op's test case (the small language of glia_case in graph/op.h), and runs an op's
 * ref on them without a graph. */
#ifndef GLIA_TESTS_OP_CASE_H
#define GLIA_TESTS_OP_CASE_H

#include "test.h"

#include "glia/random.h"
#include "graph/op.h"
#include "kernels/kernel.h"

typedef struct op_inputs {
    int count;
    glia_type types[GLIA_MAX_INPUTS]; /* rank -1: absent */
    glia_view views[GLIA_MAX_INPUTS];
} op_inputs;

enum { CANARY = 64 }; /* bytes after every output that nobody may touch */

/* One word: "4x5:unit", "4:i64<10", "scalar", "-". */
static inline bool parse_word(const char *word, glia_dtype floats, glia_type *type, char *kind,
                              size_t capacity, int64_t *bound) {
    *type = (glia_type){.dtype = floats};
    *bound = 0;
    kind[0] = 0;
    if (strcmp(word, "-") == 0) {
        type->shape.rank = -1;
        return true;
    }
    const char *colon = strchr(word, ':');
    if (strncmp(word, "scalar", 6) != 0)
        for (const char *p = word; *p && *p != ':';) {
            char *end;
            if (type->shape.rank == GLIA_MAX_RANK) return false;
            type->shape.dim[type->shape.rank++] = strtoll(p, &end, 10);
            if (end == p) return false;
            p = *end == 'x' ? end + 1 : end;
        }
    if (!colon) return true;
    snprintf(kind, capacity, "%s", colon + 1);
    char *less = strchr(kind, '<');
    if (less) {
        *bound = strtoll(less + 1, NULL, 10);
        *less = 0;
    }
    glia_dtype named;
    if (glia_dtype_parse(kind, &named)) type->dtype = named;
    return true;
}

static inline double draw(const char *kind, int64_t bound, int64_t i, uint64_t stream) {
    glia_random random = {.seed = 11, .stream = stream};
    double normal = glia_random_normal(random, (uint64_t)i);
    double uniform = (double)glia_random_uniform(random, (uint64_t)(i + 100000));
    if (bound) return (double)glia_random_below(random, (uint64_t)i, (uint64_t)bound);
    if (strcmp(kind, "bool") == 0) return uniform < 0.5;
    if (strcmp(kind, "pos") == 0) return 0.5 + 1.5 * uniform;
    if (strcmp(kind, "above") == 0) return 1.2 + 1.5 * uniform;
    if (strcmp(kind, "unit") == 0) return 0.05 + 0.9 * uniform;
    if (strcmp(kind, "away") == 0) return floor(normal) + 0.15 + 0.25 * uniform; /* halves are kinks too */
    if (strcmp(kind, "distinct") == 0) /* a permutation of a grid: 7919 is prime and larger than any case */
        return 0.01 * (double)((i * 7919 + 13) % 10007) - 50;
    return normal;
}

static inline void fill_view(glia_view *view, const char *kind, int64_t bound, uint64_t stream) {
    int64_t n = glia_shape_elems(&view->shape);
    view->data = calloc((size_t)(n > 0 ? n : 1), glia_dtype_bytes(view->dtype));
    glia_tensor tensor = glia_tensor_wrap(view->data, view->dtype, view->shape);
    for (int64_t i = 0; i < n; i++) glia_tensor_set(&tensor, i, draw(kind, bound, i, stream));
}

/* False when the case's text is malformed. */
static inline bool make_inputs(op_inputs *out, const char *text, glia_dtype floats) {
    char words[256], kind[32], *rest = words;
    *out = (op_inputs){0};
    snprintf(words, sizeof words, "%s", text);
    for (char *word; (word = strtok_r(rest, " ", &rest));) {
        int64_t bound;
        glia_type *type = &out->types[out->count];
        if (out->count == GLIA_MAX_INPUTS || !parse_word(word, floats, type, kind, sizeof kind, &bound))
            return false;
        glia_view *view = &out->views[out->count++];
        *view = (glia_view){.dtype = type->dtype, .shape = type->shape};
        if (type->shape.rank < 0)
            view->shape.rank = 0;
        else
            fill_view(view, kind, bound, (uint64_t)out->count);
    }
    for (int i = out->count; i < GLIA_MAX_INPUTS; i++) out->types[i].shape.rank = -1;
    return true;
}

static inline void free_inputs(op_inputs *inputs) {
    for (int i = 0; i < inputs->count; i++) free(inputs->views[i].data);
}

static inline int op_outputs(const glia_op *op) {
    return op->n_outputs ? op->n_outputs : 1;
}

/* Outputs with a canary behind each. */
static inline void make_outputs(const glia_op *op, const glia_type *types, glia_view *out) {
    for (int o = 0; o < op_outputs(op); o++) {
        size_t bytes = (size_t)glia_shape_elems(&types[o].shape) * glia_dtype_bytes(types[o].dtype);
        out[o] = (glia_view){malloc(bytes + CANARY), types[o].dtype, types[o].shape};
        memset(out[o].data, 0xA5, bytes + CANARY);
    }
}

static inline size_t view_bytes(const glia_view *view) {
    return (size_t)glia_shape_elems(&view->shape) * glia_dtype_bytes(view->dtype);
}

static inline bool canaries_live(const glia_op *op, const glia_view *out) {
    for (int o = 0; o < op_outputs(op); o++)
        for (int i = 0; i < CANARY; i++)
            if (((const unsigned char *)out[o].data)[view_bytes(&out[o]) + (size_t)i] != 0xA5) return false;
    return true;
}

static inline void free_outputs(const glia_op *op, glia_view *out) {
    for (int o = 0; o < op_outputs(op); o++) free(out[o].data);
}

/* A kernel ready to run; `made` NULL below: ref. */
typedef struct made_kernel {
    const glia_kernel *kernel;
    void *state;
    glia_kernel_needs needs;
} made_kernel;

/* Which piece of a whole a call is; NULL below: all of it. */
typedef struct cut_place {
    int64_t first_elem, first_row, whole_rows;
} cut_place;

/* Runs ref, or a kernel, which packs its parameters first when it said so. */
static inline glia_status run_step(const glia_op *op, const glia_view *in, int n_in, glia_view *out,
                                   const void *attrs, const cut_place *cut, bool training, glia_error *err,
                                   const made_kernel *made) {
    glia_type tin[GLIA_MAX_INPUTS] = {{0}}, tout[GLIA_MAX_OUTPUTS] = {{0}};
    for (int i = 0; i < n_in; i++) tin[i] = (glia_type){in[i].dtype, in[i].shape};
    for (int o = 0; o < op_outputs(op); o++) tout[o] = (glia_type){out[o].dtype, out[o].shape};
    glia_step step = {.seed = 5, .number = 3, .training = training};
    size_t workspace = made            ? made->needs.workspace_bytes
                       : op->workspace ? op->workspace(tin, tout, attrs)
                                       : 0;
    size_t packed = made ? made->needs.packed_bytes : 0;
    glia_call call = {.attrs = attrs,
                      .in = in,
                      .out = out,
                      .n_in = n_in,
                      .n_out = op_outputs(op),
                      .workspace = aligned_alloc(64, (workspace + 127) / 64 * 64),
                      .packed = packed ? aligned_alloc(64, (packed + 63) / 64 * 64) : NULL,
                      .step = &step,
                      .first_elem = cut ? cut->first_elem : 0,
                      .first_row = cut ? cut->first_row : 0,
                      .whole_rows = cut ? cut->whole_rows : 0,
                      .node = op->name,
                      .err = err};
    glia_status status = packed ? made->kernel->pack(made->state, &call) : GLIA_OK;
    if (status == GLIA_OK) status = made ? made->kernel->run(made->state, &call) : op->ref(&call);
    free(call.packed);
    free(call.workspace);
    return status;
}

/* The same in training. */
static inline glia_status run_views(const glia_op *op, const glia_view *in, int n_in, glia_view *out,
                                    const void *attrs, const cut_place *cut, glia_error *err,
                                    const made_kernel *made) {
    return run_step(op, in, n_in, out, attrs, cut, true, err, made);
}

#endif

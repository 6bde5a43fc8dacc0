/* attention_step.c: causal attention of the next steps of a sequence, with the keys and values of all steps before them: what
 * attention becomes in a graph that goes on step by step (graph/step.h). */

#include "ops/attention_step.h"

#include <math.h>

#include "graph/step.h"
#include "ops/attention.h"

glia_attention_step glia__attention_step_of(const glia_type *in, const void *attrs) {
    const glia_attention_step_attrs *o = attrs;
    const glia_shape *q = &in[GLIA_STEP_Q].shape, *past = &in[GLIA_STEP_PAST_K].shape;
    const int64_t kv_heads = o->key_value_heads ? o->key_value_heads : o->heads;
    const int64_t size = q->dim[2] / o->heads;
    return (glia_attention_step){
        .n = q->dim[0],
        .steps = q->dim[1],
        .most = past->dim[1],
        .heads = o->heads,
        .group = o->heads / kv_heads,
        .size = size,
        .v_size = in[GLIA_STEP_V].shape.dim[2] / kv_heads,
        .k_step = in[GLIA_STEP_K].shape.dim[2],
        .v_step = in[GLIA_STEP_V].shape.dim[2],
        .scale = o->scale != 0 ? o->scale : 1 / sqrt((double)GLIA_MAX(size, (int64_t)1)),
    };
}

glia_status glia__attention_step_of_call(const glia_call *c, glia_attention_step *a) {
    glia_type in[GLIA_STEP_COUNT];
    for (int i = 0; i < GLIA_STEP_COUNT; i++) in[i] = glia__view_type(&c->in[i]);
    *a = glia__attention_step_of(in, c->attrs);
    a->past = a->steps ? glia__index_at(&c->in[GLIA_STEP_POSITIONS], 0) : 0;
    if (a->past >= 0 && a->past <= a->most) return GLIA_OK;
    return glia_error_set(c->err, GLIA_BAD_DATA, "attention_step: position %lld is out of range 0 … %lld",
                          (long long)a->past, (long long)a->most);
}

static glia_status check_shapes(const glia_type *in, const glia_attention_step_attrs *o, glia_error *err) {
    static const char *const names[] = {"q", "k", "v", "past k", "past v"};
    const int64_t kv_heads = o->key_value_heads ? o->key_value_heads : o->heads;
    const glia_shape *q = &in[GLIA_STEP_Q].shape;
    char text[160];
    if (o->heads < 1 || kv_heads < 1 || o->heads % kv_heads)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "attention_step: %lld key_value_heads do not divide %lld heads",
                              (long long)kv_heads, (long long)o->heads);
    for (int i = GLIA_STEP_Q; i <= GLIA_STEP_PAST_V; i++) {
        const glia_shape *x = &in[i].shape;
        GLIA_TRY(glia__check_float(&in[i], err));
        GLIA_TRY(glia__check_same_dtype(&in[GLIA_STEP_Q], &in[i], err));
        const bool past = i >= GLIA_STEP_PAST_K;
        const glia_shape *like = i == GLIA_STEP_PAST_V ? &in[GLIA_STEP_PAST_K].shape : q;
        bool fits = x->rank == 3 && q->rank == 3 && x->dim[0] == q->dim[0] && x->dim[2] >= 0 &&
                    x->dim[2] % (i == GLIA_STEP_Q ? o->heads : kv_heads) == 0;
        if (fits && i != GLIA_STEP_PAST_K) fits = x->dim[1] == like->dim[1];
        if (fits && past) fits = x->dim[2] == in[i - GLIA_STEP_PAST_K + GLIA_STEP_K].shape.dim[2];
        if (fits && i == GLIA_STEP_K) fits = x->dim[2] / kv_heads == q->dim[2] / o->heads;
        if (!fits)
            return glia_error_set(err, GLIA_BAD_SHAPE, "attention_step: %s %s does not fit", names[i],
                                  glia__type_text(&in[i], text, sizeof text));
    }
    return GLIA_OK;
}

static glia_status attention_step_infer(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                        glia_error *err) {
    (void)n_in;
    GLIA_TRY(check_shapes(in, attrs, err));
    GLIA_TRY(glia__check_indices(&in[GLIA_STEP_POSITIONS], "attention_step", err));
    const glia_shape *positions = &in[GLIA_STEP_POSITIONS].shape;
    if (positions->rank != 1 || positions->dim[0] != in[GLIA_STEP_Q].shape.dim[1])
        return glia_error_set(err, GLIA_BAD_SHAPE, "attention_step expects a position for each step");
    const glia_attention_step a = glia__attention_step_of(in, attrs);
    out[0] = in[GLIA_STEP_Q];
    out[0].shape.dim[2] = a.heads * a.v_size;
    return GLIA_OK;
}

/* The row of key or value j: of those before, or of these steps. */
#define ROW(past_input, input, step, j)                                             \
    ((j) < a.past ? (const T *)c->in[past_input].data + (n * a.most + (j)) * (step) \
                  : (const T *)c->in[input].data + (n * a.steps + (j)-a.past) * (step))

static glia_status attention_step_ref(const glia_call *c) {
    glia_attention_step a;
    GLIA_TRY(glia__attention_step_of_call(c, &a));
    double *score = c->workspace;
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *q = c->in[GLIA_STEP_Q].data;
        T *y = c->out[0].data;
        for (int64_t row = 0; row < a.n * a.steps * a.heads; row++, q += a.size, y += a.v_size) {
            const int64_t n = row / (a.steps * a.heads), head = row % a.heads / a.group;
            const int64_t seen = a.past + row / a.heads % a.steps + 1;
            double most = (double)-INFINITY;
            double sum = 0;
            for (int64_t j = 0; j < seen; j++) {
                const T *k = ROW(GLIA_STEP_PAST_K, GLIA_STEP_K, a.k_step, j) + head * a.size;
                score[j] = 0;
                for (int64_t d = 0; d < a.size; d++) score[j] += a.scale * (double)q[d] * (double)k[d];
                most = score[j] > most ? score[j] : most;
            }
            for (int64_t j = 0; j < seen; j++) sum += score[j] = exp(score[j] - most);
            for (int64_t d = 0; d < a.v_size; d++) {
                double total = 0;
                for (int64_t j = 0; j < seen; j++)
                    total += score[j] *
                             (double)ROW(GLIA_STEP_PAST_V, GLIA_STEP_V, a.v_step, j)[head * a.v_size + d];
                y[d] = (T)(total / sum);
            }
        }
    });
    return GLIA_OK;
}

static size_t attention_step_workspace(const glia_type *in, const glia_type *out, const void *attrs) {
    (void)out, (void)attrs;
    return (size_t)(in[GLIA_STEP_PAST_K].shape.dim[1] + in[GLIA_STEP_Q].shape.dim[1]) * sizeof(double);
}

static uint32_t attention_step_rows(const glia_type *in, int n_in, const void *attrs) {
    (void)in, (void)n_in, (void)attrs;
    return (1u << GLIA_STEP_POSITIONS) - 1;
}

static double attention_step_flops(const glia_type *in, const glia_type *out, const void *attrs) {
    const glia_attention_step a = glia__attention_step_of(in, attrs);
    (void)out;
    return 2.0 * (double)(a.n * a.steps * a.heads) * (double)(a.most * (a.size + a.v_size));
}

GLIA_OP(attention_step) = {
    .name = "attention_step",
    .version = 1,
    .doc =
        "causal attention of the next steps: q, k, v [N, steps, heads·size], the keys and values before them "
        "[N, T, heads·size], of which the first positions[0] are there, and positions, i64 [steps]",
    .min_inputs = GLIA_STEP_COUNT,
    .max_inputs = GLIA_STEP_COUNT,
    .traits = GLIA_TRAIT_INTERNAL | GLIA_TRAIT_NO_ONNX | GLIA_TRAIT_NO_GRADIENT | GLIA_TRAIT_NO_C,
    .attrs = GLIA_FIELDS({.name = "heads",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_attention_step_attrs, heads),
                          .doc = "of the queries",
                          .min = 1,
                          .max = 1 << 20},
                         {.name = "key_value_heads",
                          .kind = GLIA_FIELD_INT,
                          .offset = offsetof(glia_attention_step_attrs, key_value_heads),
                          .initial = "0",
                          .doc = "which divide them; 0: as many",
                          .min = 0,
                          .max = 1 << 20},
                         {.name = "scale",
                          .kind = GLIA_FIELD_FLOAT,
                          .offset = offsetof(glia_attention_step_attrs, scale),
                          .initial = "0",
                          .doc = "of the products; 0: 1/√size",
                          .min = 0,
                          .max = 1e30}),
    .attrs_size = sizeof(glia_attention_step_attrs),
    .infer = attention_step_infer,
    .ref = attention_step_ref,
    .workspace = attention_step_workspace,
    .rows = attention_step_rows,
    .flops = attention_step_flops,
    .cases = GLIA_CASES(
        {.inputs = "2x3x6 2x3x6 2x3x6 2x7x6 2x7x6 3:i64<8", .attrs = "heads=2"},
        {.inputs = "2x1x12 2x1x6 2x1x4 2x5x6 2x5x4 1:i32<5", .attrs = "heads=4 key_value_heads=2 scale=0.3"},
        {.inputs = "1x2x128 1x2x128 1x2x128 1x70x128 1x70x128 2:i64<71", .attrs = "heads=2"},
        {.inputs = "1x1x40 1x1x20 1x1x20 1x9x20 1x9x20 1:i64<9", .attrs = "heads=2 key_value_heads=1"},
        {.inputs = "0x2x6 0x2x6 0x2x6 0x3x6 0x3x6 2:i64<3", .attrs = "heads=2"},
        {.inputs = "2x1x6 2x1x6 2x1x6 2x7x6 2x6x6 1:i64<3",
         .attrs = "heads=2",
         .expect_error = "past v f32 2×6×6 does not fit"},
        {.inputs = "2x1x6 2x1x6 2x1x6 2x7x6 2x7x6 2:i64<3",
         .attrs = "heads=2",
         .expect_error = "a position for each step"},
        {.inputs = "2x1x6 2x1x6 2x1x6 2x7x6 2x7x6 1:i64<3",
         .attrs = "heads=3 key_value_heads=2",
         .expect_error = "2 key_value_heads do not divide 3 heads"}),
};

/* --- attention, step by step ------------------------------------------------------------------------------- */

static glia_value *columns(glia_value *x, int64_t begin, int64_t count) {
    return glia_op_slice(x, (glia_slice_attrs){.axis = -1, .start = begin, .end = begin + count, .step = 1});
}

static glia_value *remembered(glia_stepping *s, glia_value *rows, int64_t length) {
    if (!rows) return NULL;
    glia_shape shape = rows->type.shape;
    shape.dim[1] = length;
    glia_value *before = glia__step_memory(s, rows->type.dtype, shape, true);
    glia__step_keep(s, before, rows);
    return before;
}

void glia__attention_go_on(glia_stepping *s) {
    const glia_node *node = s->node;
    const glia_attention_attrs *o = node->attrs;
    const bool packed = o->packed == GLIA_YES;
    glia_value *in[GLIA_STEP_COUNT] = {s->x[GLIA_ATT_Q], packed ? NULL : s->x[GLIA_ATT_K],
                                       packed ? NULL : s->x[GLIA_ATT_V]};
    if (o->causal != GLIA_YES) return;
    for (int i = 0; i < node->n_inputs; i++)
        if (i > GLIA_ATT_V ? s->x[i] != NULL : s->x[i] && !s->goes[i]) return;
    if (packed) {
        const int64_t kv_heads = o->key_value_heads ? o->key_value_heads : o->heads;
        const int64_t size = in[0]->type.shape.dim[2] / (o->heads + 2 * kv_heads);
        glia_value *all = in[0];
        in[GLIA_STEP_Q] = columns(all, 0, o->heads * size);
        in[GLIA_STEP_K] = columns(all, o->heads * size, kv_heads * size);
        in[GLIA_STEP_V] = columns(all, (o->heads + kv_heads) * size, kv_heads * size);
    }
    const int64_t length = node->outputs[0].type.shape.dim[1];
    in[GLIA_STEP_PAST_K] = remembered(s, in[GLIA_STEP_K], length);
    in[GLIA_STEP_PAST_V] = remembered(s, in[GLIA_STEP_V], length);
    in[GLIA_STEP_POSITIONS] = s->steps->positions;
    s->y[0] = glia_graph_apply(s->steps->graph, "attention_step", in, GLIA_STEP_COUNT,
                               &(glia_attention_step_attrs){o->heads, o->key_value_heads, o->scale});
}

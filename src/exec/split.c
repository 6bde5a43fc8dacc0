/* split.c: one call shared between workers. Elementwise ops are cut anywhere; other ops along dimension 0,
 * when their `rows` rule says that rows are independent. The result does not depend on the cut. */

#include "core/threads.h"
#include "exec/program.h"

/* Less work than this does not pay for a fork and join (about 3 µs; 32 Ki elementwise results take longer).
 */
static const double LEAST_FLOPS_PER_PART = 32768;

/* Inputs that are cut with the output of an elementwise op; `flat` when all may be seen as one dimension. */
static uint32_t elementwise_cut(const glia_planned_call *call, bool *flat) {
    const glia_node *node = call->node;
    const glia_shape *out = &call->types[node->n_inputs].shape;
    uint32_t cut = 0;
    *flat = true;
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_shape *in = &call->types[i].shape;
        if (in->rank < 0 || glia_shape_elems(in) == 1) continue;
        if (!glia_shape_equal(in, out)) *flat = false;
        if (in->rank == out->rank && in->dim[0] == out->dim[0]) cut |= 1u << i;
    }
    return cut;
}

void glia__program_split(const glia_program *program, glia_planned_call *call) {
    const glia_node *node = call->node;
    const glia_type *out = call->types + node->n_inputs;
    int threads = program->options.threads;
    if (threads < 2 || (call->kernel && call->kernel->own_threads)) return;
    int64_t units = out[0].shape.rank ? out[0].shape.dim[0] : 1;
    if (node->op->traits & GLIA_TRAIT_ELEMENTWISE) {
        bool flat = false;
        call->cut = elementwise_cut(call, &flat);
        call->split = flat ? GLIA_SPLIT_FLAT : GLIA_SPLIT_ROWS;
        if (flat) units = glia_shape_elems(&out[0].shape) / 16; /* whole cache lines */
    } else if (node->op->rows) {
        call->cut = node->op->rows(call->types, node->n_inputs, node->attrs);
        call->split = call->cut ? GLIA_SPLIT_ROWS : GLIA_SPLIT_NONE;
    }
    int64_t elems = glia_shape_elems(&out[0].shape);
    double work = GLIA_MAX(call->flops, (double)elems);
    if (call->split != GLIA_SPLIT_NONE)
        call->parts = (int)GLIA_MAX(1, GLIA_MIN(GLIA_MIN(threads, units), work / LEAST_FLOPS_PER_PART));
    if (call->parts < 2) {
        call->parts = 1;
        call->split = GLIA_SPLIT_NONE;
    }
}

static glia_status run_one(const glia_planned_call *planned, const glia_call *call) {
    return planned->kernel ? planned->kernel->run(planned->state, call) : planned->node->op->ref(call);
}

/* Narrows `view` to elements or rows [begin, end). */
static void narrow(glia_view *view, glia_split split, int64_t begin, int64_t end) {
    int64_t stride = 1;
    if (split == GLIA_SPLIT_FLAT) {
        view->shape.rank = 1;
    } else {
        for (int d = 1; d < view->shape.rank; d++) stride *= view->shape.dim[d];
    }
    view->shape.dim[0] = end - begin;
    view->data = (char *)view->data + (size_t)(begin * stride) * glia_dtype_bytes(view->dtype);
}

typedef struct shared_call {
    const glia_planned_call *planned;
    const glia_call *whole;
    glia_status *status; /* by part: what failed first in row order is what is told */
    glia_error *errors;
} shared_call;

static void run_part(void *ctx, int part, int parts) {
    const shared_call *shared = ctx;
    const glia_planned_call *planned = shared->planned;
    glia_view in[GLIA_MAX_INPUTS], out[GLIA_MAX_OUTPUTS];
    glia_call call = *shared->whole;
    memcpy(in, call.in, (size_t)call.n_in * sizeof *in);
    memcpy(out, call.out, (size_t)call.n_out * sizeof *out);
    bool flat = planned->split == GLIA_SPLIT_FLAT;
    int64_t begin, end, elems = glia_shape_elems(&out[0].shape);
    int64_t rows = flat ? 1 : out[0].shape.dim[0];
    glia__part_range(flat ? (elems + 15) / 16 : rows, part, parts, &begin, &end);
    if (flat) {
        begin = GLIA_MIN(begin * 16, elems);
        end = GLIA_MIN(end * 16, elems);
    }
    for (int i = 0; i < call.n_in; i++)
        if (planned->cut >> i & 1) narrow(&in[i], planned->split, begin, end);
    for (int o = 0; o < call.n_out; o++) narrow(&out[o], planned->split, begin, end);
    call.in = in;
    call.out = out;
    call.first_elem = flat ? begin : begin * (elems / (rows ? rows : 1));
    if (call.workspace) call.workspace = (char *)call.workspace + (size_t)part * planned->workspace_bytes;
    call.err = part ? &shared->errors[part - 1] : shared->whole->err;
    shared->status[part] = run_one(planned, &call);
}

static void *memory_of(const glia_program *program, int buffer) {
    return buffer < 0 ? NULL : program->block + program->buffers[buffer].offset;
}

static glia_call whole_call(const glia_program *program, const glia_planned_call *planned,
                            const glia_step *step, glia_error *err) {
    const glia_node *node = planned->node;
    return (glia_call){.attrs = node->attrs,
                       .in = planned->views,
                       .out = planned->views + node->n_inputs,
                       .n_in = node->n_inputs,
                       .n_out = node->n_outputs,
                       .workspace = memory_of(program, planned->workspace),
                       .packed = memory_of(program, planned->packed),
                       .step = step,
                       .node = node->name,
                       .err = err};
}

glia_status glia__program_pack(const glia_program *program, const glia_planned_call *planned,
                               const glia_step *step, glia_error *err) {
    if (planned->packed < 0) return GLIA_OK;
    glia_call call = whole_call(program, planned, step, err);
    return planned->kernel->pack(planned->state, &call);
}

glia_status glia__program_call(const glia_program *program, const glia_planned_call *planned,
                               const glia_step *step, glia_error *err) {
    glia_call call = whole_call(program, planned, step, err);
    if (planned->parts < 2) return run_one(planned, &call);
    glia_status status[GLIA_MOST_THREADS] = {GLIA_OK};
    shared_call shared = {planned, &call, status, program->part_errors};
    glia__parallel(planned->parts, run_part, &shared);
    for (int part = 0; part < planned->parts; part++) {
        if (status[part] == GLIA_OK) continue;
        if (part && err && err->status == GLIA_OK) *err = program->part_errors[part - 1];
        return status[part];
    }
    return GLIA_OK;
}

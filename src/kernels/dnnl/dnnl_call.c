/* dnnl_call.c: see dnnl_call.h. Written for oneDNN 2's C API. */

#include "kernels/dnnl/dnnl_call.h"

#include <omp.h>

enum { ALIGNMENT = 64 };

typedef struct bound_argument {
    glia_dnnl_argument what;
    dnnl_memory_t plain, inner; /* inner: the primitive's own layout; the same object when they agree */
    dnnl_primitive_t reorder;   /* NULL when they agree */
    size_t offset;              /* of inner in the workspace */
} bound_argument;

typedef struct dnnl_state {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_t scratchpad;
    size_t scratchpad_offset;
    bound_argument arguments[GLIA_DNNL_MOST_ARGUMENTS];
    int count, threads;
} dnnl_state;

glia_status glia__dnnl_check(dnnl_status_t status, const char *what, glia_error *err) {
    if (status == dnnl_success) return GLIA_OK;
    glia_status mine = status == dnnl_out_of_memory   ? GLIA_OUT_OF_MEMORY
                       : status == dnnl_unimplemented ? GLIA_UNSUPPORTED
                                                      : GLIA_INTERNAL;
    return glia_error_set(err, mine, "oneDNN: %s failed with status %d", what, (int)status);
}

#define TRY_DNNL(call, what) GLIA_TRY(glia__dnnl_check(call, what, err))

bool glia__dnnl_supports(const glia_kernel_query *query, const char **why_not) {
    for (int i = 0; i < query->n_in + query->n_out; i++) {
        const glia_type *type = i < query->n_in ? &query->in[i] : &query->out[i - query->n_in];
        if (type->shape.rank < 0) continue;
        *why_not = type->dtype != GLIA_F32 ? "only f32" : "an empty array";
        if (type->dtype != GLIA_F32 || glia_shape_elems(&type->shape) == 0) return false;
    }
    return true;
}

glia_status glia__dnnl_plain(dnnl_memory_desc_t *out, int rank, const int64_t *dims, const int64_t *strides,
                             glia_error *err) {
    int64_t dense[DNNL_MAX_NDIMS];
    for (int i = rank - 1; i >= 0; i--) dense[i] = i == rank - 1 ? 1 : dense[i + 1] * dims[i + 1];
    return glia__dnnl_check(
        dnnl_memory_desc_init_by_strides(out, rank, dims, dnnl_f32, strides ? strides : dense),
        "describing an array", err);
}

glia_status glia__dnnl_any(dnnl_memory_desc_t *out, int rank, const int64_t *dims, glia_error *err) {
    return glia__dnnl_check(dnnl_memory_desc_init_by_tag(out, rank, dims, dnnl_f32, dnnl_format_tag_any),
                            "describing an array", err);
}

static size_t reserve(size_t *workspace, size_t bytes) {
    size_t offset = *workspace;
    *workspace += (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    return offset;
}

static glia_status make_reorder(dnnl_state *s, dnnl_primitive_t *out, const dnnl_memory_desc_t *from,
                                const dnnl_memory_desc_t *to, glia_error *err) {
    dnnl_primitive_desc_t desc = NULL;
    TRY_DNNL(dnnl_reorder_primitive_desc_create(&desc, from, s->engine, to, s->engine, NULL), "a reorder");
    glia_status status = glia__dnnl_check(dnnl_primitive_create(out, desc), "a reorder", err);
    dnnl_primitive_desc_destroy(desc);
    return status;
}

static glia_status bind_argument(dnnl_state *s, bound_argument *a, const dnnl_memory_desc_t *inner,
                                 size_t *workspace, glia_error *err) {
    const dnnl_memory_desc_t *plain = &a->what.plain;
    TRY_DNNL(dnnl_memory_create(&a->plain, plain, s->engine, DNNL_MEMORY_NONE), "an array");
    if (dnnl_memory_desc_equal(plain, inner)) {
        a->inner = a->plain;
        return GLIA_OK;
    }
    TRY_DNNL(dnnl_memory_create(&a->inner, inner, s->engine, DNNL_MEMORY_NONE), "an array");
    a->offset = reserve(workspace, dnnl_memory_desc_get_size(inner));
    return a->what.is_output ? make_reorder(s, &a->reorder, inner, plain, err)
                             : make_reorder(s, &a->reorder, plain, inner, err);
}

static glia_status create_desc(dnnl_state *s, dnnl_primitive_desc_t *out, const_dnnl_op_desc_t op_desc,
                               const_dnnl_op_desc_t hint, glia_error *err) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t forward = NULL;
    TRY_DNNL(dnnl_primitive_attr_create(&attr), "attributes");
    dnnl_status_t status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && hint)
        status = dnnl_primitive_desc_create(&forward, hint, NULL, s->engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_desc_create(out, op_desc, attr, s->engine, forward);
    dnnl_primitive_desc_destroy(forward);
    dnnl_primitive_attr_destroy(attr);
    return glia__dnnl_check(status, "choosing an implementation", err);
}

static glia_status build(dnnl_state *s, size_t *workspace, const_dnnl_op_desc_t op_desc,
                         const_dnnl_op_desc_t hint, glia_error *err) {
    dnnl_primitive_desc_t desc = NULL;
    TRY_DNNL(dnnl_engine_create(&s->engine, dnnl_cpu, 0), "the engine");
    TRY_DNNL(dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags), "a stream");
    GLIA_TRY(create_desc(s, &desc, op_desc, hint, err));
    glia_status status = glia__dnnl_check(dnnl_primitive_create(&s->primitive, desc), "a primitive", err);
    for (int i = 0; i < s->count && status == GLIA_OK; i++) {
        bound_argument *a = &s->arguments[i];
        status = bind_argument(s, a, dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, a->what.id),
                               workspace, err);
    }
    const dnnl_memory_desc_t *scratchpad = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    if (status == GLIA_OK) {
        s->scratchpad_offset = reserve(workspace, dnnl_memory_desc_get_size(scratchpad));
        status = glia__dnnl_check(dnnl_memory_create(&s->scratchpad, scratchpad, s->engine, DNNL_MEMORY_NONE),
                                  "an array", err);
    }
    dnnl_primitive_desc_destroy(desc);
    return status;
}

glia_status glia__dnnl_new(void **state, size_t *workspace_bytes, const_dnnl_op_desc_t op_desc,
                           const_dnnl_op_desc_t hint, const glia_dnnl_argument *arguments, int count,
                           int threads, glia_error *err) {
    GLIA_ASSERT(count <= GLIA_DNNL_MOST_ARGUMENTS);
    dnnl_state *s = glia__calloc(NULL, 1, sizeof *s);
    if (!s) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for a oneDNN kernel");
    s->count = count;
    s->threads = threads;
    for (int i = 0; i < count; i++) s->arguments[i].what = arguments[i];
    int before = omp_get_max_threads();
    omp_set_num_threads(threads); /* a primitive is cut for the threads seen when it is made */
    size_t workspace = 0;
    glia_status status = build(s, &workspace, op_desc, hint, err);
    omp_set_num_threads(before);
    if (status != GLIA_OK) {
        glia__dnnl_fini(s);
        return status;
    }
    *state = s;
    *workspace_bytes = workspace;
    return GLIA_OK;
}

void glia__dnnl_fini(void *state) {
    dnnl_state *s = state;
    for (int i = 0; i < s->count; i++) {
        bound_argument *a = &s->arguments[i];
        dnnl_primitive_destroy(a->reorder);
        if (a->inner != a->plain) dnnl_memory_destroy(a->inner);
        dnnl_memory_destroy(a->plain);
    }
    dnnl_memory_destroy(s->scratchpad);
    dnnl_primitive_destroy(s->primitive);
    dnnl_stream_destroy(s->stream);
    dnnl_engine_destroy(s->engine);
    glia__free(NULL, s, sizeof *s);
}

static dnnl_status_t reorder(dnnl_state *s, const bound_argument *a, dnnl_memory_t from, dnnl_memory_t to) {
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return a->reorder ? dnnl_primitive_execute(a->reorder, s->stream, 2, arguments) : dnnl_success;
}

static dnnl_status_t execute(dnnl_state *s, const glia_call *call) {
    dnnl_exec_arg_t arguments[GLIA_DNNL_MOST_ARGUMENTS + 1];
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < s->count && status == dnnl_success; i++) {
        bound_argument *a = &s->arguments[i];
        const glia_view *view = a->what.is_output ? &call->out[a->what.index] : &call->in[a->what.index];
        status = dnnl_memory_set_data_handle(a->plain, view->data);
        if (status == dnnl_success && a->reorder)
            status = dnnl_memory_set_data_handle(a->inner, (char *)call->workspace + a->offset);
        if (status == dnnl_success && !a->what.is_output) status = reorder(s, a, a->plain, a->inner);
        arguments[i] = (dnnl_exec_arg_t){a->what.id, a->inner};
    }
    if (status == dnnl_success && call->workspace)
        status = dnnl_memory_set_data_handle(s->scratchpad, (char *)call->workspace + s->scratchpad_offset);
    arguments[s->count] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, s->scratchpad};
    if (status == dnnl_success)
        status = dnnl_primitive_execute(s->primitive, s->stream, s->count + 1, arguments);
    for (int i = 0; i < s->count && status == dnnl_success; i++)
        if (s->arguments[i].what.is_output)
            status = reorder(s, &s->arguments[i], s->arguments[i].inner, s->arguments[i].plain);
    return status == dnnl_success ? dnnl_stream_wait(s->stream) : status;
}

glia_status glia__dnnl_run(void *state, const glia_call *call) {
    dnnl_state *s = state;
    int before = omp_get_max_threads();
    omp_set_num_threads(s->threads);
    dnnl_status_t status = execute(s, call);
    omp_set_num_threads(before);
    return glia__dnnl_check(status, call->node, call->err);
}

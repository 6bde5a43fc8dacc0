/* dnnl_api.c: everything that Glia says to oneDNN; what differs between its versions is in dnnl_version.h.
 *
 * A primitive may choose its own (blocked) layouts: the arrays of the graph are then reordered, inside the workspace that
 * the plan owns. oneDNN's scratchpad is there too. The number of threads is fixed when a primitive is made, and
 * must be the same when it runs: oneDNN divides its work, and its scratchpad, by it. */
#include "kernels/dnnl/dnnl_api.h"

#include "core/isa.h"

#include <omp.h>

#include "kernels/dnnl/dnnl_version.h"

/* One array of the primitive: `plain` is the graph's memory, `inner` the primitive's; the same object unless
 * `reorder` stands between them. */
typedef struct side {
    int arg; /* DNNL_ARG_... */
    dnnl_memory_t plain, inner;
    dnnl_primitive_t reorder;
    size_t offset; /* of `inner` in the workspace, when reordered */
    bool written;
} side;

struct glia_dnnl {
    const glia_allocator *allocator;
    const char *name;
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    side sides[GLIA_DNNL_ROLES];
    dnnl_memory_t scratchpad;
    size_t scratchpad_offset, workspace_bytes;
};

static const char *const kind_names[GLIA_DNNL_KINDS] = {"convolution", "convolution backward data",
                                                        "convolution backward weights", "matmul"};
static const glia_dnnl_role results[GLIA_DNNL_KINDS] = {GLIA_DNNL_DST, GLIA_DNNL_SRC, GLIA_DNNL_WEIGHTS,
                                                        GLIA_DNNL_DST};
/* What an array is called depends on whether it carries values or gradients. */
static const int arg_names[GLIA_DNNL_KINDS][GLIA_DNNL_ROLES] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST},
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST}};

static const char *status_text(dnnl_status_t status) {
    switch (status) {
    case dnnl_out_of_memory:
        return "out of memory";
    case dnnl_invalid_arguments:
        return "invalid arguments";
    case dnnl_unimplemented:
        return "not implemented";
    default:
        return "run-time error";
    }
}

static glia_status fail(glia_error *err, const char *name, const char *what, dnnl_status_t status) {
    return glia_error_set(err, status == dnnl_out_of_memory ? GLIA_OUT_OF_MEMORY : GLIA_INTERNAL,
                          "oneDNN: %s: could not %s: %s", name, what, status_text(status));
}

/* OpenMP's thread count of the calling thread, while oneDNN makes or runs something. */
static int enter_threads(int threads) {
    int before = omp_get_max_threads();
    if (threads != before) omp_set_num_threads(threads);
    return before;
}
static void leave_threads(int before) {
    if (omp_get_max_threads() != before) omp_set_num_threads(before);
}

/* An engine; GLIA_ISA holds for oneDNN too, which takes its word before the first use only and refuses it later. */
static dnnl_status_t make_engine(dnnl_engine_t *engine) {
    static const dnnl_cpu_isa_t limits[] = {dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2, dnnl_cpu_isa_avx512_core};
    if (glia__isa_forced()) dnnl_set_max_cpu_isa(limits[glia__isa()]);
    return dnnl_engine_create(engine, dnnl_cpu, 0);
}

/* --- descriptors ----------------------------------------------------------------------------------------- */

/* The array as it lies in the graph's memory. */
static dnnl_status_t plain_desc(const glia_dnnl_array *a, own_desc *out) {
    dnnl_dims_t dims, strides;
    int64_t stride = 1;
    for (int i = a->rank - 1; i >= 0; i--) {
        dims[i] = a->dim[i];
        strides[i] = stride;
        stride *= a->dim[i];
    }
    if (a->transposed) {
        strides[a->rank - 1] = a->dim[a->rank - 2];
        strides[a->rank - 2] = 1;
    }
    return desc_by_strides(out, a->rank, dims, dnnl_f32, strides);
}

/* The array as the primitive is asked for it. */
static dnnl_status_t asked_desc(const glia_dnnl_array *a, own_desc *out) {
    if (!a->any_layout) return plain_desc(a, out);
    dnnl_dims_t dims;
    for (int i = 0; i < a->rank; i++) dims[i] = a->dim[i];
    return desc_by_tag(out, a->rank, dims, dnnl_f32, dnnl_format_tag_any);
}

static dnnl_status_t describe(const glia_dnnl_spec *spec, dnnl_primitive_attr_t attr, dnnl_engine_t engine,
                              dnnl_primitive_desc_t *out);

/* A backward convolution wants the forward one as a hint. */
static dnnl_status_t describe_any_convolution(const glia_dnnl_spec *spec,
                                              const memory_desc md[GLIA_DNNL_ROLES],
                                              dnnl_primitive_attr_t attr, dnnl_engine_t engine,
                                              dnnl_primitive_desc_t *out) {
    convolution_args args = {.attr = attr};
    dnnl_status_t status = dnnl_success;
    memcpy(args.md, md, sizeof args.md);
    for (int d = 0; d < 2; d++) {
        args.strides[d] = spec->strides[d];
        args.dilates[d] = spec->dilation[d] - 1;
        args.begin[d] = spec->pads[d];
        args.end[d] = spec->pads[d + 2];
    }
    if (spec->kind != GLIA_DNNL_CONVOLUTION) {
        glia_dnnl_spec forward = *spec;
        forward.kind = GLIA_DNNL_CONVOLUTION;
        status = describe(&forward, attr, engine, &args.hint);
    }
    if (status == dnnl_success) status = describe_convolution(out, engine, spec->kind, &args);
    if (args.hint) dnnl_primitive_desc_destroy(args.hint);
    return status;
}

/* The primitive's descriptor: implementation and layouts chosen, nothing compiled yet. */
static dnnl_status_t describe(const glia_dnnl_spec *spec, dnnl_primitive_attr_t attr, dnnl_engine_t engine,
                              dnnl_primitive_desc_t *out) {
    own_desc own[GLIA_DNNL_ROLES] = {{0}};
    memory_desc md[GLIA_DNNL_ROLES];
    dnnl_status_t status = dnnl_success;
    for (int role = 0; role < GLIA_DNNL_ROLES && status == dnnl_success; role++) {
        if (spec->arrays[role].rank) status = asked_desc(&spec->arrays[role], &own[role]);
        md[role] = borrow(&own[role]);
    }
    if (status == dnnl_success)
        status = spec->kind == GLIA_DNNL_MATMUL ? describe_matmul(out, engine, md, attr)
                                                : describe_any_convolution(spec, md, attr, engine, out);
    for (int role = 0; role < GLIA_DNNL_ROLES; role++) free_desc(&own[role]);
    return status;
}

static dnnl_status_t describe_on(const glia_dnnl_spec *spec, dnnl_engine_t engine,
                                 dnnl_primitive_desc_t *out) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = describe(spec, attr, engine, out);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return status;
}

bool glia__dnnl_offers(const glia_dnnl_spec *spec, const char **why_not) {
    dnnl_engine_t engine = NULL;
    dnnl_primitive_desc_t desc = NULL;
    const char *name = "";
    int before = enter_threads(spec->threads);
    dnnl_status_t status = make_engine(&engine);
    if (status == dnnl_success) status = describe_on(spec, engine, &desc);
    if (status == dnnl_success) status = dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name);
    bool only_reference = status == dnnl_success && strncmp(name, "ref", 3) == 0;
    if (desc) dnnl_primitive_desc_destroy(desc);
    if (engine) dnnl_engine_destroy(engine);
    leave_threads(before);
    if (status != dnnl_success) *why_not = "oneDNN does not implement it";
    if (only_reference) *why_not = "oneDNN has only its reference";
    return status == dnnl_success && !only_reference;
}

/* --- a primitive with its reorders ----------------------------------------------------------------------- */

static size_t reserve(glia_dnnl *p, size_t bytes) {
    size_t offset = p->workspace_bytes;
    p->workspace_bytes += (bytes + 63) & ~(size_t)63;
    return offset;
}

static dnnl_status_t make_reorder(glia_dnnl *p, side *s, memory_desc plain, memory_desc inner) {
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_memory_create(&s->inner, inner, p->engine, DNNL_MEMORY_NONE);
    if (status != dnnl_success) return status;
    s->offset = reserve(p, dnnl_memory_desc_get_size(inner));
    status = dnnl_reorder_primitive_desc_create(&desc, s->written ? inner : plain, p->engine,
                                                s->written ? plain : inner, p->engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&s->reorder, desc);
    if (desc) dnnl_primitive_desc_destroy(desc);
    return status;
}

static dnnl_status_t make_side(glia_dnnl *p, const glia_dnnl_spec *spec, glia_dnnl_role role,
                               dnnl_primitive_desc_t desc) {
    const glia_dnnl_array *array = &spec->arrays[role];
    if (!array->rank) return dnnl_success;
    side *s = &p->sides[role];
    s->arg = arg_names[spec->kind][role];
    s->written = results[spec->kind] == role;
    own_desc own = {0};
    memory_desc inner = dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, s->arg);
    dnnl_status_t status = plain_desc(array, &own);
    memory_desc plain = borrow(&own);
    if (status == dnnl_success) status = dnnl_memory_create(&s->plain, plain, p->engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success && !dnnl_memory_desc_equal(plain, inner))
        status = make_reorder(p, s, plain, inner);
    free_desc(&own);
    return status;
}

static dnnl_status_t make_primitive(glia_dnnl *p, const glia_dnnl_spec *spec) {
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = make_engine(&p->engine);
    if (status == dnnl_success) status = dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags);
    if (status == dnnl_success) status = describe_on(spec, p->engine, &desc);
    if (status == dnnl_success) status = dnnl_primitive_create(&p->primitive, desc);
    for (int role = 0; role < GLIA_DNNL_ROLES && status == dnnl_success; role++)
        status = make_side(p, spec, (glia_dnnl_role)role, desc);
    if (status == dnnl_success) {
        memory_desc md = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
        p->scratchpad_offset = reserve(p, dnnl_memory_desc_get_size(md));
        status = dnnl_memory_create(&p->scratchpad, md, p->engine, DNNL_MEMORY_NONE);
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    return status;
}

glia_status glia__dnnl_new(glia_dnnl **out, const glia_dnnl_spec *spec, const glia_allocator *allocator,
                           size_t *workspace_bytes, glia_error *err) {
    glia_dnnl *p = glia__calloc(allocator, 1, sizeof *p);
    *out = NULL;
    if (!p) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    p->allocator = allocator;
    p->name = kind_names[spec->kind];
    p->threads = spec->threads;
    int before = enter_threads(p->threads);
    dnnl_status_t status = make_primitive(p, spec);
    leave_threads(before);
    if (status != dnnl_success) {
        glia__dnnl_free(p);
        return fail(err, kind_names[spec->kind], "make the primitive", status);
    }
    *workspace_bytes = p->workspace_bytes;
    *out = p;
    return GLIA_OK;
}

void glia__dnnl_free(void *primitive) {
    glia_dnnl *p = primitive;
    if (!p) return;
    for (int role = 0; role < GLIA_DNNL_ROLES; role++) {
        if (p->sides[role].reorder) dnnl_primitive_destroy(p->sides[role].reorder);
        if (p->sides[role].inner) dnnl_memory_destroy(p->sides[role].inner);
        if (p->sides[role].plain) dnnl_memory_destroy(p->sides[role].plain);
    }
    if (p->scratchpad) dnnl_memory_destroy(p->scratchpad);
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->stream) dnnl_stream_destroy(p->stream);
    if (p->engine) dnnl_engine_destroy(p->engine);
    glia__free(p->allocator, p, sizeof *p);
}

/* Points the memory objects of one array at its data. */
static dnnl_status_t point(const side *s, void *data, char *workspace) {
    dnnl_status_t status = dnnl_memory_set_data_handle(s->plain, data);
    if (status != dnnl_success || !s->reorder) return status;
    return dnnl_memory_set_data_handle(s->inner, workspace + s->offset);
}

static dnnl_status_t reorder(const glia_dnnl *p, const side *s) {
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, s->written ? s->inner : s->plain},
                              {DNNL_ARG_TO, s->written ? s->plain : s->inner}};
    return dnnl_primitive_execute(s->reorder, p->stream, 2, args);
}

static dnnl_status_t execute(const glia_dnnl *p, void *const data[GLIA_DNNL_ROLES], char *workspace) {
    dnnl_exec_arg_t args[GLIA_DNNL_ROLES + 1];
    int count = 0;
    dnnl_status_t status = dnnl_success;
    if (workspace) /* NULL when nothing is reordered and the scratchpad is empty */
        status = dnnl_memory_set_data_handle(p->scratchpad, workspace + p->scratchpad_offset);
    for (int role = 0; role < GLIA_DNNL_ROLES && status == dnnl_success; role++) {
        const side *s = &p->sides[role];
        if (!s->plain) continue;
        status = point(s, data[role], workspace);
        if (status == dnnl_success && s->reorder && !s->written) status = reorder(p, s);
        args[count++] = (dnnl_exec_arg_t){s->arg, s->reorder ? s->inner : s->plain};
    }
    args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->scratchpad};
    if (status == dnnl_success) status = dnnl_primitive_execute(p->primitive, p->stream, count, args);
    for (int role = 0; role < GLIA_DNNL_ROLES && status == dnnl_success; role++)
        if (p->sides[role].reorder && p->sides[role].written) status = reorder(p, &p->sides[role]);
    return status == dnnl_success ? dnnl_stream_wait(p->stream) : status;
}

glia_status glia__dnnl_run(glia_dnnl *primitive, void *const data[GLIA_DNNL_ROLES], void *workspace,
                           glia_error *err) {
    int before = enter_threads(primitive->threads);
    dnnl_status_t status = execute(primitive, data, workspace);
    leave_threads(before);
    return status == dnnl_success ? GLIA_OK : fail(err, primitive->name, "run", status);
}

/* --- what every kernel declines -------------------------------------------------------------------------- */

static bool takes_type(const glia_type *type, const char **why_not) {
    if (type->shape.rank < 0) return true; /* an absent optional input */
    if (type->dtype != GLIA_F32)
        *why_not = "only f32 so far";
    else if (glia_shape_elems(&type->shape) < 1)
        *why_not = "an array has no elements";
    else
        return true;
    return false;
}

bool glia__dnnl_takes_types(const glia_kernel_query *query, const char **why_not) {
    for (int i = 0; i < query->n_in; i++)
        if (!takes_type(&query->in[i], why_not)) return false;
    for (int o = 0; o < query->n_out; o++)
        if (!takes_type(&query->out[o], why_not)) return false;
    return true;
}

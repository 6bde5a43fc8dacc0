/* dnnl_api.c: everything that Glia says to oneDNN; what differs between its versions is in dnnl_version.h.
 *
 * A primitive may choose its own (blocked) layouts: the arrays of the graph are then reordered in every run, inside the
 * workspace that the plan owns; parameters once for many runs, to memory that the plan keeps for them. oneDNN's scratchpad
 * is in the workspace too. The number of threads is fixed when a primitive is made, and
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
    size_t offset; /* of `inner`, when reordered, in the workspace; or where packed parameters are */
    bool packed, output;
    int index;    /* of the call's inputs or outputs */
    size_t begin; /* byte of it where the array begins */
} side;

typedef struct glia_dnnl {
    const glia_allocator *allocator;
    const char *name;
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    side sides[GLIA_DNNL_ROLES];
    dnnl_memory_t scratchpad;
    size_t scratchpad_offset;
    glia_kernel_needs needs;
} glia_dnnl;

static const char *const kind_names[GLIA_DNNL_KINDS] = {"convolution", "convolution backward data",
                                                        "convolution backward weights", "matmul"};
/* The residual is what the first post-operation adds. */
#define RESIDUAL_ARG (DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1)
/* What an array is called depends on whether it carries values or gradients. */
static const int arg_names[GLIA_DNNL_KINDS][GLIA_DNNL_ROLES] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST, RESIDUAL_ARG},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST},
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST, RESIDUAL_ARG}};

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
    static const dnnl_cpu_isa_t limits[] = {dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2, dnnl_cpu_isa_avx512_core,
                                            dnnl_cpu_isa_avx512_core_amx};
    if (glia__isa_forced()) dnnl_set_max_cpu_isa(limits[glia__isa()]);
    return dnnl_engine_create(engine, dnnl_cpu, 0);
}

/* --- descriptors ----------------------------------------------------------------------------------------- */

static dnnl_data_type_t dtype_of(glia_dtype dtype) {
    return dtype == GLIA_BF16 ? dnnl_bf16 : dnnl_f32; /* others were declined */
}

/* The array as it lies in the graph's memory, in the dtype that is there or in the primitive's. */
static dnnl_status_t strided_desc(const glia_dnnl_array *a, glia_dtype dtype, own_desc *out) {
    dnnl_dims_t dims, strides;
    for (int i = 0; i < a->rank; i++) {
        dims[i] = a->dim[i];
        strides[i] = a->stride[i];
    }
    return desc_by_strides(out, a->rank, dims, dtype_of(dtype), strides);
}

static glia_dnnl_array without_gaps(const glia_dnnl_array *a) {
    glia_dnnl_array dense = *a;
    for (int i = 0; i < a->rank; i++) {
        dense.stride[i] = 1;
        for (int k = 0; k < a->rank; k++)
            if (a->stride[k] < a->stride[i] || (a->stride[k] == a->stride[i] && k > i))
                dense.stride[i] *= a->dim[k];
    }
    return dense;
}

/* The array as the primitive is asked for it. */
static dnnl_status_t asked_desc(const glia_dnnl_array *a, own_desc *out) {
    glia_dnnl_array dense = without_gaps(a);
    if (a->layout != GLIA_DNNL_ANY)
        return strided_desc(a->layout == GLIA_DNNL_DENSE ? &dense : a, a->inside, out);
    dnnl_dims_t dims;
    for (int i = 0; i < a->rank; i++) dims[i] = a->dim[i];
    return desc_by_tag(out, a->rank, dims, dtype_of(a->inside), dnnl_format_tag_any);
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
        forward.arrays[GLIA_DNNL_WEIGHTS].inside = spec->arrays[GLIA_DNNL_SRC].inside;
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

/* What is done to the result before it is written. The attributes keep a copy of the post-operations. */
static dnnl_status_t append_riders(const glia_dnnl_spec *spec, dnnl_primitive_attr_t attr) {
    const glia_dnnl_array *residual = &spec->arrays[GLIA_DNNL_RESIDUAL];
    dnnl_post_ops_t operations = NULL;
    own_desc desc = {0};
    dnnl_status_t status = dnnl_post_ops_create(&operations);
    if (status == dnnl_success && residual->rank) status = asked_desc(residual, &desc);
    if (status == dnnl_success && residual->rank)
        status = dnnl_post_ops_append_binary(operations, dnnl_binary_add, borrow(&desc));
    if (status == dnnl_success && spec->relu) status = append_eltwise(operations, dnnl_eltwise_relu);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, operations);
    free_desc(&desc);
    if (operations) dnnl_post_ops_destroy(operations);
    return status;
}

static dnnl_status_t describe_on(const glia_dnnl_spec *spec, dnnl_engine_t engine,
                                 dnnl_primitive_desc_t *out) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = append_riders(spec, attr);
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

/* Room at the end of the workspace or of the packed parameters. */
static size_t reserve(size_t *total, size_t bytes) {
    size_t offset = *total;
    *total += (bytes + 63) & ~(size_t)63;
    return offset;
}

static dnnl_status_t make_reorder(glia_dnnl *p, side *s, memory_desc plain, memory_desc inner) {
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_memory_create(&s->inner, inner, p->engine, DNNL_MEMORY_NONE);
    if (status != dnnl_success) return status;
    s->offset = reserve(s->packed ? &p->needs.packed_bytes : &p->needs.workspace_bytes,
                        dnnl_memory_desc_get_size(inner));
    status = dnnl_reorder_primitive_desc_create(&desc, s->output ? inner : plain, p->engine,
                                                s->output ? plain : inner, p->engine, NULL);
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
    s->output = array->output;
    s->index = array->index;
    s->begin = (size_t)array->first * glia_dtype_bytes(array->dtype);
    own_desc own = {0}, asked = {0};
    dnnl_status_t status = strided_desc(array, array->dtype, &own);
    memory_desc plain = borrow(&own), inner = NULL;
    if (role == GLIA_DNNL_RESIDUAL) { /* oneDNN does not choose its layout, nor tell it */
        if (status == dnnl_success) status = asked_desc(array, &asked);
        inner = borrow(&asked);
    } else {
        inner = dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, s->arg);
    }
    if (status == dnnl_success) status = dnnl_memory_create(&s->plain, plain, p->engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success && !dnnl_memory_desc_equal(plain, inner)) {
        s->packed = array->parameter;
        status = make_reorder(p, s, plain, inner);
    }
    free_desc(&own);
    free_desc(&asked);
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
        p->scratchpad_offset = reserve(&p->needs.workspace_bytes, dnnl_memory_desc_get_size(md));
        status = dnnl_memory_create(&p->scratchpad, md, p->engine, DNNL_MEMORY_NONE);
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    return status;
}

glia_status glia__dnnl_new(void **state, const glia_dnnl_spec *spec, const glia_allocator *allocator,
                           glia_kernel_needs *needs, glia_error *err) {
    glia_dnnl *p = glia__calloc(allocator, 1, sizeof *p);
    *state = NULL;
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
    *needs = p->needs;
    *state = p;
    return GLIA_OK;
}

void glia__dnnl_free(void *state) {
    glia_dnnl *p = state;
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

/* --- running --------------------------------------------------------------------------------------------- */

/* Points the memory objects of one array at its data. */
static dnnl_status_t point(const side *s, const glia_call *c) {
    char *data = s->output ? c->out[s->index].data : c->in[s->index].data;
    dnnl_status_t status = dnnl_memory_set_data_handle(s->plain, data + s->begin);
    if (status != dnnl_success || !s->reorder) return status;
    return dnnl_memory_set_data_handle(s->inner, (char *)(s->packed ? c->packed : c->workspace) + s->offset);
}

static dnnl_status_t reorder(const glia_dnnl *p, const side *s) {
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, s->output ? s->inner : s->plain},
                              {DNNL_ARG_TO, s->output ? s->plain : s->inner}};
    return dnnl_primitive_execute(s->reorder, p->stream, 2, args);
}

static dnnl_status_t pack(const glia_dnnl *p, const glia_call *c) {
    dnnl_status_t status = dnnl_success;
    for (int role = 0; role < GLIA_DNNL_ROLES && status == dnnl_success; role++) {
        const side *s = &p->sides[role];
        if (!s->packed) continue;
        status = point(s, c);
        if (status == dnnl_success) status = reorder(p, s);
    }
    return status == dnnl_success ? dnnl_stream_wait(p->stream) : status;
}

static dnnl_status_t run(const glia_dnnl *p, const glia_call *c) {
    dnnl_exec_arg_t args[GLIA_DNNL_ROLES + 1];
    int count = 0;
    dnnl_status_t status = dnnl_success;
    if (c->workspace) /* NULL when nothing is reordered and the scratchpad is empty */
        status = dnnl_memory_set_data_handle(p->scratchpad, (char *)c->workspace + p->scratchpad_offset);
    for (int role = 0; role < GLIA_DNNL_ROLES && status == dnnl_success; role++) {
        const side *s = &p->sides[role];
        if (!s->plain) continue;
        status = point(s, c);
        if (status == dnnl_success && s->reorder && !s->output && !s->packed) status = reorder(p, s);
        args[count++] = (dnnl_exec_arg_t){s->arg, s->reorder ? s->inner : s->plain};
    }
    args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->scratchpad};
    if (status == dnnl_success) status = dnnl_primitive_execute(p->primitive, p->stream, count, args);
    for (int role = 0; role < GLIA_DNNL_ROLES && status == dnnl_success; role++)
        if (p->sides[role].reorder && p->sides[role].output) status = reorder(p, &p->sides[role]);
    return status == dnnl_success ? dnnl_stream_wait(p->stream) : status;
}

static glia_status with_threads(dnnl_status_t (*act)(const glia_dnnl *, const glia_call *), const char *what,
                                const glia_dnnl *p, const glia_call *call) {
    int before = enter_threads(p->threads);
    dnnl_status_t status = act(p, call);
    leave_threads(before);
    return status == dnnl_success ? GLIA_OK : fail(call->err, p->name, what, status);
}

glia_status glia__dnnl_pack(void *state, const glia_call *call) {
    return with_threads(pack, "pack weights", state, call);
}

glia_status glia__dnnl_run(void *state, const glia_call *call) {
    return with_threads(run, "run", state, call);
}

/* --- what every kernel asks ------------------------------------------------------------------------------ */

static glia_dnnl_array array_of(const glia_type *type) {
    glia_dnnl_array array = {
        .rank = GLIA_MAX(type->shape.rank, 0), .dtype = type->dtype, .inside = type->dtype};
    int64_t stride = 1;
    for (int i = array.rank - 1; i >= 0; i--) {
        array.dim[i] = type->shape.dim[i];
        array.stride[i] = stride;
        stride *= array.dim[i];
    }
    return array;
}

glia_dnnl_array glia__dnnl_input(const glia_kernel_query *query, int index) {
    if (index >= query->n_in) return (glia_dnnl_array){0};
    glia_dnnl_array array = array_of(&query->in[index]);
    array.index = index;
    array.parameter = query->params >> index & 1;
    return array;
}

glia_dnnl_array glia__dnnl_output(const glia_kernel_query *query, int index) {
    glia_dnnl_array array = array_of(&query->out[index]);
    array.index = index;
    array.output = true;
    return array;
}

static void swap(int64_t *a, int64_t *b) {
    int64_t old = *a;
    *a = *b;
    *b = old;
}

void glia__dnnl_transpose(glia_dnnl_array *array) {
    swap(&array->dim[array->rank - 2], &array->dim[array->rank - 1]);
    swap(&array->stride[array->rank - 2], &array->stride[array->rank - 1]);
}

static bool takes_type(const glia_type *type, const char **why_not) {
    if (type->shape.rank < 0) return true; /* an absent optional input */
    if (type->dtype != GLIA_F32 && type->dtype != GLIA_BF16)
        *why_not = "only f32 and bf16";
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

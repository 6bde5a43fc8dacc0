/* parts.c: primitives cut in parts whose number follows from the shapes alone. Each part is computed by one thread, and
 * the threads that there are take turns: so the bits do not depend on them. */
#include "core/threads.h"
#include "kernels/dnnl/dnnl_api.h"

enum { MOST_OUTPUTS = 2 };

typedef struct parts {
    const glia_allocator *allocator;
    int count, made, threads;
    size_t
        workspace_bytes; /* of a thread; the results of all parts but the first, which are added to it, lie behind */
    size_t sums_bytes; /* of one part's results; 0: they have their places in the outputs */
    struct {
        size_t offset;
        int64_t elems;
    } sum[MOST_OUTPUTS];
    struct {
        void *state;
        size_t packed; /* offset of its own packed parameters */
    } part[];
} parts;

/* Of the dimension that is cut. */
static int64_t extent(const glia_dnnl_spec *spec, const glia_dnnl_cut *cut) {
    for (int role = 0; role < GLIA_DNNL_ROLES; role++)
        if (spec->arrays[role].rank && cut->dim[role] >= 0) return spec->arrays[role].dim[cut->dim[role]];
    return cut->width;
}

static int count_of(const glia_dnnl_spec *spec, const glia_dnnl_cut *cut) {
    return (int)((extent(spec, cut) + cut->width - 1) / cut->width);
}

static glia_dnnl_spec part_spec(const glia_dnnl_spec *whole, const glia_dnnl_cut *cut, int part) {
    glia_dnnl_spec spec = *whole;
    int64_t begin = part * cut->width, end = GLIA_MIN(begin + cut->width, extent(whole, cut));
    spec.threads = 1;
    for (int role = 0; role < GLIA_DNNL_ROLES; role++) {
        glia_dnnl_array *array = &spec.arrays[role];
        int dim = cut->dim[role];
        if (!array->rank || dim < 0) continue;
        array->dim[dim] = end - begin;
        array->first = begin * array->stride[dim];
    }
    return spec;
}

bool glia__dnnl_parts_offer(const glia_dnnl_spec *spec, const glia_dnnl_cut *cut, const char **why_not) {
    glia_dnnl_spec first = part_spec(spec, cut, 0), last = part_spec(spec, cut, count_of(spec, cut) - 1);
    return glia__dnnl_offers(&first, why_not) && glia__dnnl_offers(&last, why_not);
}

/* Where the results of one part lie beside each other. They are f32, as all gradients of parameters. */
static void lay_out_sums(parts *p, const glia_dnnl_spec *spec) {
    for (int role = 0; role < GLIA_DNNL_ROLES; role++) {
        const glia_dnnl_array *array = &spec->arrays[role];
        if (!array->rank || !array->output) continue;
        int64_t elems = 1;
        for (int d = 0; d < array->rank; d++) elems *= array->dim[d];
        p->sum[array->index].offset = p->sums_bytes;
        p->sum[array->index].elems = elems;
        p->sums_bytes += ((size_t)elems * sizeof(float) + 63) & ~(size_t)63;
    }
}

static size_t size_of(int count) {
    parts *p = NULL;
    return sizeof *p + (size_t)count * sizeof p->part[0];
}

glia_status glia__dnnl_parts_new(void **state, const glia_dnnl_spec *spec, const glia_dnnl_cut *cut,
                                 const glia_allocator *allocator, glia_kernel_needs *needs, glia_error *err) {
    int count = count_of(spec, cut);
    parts *p = glia__calloc(allocator, 1, size_of(count));
    *state = NULL;
    if (!p) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    p->allocator = allocator;
    p->count = count;
    p->threads = GLIA_MIN(spec->threads, count);
    size_t packed = 0;
    for (; p->made < count; p->made++) {
        glia_dnnl_spec part = part_spec(spec, cut, p->made);
        glia_kernel_needs own = {0};
        glia_status status = glia__dnnl_new(&p->part[p->made].state, &part, allocator, &own, err);
        if (status != GLIA_OK) {
            glia__dnnl_parts_free(p);
            return status;
        }
        p->part[p->made].packed = packed;
        packed += own.packed_bytes;
        p->workspace_bytes = GLIA_MAX(p->workspace_bytes, own.workspace_bytes);
    }
    needs->packed_bytes = packed;
    if (cut->sums && count > 1) lay_out_sums(p, spec);
    needs->workspace_bytes = p->workspace_bytes * (size_t)p->threads + p->sums_bytes * (size_t)(count - 1);
    *state = p;
    return GLIA_OK;
}

void glia__dnnl_parts_free(void *state) {
    parts *p = state;
    if (!p) return;
    for (int i = 0; i < p->made; i++) glia__dnnl_free(p->part[i].state);
    glia__free(p->allocator, p, size_of(p->count));
}

typedef struct shared_call {
    const parts *parts;
    const glia_call *call;
    glia_status (*act)(void *state, const glia_call *call);
    _Atomic glia_status failed; /* of some part: no two threads may write the caller's error */
} shared_call;

static float *sum_of(const parts *p, const glia_call *call, int part, int output) {
    if (part == 0) return call->out[output].data;
    char *sums = (char *)call->workspace + p->workspace_bytes * (size_t)p->threads;
    return (float *)(sums + p->sums_bytes * (size_t)(part - 1) + p->sum[output].offset);
}

/* Thread `thread` takes every so-many-th part. */
static void act_on_parts(void *ctx, int thread, int threads) {
    shared_call *shared = ctx;
    const parts *p = shared->parts;
    for (int i = thread; i < p->count; i += threads) {
        glia_call call = *shared->call;
        glia_view out[GLIA_MAX_OUTPUTS];
        memcpy(out, call.out, (size_t)call.n_out * sizeof *out);
        for (int o = 0; o < call.n_out && p->sums_bytes; o++) out[o].data = sum_of(p, shared->call, i, o);
        call.out = out;
        if (call.workspace) call.workspace = (char *)call.workspace + (size_t)thread * p->workspace_bytes;
        if (call.packed) call.packed = (char *)call.packed + p->part[i].packed;
        call.err = NULL;
        glia_status status = shared->act(p->part[i].state, &call);
        if (status != GLIA_OK) shared->failed = status;
    }
}

static glia_status act_together(const parts *p, const glia_call *call,
                                glia_status (*act)(void *, const glia_call *), const char *what) {
    shared_call shared = {p, call, act, GLIA_OK};
    glia__parallel(p->threads, act_on_parts, &shared);
    glia_status status = shared.failed;
    if (status == GLIA_OK) return GLIA_OK;
    return glia_error_set(call->err, status, "oneDNN could not %s a part: %s", what,
                          glia_status_message(status));
}

glia_status glia__dnnl_parts_pack(void *state, const glia_call *call) {
    return act_together(state, call, glia__dnnl_pack, "pack");
}

/* Adds up a thread's share of every output, in the order of the parts. A block of it stays in the cache. */
static void add_parts(void *ctx, int thread, int threads) {
    enum { BLOCK = 4096 };
    const shared_call *shared = ctx;
    const parts *p = shared->parts;
    for (int o = 0; o < shared->call->n_out; o++) {
        float *total = sum_of(p, shared->call, 0, o);
        int64_t begin, end;
        glia__part_range(p->sum[o].elems, thread, threads, &begin, &end);
        for (int64_t at = begin; at < end; at += BLOCK)
            for (int part = 1; part < p->count; part++) {
                const float *sum = sum_of(p, shared->call, part, o);
                int64_t stop = GLIA_MIN(at + BLOCK, end);
                for (int64_t e = at; e < stop; e++) total[e] += sum[e];
            }
    }
}

glia_status glia__dnnl_parts_run(void *state, const glia_call *call) {
    const parts *p = state;
    GLIA_TRY(act_together(p, call, glia__dnnl_run, "run"));
    if (p->sums_bytes) glia__parallel(p->threads, add_parts, &(shared_call){.parts = p, .call = call});
    return GLIA_OK;
}

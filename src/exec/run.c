/* run.c: runs the segments of a program: workers take lanes, chunk by chunk, and sums are added up at the end. */

#include <stdatomic.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/isa.h"
#include "core/threads.h"
#include "exec/program.h"

/* A segment at work. */
typedef struct job {
    const glia_program *program;
    const glia_segment *segment;
    const glia_step *step;
    glia_error *err;
    atomic_int next_lane;
    int64_t *failed; /* by worker: the chunk that failed, or INT64_MAX */
    glia_status *status;
} job;

/* What a worker is at. */
typedef struct place {
    int worker, lane;
    int64_t chunk, begin, end; /* rows */
    bool first;                /* chunk of the lane */
} place;

void *glia__buffer_address(const glia_program *program, int buffer) {
    if (buffer < 0) return NULL;
    const glia_buffer *b = &program->buffers[buffer];
    if (b->place == GLIA_PLACE_BLOCK) return program->block + b->offset;
    return b->address || b->bytes ? b->address : program->block; /* an empty array may be bound to NULL */
}

static void *worker_address(const job *j, int worker, int buffer) {
    if (buffer < 0) return NULL;
    char *memory = glia__buffer_address(j->program, j->segment->memory);
    return memory + (size_t)worker * j->segment->worker_bytes + j->program->buffers[buffer].offset;
}

/* --- one call of one chunk -------------------------------------------------------------------------------- */

static size_t view_bytes(const glia_view *view) {
    return (size_t)glia_shape_elems(&view->shape) * glia_dtype_bytes(view->dtype);
}

/* The outputs of a call that sums, one after another from `memory` on. */
static void place_sums(const glia_planned_call *call, char *memory, glia_view *out) {
    for (int o = 0; o < call->node->n_outputs; o++) {
        out[o].data = memory;
        memory += glia__padded(view_bytes(&out[o]));
    }
}

/* Lane 0 is the output itself. */
static void lane_views(const job *j, const glia_planned_call *call, int lane, glia_view *out) {
    memcpy(out, call->views + call->node->n_inputs, (size_t)call->node->n_outputs * sizeof *out);
    if (lane == 0) return;
    size_t bytes = 0;
    for (int o = 0; o < call->node->n_outputs; o++) bytes += glia__padded(view_bytes(&out[o]));
    place_sums(call, (char *)glia__buffer_address(j->program, call->lanes) + (size_t)(lane - 1) * bytes, out);
}

/* Adds `count` arrays to elements [begin, end) of `to`, in their order at every element; a piece of `to` that stays in the
 * first cache at a time. */
#define ADD_ARRAYS(T)                                                                                  \
    GLIA_CPU_CLONES(void, add_##T, (T * to, void *const *from, int count, int64_t begin, int64_t end), \
                    (to, from, count, begin, end)) {                                                   \
        enum { PIECE = 2048 };                                                                         \
        for (; begin < end; begin += PIECE)                                                            \
            for (int k = 0; k < count; k++) {                                                          \
                const int64_t n = GLIA_MIN(end - begin, PIECE);                                        \
                T *restrict sums = to + begin;                                                         \
                const T *restrict terms = (const T *)from[k] + begin;                                  \
                for (int64_t i = 0; i < n; i++) sums[i] += terms[i];                                   \
            }                                                                                          \
    }
ADD_ARRAYS(float)
ADD_ARRAYS(double)

static void add_arrays(const glia_view *to, void *const *from, int count, int64_t begin, int64_t end) {
    if (to->dtype == GLIA_F64)
        add_double(to->data, from, count, begin, end);
    else
        add_float(to->data, from, count, begin, end);
}

/* The part of every operand that the chunk sees. */
static void chunk_views(const job *j, const glia_planned_call *call, const place *p, glia_view *views) {
    const int n = call->node->n_inputs + call->node->n_outputs;
    memcpy(views, call->views, (size_t)n * sizeof *views);
    if (j->segment->chunks == 1) return;
    for (int i = 0; i < n; i++) {
        bool local =
            call->buffers[i] >= 0 && j->program->buffers[call->buffers[i]].place == GLIA_PLACE_WORKER;
        if (local) views[i].data = worker_address(j, p->worker, call->buffers[i]);
        glia__cut_view(call, i, local ? 0 : p->begin, local ? p->end - p->begin : p->end, &views[i]);
    }
}

/* Where in the whole the chunk is. */
static void tell_place(const glia_planned_call *planned, const place *p, int64_t rows, glia_call *call) {
    const int64_t elems = glia_shape_elems(&planned->views[planned->node->n_inputs].shape);
    if (planned->cut.flat) {
        call->first_elem = p->begin * GLIA_FLAT_ROW;
        return;
    }
    call->first_elem = planned->cut.sums ? 0 : p->begin * (elems / rows);
    call->first_row = p->begin;
    call->whole_rows = rows;
}

/* Elements of the output that belong to the examples of the larger batch before this one. */
static int64_t elems_before(const job *j, const glia_planned_call *planned) {
    const int64_t elems = glia_shape_elems(&planned->views[planned->node->n_inputs].shape);
    const int64_t examples = j->program->options.dims[0];
    return examples > 0 ? j->step->first_example * elems / examples : 0;
}

static glia_status run_call(const job *j, const glia_planned_call *planned, const place *p, glia_error *err) {
    const glia_node *node = planned->node;
    const glia_segment *s = j->segment;
    glia_view views[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS], *out = views + node->n_inputs;
    const bool sums = planned->cut.sums && s->chunks > 1, adds = sums && !p->first;
    const int kind = p->end - p->begin < s->chunk;
    chunk_views(j, planned, p, views);
    if (adds)
        place_sums(planned, worker_address(j, p->worker, planned->sum), out);
    else if (sums)
        lane_views(j, planned, p->lane, out);
    char *packed = glia__buffer_address(j->program, planned->packed);
    glia_call call = {.attrs = node->attrs,
                      .in = views,
                      .out = out,
                      .n_in = node->n_inputs,
                      .n_out = node->n_outputs,
                      .workspace = worker_address(j, p->worker, planned->workspace),
                      .packed = packed ? packed + (size_t)kind * planned->packed_bytes : NULL,
                      .step = j->step,
                      .node = node->name,
                      .err = err};
    if (s->chunks > 1) tell_place(planned, p, s->rows, &call);
    if (j->step->first_example) call.first_elem += elems_before(j, planned);
    void *state = planned->states[2 * p->worker + kind];
    const glia_kernel *kernel = planned->kernels[kind];
    glia_status status = kernel ? kernel->run(state, &call) : node->op->ref(&call);
    if (!adds || status != GLIA_OK) return status;
    glia_view lane[GLIA_MAX_OUTPUTS];
    lane_views(j, planned, p->lane, lane);
    for (int o = 0; o < node->n_outputs; o++)
        add_arrays(&lane[o], &out[o].data, 1, 0, glia_shape_elems(&out[o].shape));
    return GLIA_OK;
}

/* --- lanes ------------------------------------------------------------------------------------------------ */

static glia_status name_failure(const glia_planned_call *call, glia_status status, glia_error *err) {
    if (err && !*err->node) snprintf(err->node, sizeof err->node, "%s", call->node->name);
    return glia_error_set(err, status, "%s failed: %s", call->node->name, glia_status_message(status));
}

/* The calls of the segment, one after another, on one chunk. */
static glia_status run_chunk(const job *j, const place *p, glia_error *err) {
    for (int64_t c = j->segment->first; c < j->segment->end; c++) {
        glia_planned_call *call = &j->program->calls[c];
        const bool timed = j->program->profile;
        const double start = timed ? glia__now_seconds() : 0;
        glia_status status = run_call(j, call, p, err);
        if (timed) call->seconds[p->worker] += glia__now_seconds() - start;
        if (status != GLIA_OK) return name_failure(call, status, err);
    }
    return GLIA_OK;
}

/* Stops at the first failure of the lane. */
static void run_lane(job *j, int worker, int lane) {
    const glia_segment *s = j->segment;
    int64_t begin, end;
    glia__part_range(s->chunks, lane, s->lanes, &begin, &end);
    for (int64_t chunk = begin; chunk < end; chunk++) {
        place p = {.worker = worker,
                   .lane = lane,
                   .chunk = chunk,
                   .begin = chunk * s->chunk,
                   .end = GLIA_MIN((chunk + 1) * s->chunk, s->rows),
                   .first = chunk == begin};
        glia_error inner = {0};
        glia_status status = run_chunk(j, &p, &inner);
        if (status == GLIA_OK) continue;
        if (chunk < j->failed[worker]) { /* the first in row order is what is told */
            j->failed[worker] = chunk;
            j->status[worker] = status;
            j->program->worker_errors[worker] = inner;
        }
        return;
    }
}

static void work(void *ctx, int worker, int workers) {
    job *j = ctx;
    (void)workers;
    for (int lane; (lane = atomic_fetch_add(&j->next_lane, 1)) < j->segment->lanes;)
        run_lane(j, worker, lane);
}

/* Adds lanes 1, 2, … to lane 0, in this order at every element. */
static void add_lanes(void *ctx, int part, int parts) {
    const job *j = ctx;
    for (int64_t c = j->segment->first; c < j->segment->end; c++) {
        const glia_planned_call *call = &j->program->calls[c];
        if (!call->cut.sums) continue;
        const glia_view *total = call->views + call->node->n_inputs;
        void *lanes[GLIA_MAX_OUTPUTS][GLIA_MOST_LANES];
        for (int lane = 1; lane < j->segment->lanes; lane++) {
            glia_view out[GLIA_MAX_OUTPUTS];
            lane_views(j, call, lane, out);
            for (int o = 0; o < call->node->n_outputs; o++) lanes[o][lane - 1] = out[o].data;
        }
        for (int o = 0; o < call->node->n_outputs; o++) {
            int64_t begin, end;
            glia__part_range(glia_shape_elems(&total[o].shape), part, parts, &begin, &end);
            add_arrays(&total[o], lanes[o], j->segment->lanes - 1, begin, end);
        }
    }
}

static glia_status first_failure(const job *j) {
    int64_t chunk = INT64_MAX;
    int worker = -1;
    for (int w = 0; w < j->segment->workers; w++)
        if (j->failed[w] < chunk) {
            chunk = j->failed[w];
            worker = w;
        }
    if (worker < 0) return GLIA_OK;
    if (j->err && j->err->status == GLIA_OK) *j->err = j->program->worker_errors[worker];
    return j->status[worker];
}

static bool has_sums(const glia_program *program, const glia_segment *s) {
    for (int64_t c = s->first; c < s->end; c++)
        if (program->calls[c].cut.sums) return true;
    return false;
}

glia_status glia__program_run_segment(glia_program *program, const glia_segment *s, const glia_step *step,
                                      glia_error *err) {
    job j = {.program = program, .segment = s, .step = step, .err = err};
    if (s->chunks == 1) {
        place p = {.end = s->rows, .first = true};
        return run_chunk(&j, &p, err);
    }
    int64_t failed[GLIA_MOST_THREADS];
    glia_status status[GLIA_MOST_THREADS] = {GLIA_OK};
    for (int w = 0; w < s->workers; w++) failed[w] = INT64_MAX;
    j.failed = failed;
    j.status = status;
    glia__parallel(s->workers, work, &j);
    GLIA_TRY(first_failure(&j));
    if (s->lanes > 1 && has_sums(program, s)) glia__parallel(s->workers, add_lanes, &j);
    return GLIA_OK;
}

/* --- packing ---------------------------------------------------------------------------------------------- */

static glia_status pack_call(const glia_program *program, const glia_segment *s,
                             const glia_planned_call *planned, const glia_step *step, glia_error *err) {
    const glia_node *node = planned->node;
    for (int kind = 0; kind < (s->rows % s->chunk ? 2 : 1); kind++) {
        if (!planned->kernels[kind] || !planned->kernels[kind]->pack) continue;
        glia_call call = {.attrs = node->attrs,
                          .in = planned->views,
                          .out = planned->views + node->n_inputs,
                          .n_in = node->n_inputs,
                          .n_out = node->n_outputs,
                          .packed = (char *)glia__buffer_address(program, planned->packed) +
                                    (size_t)kind * planned->packed_bytes,
                          .step = step,
                          .node = node->name,
                          .err = err};
        glia_status status = planned->kernels[kind]->pack(planned->states[kind], &call);
        if (status != GLIA_OK) return name_failure(planned, status, err);
    }
    return GLIA_OK;
}

glia_status glia__program_pack(const glia_program *program, const glia_step *step, glia_error *err) {
    for (int64_t i = 0; i < program->n_segments; i++) {
        const glia_segment *s = &program->segments[i];
        for (int64_t c = s->first; c < s->end; c++)
            if (program->calls[c].packed >= 0) GLIA_TRY(pack_call(program, s, &program->calls[c], step, err));
    }
    return GLIA_OK;
}

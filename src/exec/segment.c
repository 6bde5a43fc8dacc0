/* segment.c: cuts the calls of a program in segments, chunks and lanes; chooses the kernel of every call for its kind of chunk; and
 * gives workers their memory. */

#include <stdio.h>

#include "exec/cost.h"

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
}

/* --- kernels ---------------------------------------------------------------------------------------------- */

/* Inputs that are parameters, as they are or seen in another shape, or made of parameters by the prologue. Its own calls run
 * before anything is packed. */
static uint32_t params_of(const glia_program *program, const glia_planned_call *call) {
    uint32_t params = 0;
    if (call - program->calls < program->n_prologue) return 0;
    for (int i = 0; i < call->node->n_inputs; i++) {
        if (call->buffers[i] < 0) continue;
        const glia_buffer *buffer = &program->buffers[call->buffers[i]];
        const bool param = buffer->source && buffer->source->kind == GLIA_VALUE_PARAM;
        if (param || buffer->kept) params |= 1u << i;
    }
    return params;
}

/* The question to kernels about a chunk of `rows`; `types` has room for every operand. */
static glia_kernel_query query_for(const glia_program *program, const glia_planned_call *call, int64_t rows,
                                   int threads, glia_type *types) {
    glia__cut_types(call, rows, types);
    return (glia_kernel_query){.op = call->node->op,
                               .attrs = call->node->attrs,
                               .in = types,
                               .out = types + call->node->n_inputs,
                               .n_in = call->node->n_inputs,
                               .n_out = call->node->n_outputs,
                               .params = params_of(program, call),
                               .threads = threads,
                               .training = program->options.training == GLIA_YES,
                               .allocator = program->allocator};
}

static const glia_kernel *choose(const glia_program *program, const glia_kernel_query *query) {
    if (program->options.reference == GLIA_YES) return NULL;
    return glia__kernel_choose(query, program->trace ? stderr : NULL);
}

static glia_status make_state(const glia_planned_call *call, const glia_kernel *kernel,
                              const glia_kernel_query *query, void **state, glia_kernel_needs *most,
                              glia_error *err) {
    glia_kernel_needs needs = {0};
    if (kernel && kernel->init)
        GLIA_TRY(kernel->init(query, state, &needs, err));
    else if (!kernel && call->node->op->workspace)
        needs.workspace_bytes = call->node->op->workspace(query->in, query->out, call->node->attrs);
    most->workspace_bytes = GLIA_MAX(most->workspace_bytes, needs.workspace_bytes);
    most->packed_bytes = GLIA_MAX(most->packed_bytes, needs.packed_bytes);
    return GLIA_OK;
}

/* The kernels of a call for whole chunks and for a smaller last one, with a state for every worker. */
static glia_status make_states(glia_program *program, const glia_segment *s, glia_planned_call *call,
                               glia_kernel_needs *needs, glia_error *err) {
    glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    const int64_t sizes[2] = {s->chunk, s->rows % s->chunk};
    call->states = glia__arena_alloc(&program->arena, 2 * (size_t)s->workers * sizeof *call->states);
    call->seconds = glia__arena_alloc(&program->arena, (size_t)s->workers * sizeof *call->seconds);
    if (!call->states || !call->seconds) return out_of_memory(err);
    for (int kind = 0; kind < 2 && (kind == 0 || sizes[kind]); kind++) {
        glia_kernel_query query = query_for(program, call, sizes[kind], 1, types);
        call->kernels[kind] = choose(program, &query);
        if (s->chunks == 1 && call->kernels[kind] && call->kernels[kind]->own_threads)
            query.threads = program->options.threads;
        for (int w = 0; w < s->workers; w++)
            GLIA_TRY(make_state(call, call->kernels[kind], &query, &call->states[2 * w + kind], needs, err));
    }
    return GLIA_OK;
}

/* --- memory ----------------------------------------------------------------------------------------------- */

static size_t sum_bytes(const glia_planned_call *call) {
    size_t bytes = 0;
    for (int o = 0; o < call->node->n_outputs; o++) {
        const glia_view *out = &call->views[call->node->n_inputs + o];
        bytes += glia__padded((size_t)glia_shape_elems(&out->shape) * glia_dtype_bytes(out->dtype));
    }
    return bytes;
}

/* Memory of one call beside its operands. */
static void add_needs(glia_program *program, const glia_segment *s, glia_planned_call *call,
                      const glia_kernel_needs *needs) {
    const int64_t now = call - program->calls;
    glia_buffer local = {.place = GLIA_PLACE_WORKER, .first = now, .last = now};
    if (needs->workspace_bytes) {
        local.bytes = needs->workspace_bytes;
        call->workspace = glia__program_add_buffer(program, local);
    }
    call->packed_bytes = glia__padded(needs->packed_bytes);
    const size_t kinds = s->rows % s->chunk ? 2 : 1; /* of chunks */
    if (needs->packed_bytes)
        call->packed = glia__program_add_buffer(
            program, (glia_buffer){.bytes = kinds * call->packed_bytes, .last = INT64_MAX});
    if (!call->cut.sums || s->chunks < 2) return;
    if (s->lanes > 1)
        call->lanes =
            glia__program_add_buffer(program, (glia_buffer){.bytes = (size_t)(s->lanes - 1) * sum_bytes(call),
                                                            .first = s->first,
                                                            .last = s->end - 1});
    if (s->chunks > s->lanes) {
        local.bytes = sum_bytes(call);
        call->sum = glia__program_add_buffer(program, local);
    }
}

/* The buffers of the workers' memory, from `first` buffer on, laid out; and the memory itself, for all workers. */
static glia_status add_worker_memory(glia_program *program, glia_segment *s, glia_error *err) {
    int *which = glia__arena_alloc(&program->arena, ((size_t)program->n_buffers + 1) * sizeof *which);
    int count = 0;
    if (!which) return out_of_memory(err);
    for (int b = 0; b < program->n_buffers; b++) {
        const glia_buffer *buffer = &program->buffers[b];
        bool ours = buffer->place == GLIA_PLACE_WORKER && buffer->first >= s->first && buffer->last < s->end;
        if (ours && buffer->bytes) which[count++] = b;
    }
    s->memory = -1;
    if (!count) return GLIA_OK;
    GLIA_TRY(glia__plan_offsets(program, which, count, &s->worker_bytes, err));
    s->worker_bytes = glia__padded(s->worker_bytes);
    s->memory = glia__program_add_buffer(
        program,
        (glia_buffer){.bytes = s->worker_bytes * (size_t)s->workers, .first = s->first, .last = s->end - 1});
    return GLIA_OK;
}

/* --- segments --------------------------------------------------------------------------------------------- */

/* A call by itself: whole, when its kernel shares the work among threads or there is too little of it; else cut. */
static glia_segment single(const glia_program *program, int64_t c) {
    glia_planned_call *call = &program->calls[c];
    glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    glia_segment s = {
        .first = c, .end = c + 1, .rows = GLIA_MAX(call->cut.rows, 1), .lanes = 1, .workers = 1};
    glia_kernel_query query = query_for(program, call, s.rows, program->options.threads, types);
    const glia_kernel *kernel = choose(program, &query);
    s.chunk = s.rows;
    s.chunks = 1;
    if (call->cut.rows < 2 || (kernel && kernel->own_threads)) return s;
    if (call->cut.sums && program->options.reference == GLIA_YES) return s; /* the very bits of ref */
    s.chunks = glia__cost_chunks(call);
    if (call->cut.sums) s.chunks = glia__cost_lanes(call, s.chunks);
    s.chunk = (s.rows + s.chunks - 1) / s.chunks;
    s.chunks = (s.rows + s.chunk - 1) / s.chunk;
    s.lanes = (int)s.chunks;
    s.workers = GLIA_MIN(program->options.threads, s.lanes);
    return s;
}

/* --- calls that are cut together -------------------------------------------------------------------------- */

/* What a group of calls, from the first on, did to a buffer. */
enum { UNTOUCHED = 0, WRITTEN_BY_ROWS = 1, WRITTEN_AS_SUM = 2, READ_WHOLE = 4 };

/* The cut of a call along `rows` rows, or one of 0 rows. Elementwise calls may be cut by rows too. */
static glia_cut cut_by_rows(const glia_planned_call *call, int64_t rows) {
    glia_cut cut = call->cut;
    const glia_shape *out = &call->views[call->node->n_inputs].shape;
    if (cut.flat && out->rank > 0 && out->dim[0] == rows) {
        cut.flat = false;
        cut.rows = rows;
    }
    if (cut.flat || cut.rows != rows) cut.rows = 0;
    return cut;
}

/* Whether the call, cut so, may follow the group: what the group made by rows it reads by the same rows, sums it does not
 * read, and it overwrites nothing that another chunk still reads whole. */
static bool may_join(const glia_planned_call *call, const glia_cut *cut, const unsigned char *touched) {
    const glia_node *node = call->node;
    if (!cut->rows) return false;
    for (int i = 0; i < node->n_inputs; i++) {
        if (call->buffers[i] < 0 || (node->op->shape_only >> i & 1)) continue;
        const unsigned char what = touched[call->buffers[i]];
        if (what & WRITTEN_AS_SUM || (what & WRITTEN_BY_ROWS && !(cut->inputs >> i & 1))) return false;
    }
    for (int o = 0; o < node->n_outputs; o++)
        if (touched[call->buffers[node->n_inputs + o]] & (READ_WHOLE | WRITTEN_AS_SUM)) return false;
    return true;
}

static void touch(const glia_planned_call *call, const glia_cut *cut, unsigned char *touched) {
    const glia_node *node = call->node;
    for (int i = 0; i < node->n_inputs; i++)
        if (call->buffers[i] >= 0 && !(cut->inputs >> i & 1)) touched[call->buffers[i]] |= READ_WHOLE;
    for (int o = 0; o < node->n_outputs; o++)
        touched[call->buffers[node->n_inputs + o]] |= cut->sums ? WRITTEN_AS_SUM : WRITTEN_BY_ROWS;
}

/* The longest group of calls from `first` on that may be cut together along `rows`; sets their cuts. */
static int64_t grow_group(glia_program *program, int64_t first, int64_t rows, unsigned char *touched) {
    const int64_t end = first < program->n_prologue ? program->n_prologue : program->n_calls;
    int64_t c = first;
    memset(touched, UNTOUCHED, (size_t)program->n_buffers);
    for (; c < end; c++) {
        glia_planned_call *call = &program->calls[c];
        const glia_cut cut = cut_by_rows(call, rows);
        if (!may_join(call, &cut, touched)) break;
        touch(call, &cut, touched);
        call->cut = cut;
    }
    return c;
}

static bool is_local(const glia_program *program, const glia_segment *s, int b,
                     const unsigned char *touched) {
    const glia_buffer *buffer = &program->buffers[b];
    return buffer->place == GLIA_PLACE_BLOCK && buffer->first >= s->first && buffer->last < s->end &&
           (touched[b] & WRITTEN_BY_ROWS) && buffer->bytes > 0;
}

static void set_chunk(glia_segment *s, int64_t chunk, int threads) {
    enum { LANES = 8 };
    s->chunk = chunk;
    s->chunks = (s->rows + chunk - 1) / chunk;
    s->lanes = (int)GLIA_MIN(s->chunks, (int64_t)LANES);
    s->workers = GLIA_MIN(threads, s->lanes);
}

/* The best way to cut the group s->first … s->end together; false when each call is better by itself. */
static bool cut_together(const glia_program *program, glia_segment *s, const unsigned char *touched,
                         bool *local) {
    const double apart = glia__cost_apart(program, s->first, s->end);
    double best = apart;
    glia_segment found = *s;
    for (int b = 0; b < program->n_buffers; b++) local[b] = is_local(program, s, b, touched);
    for (int64_t chunk = 4; 2 * chunk <= s->rows && chunk <= 256; chunk *= 2) {
        glia_segment trial = *s;
        set_chunk(&trial, chunk, program->options.threads);
        const double seconds = glia__cost_segment(program, &trial, local);
        if (seconds >= best) continue;
        best = seconds;
        found = trial;
    }
    *s = found;
    return best < apart;
}

/* Values that live in one chunk only go to the workers' memory; the others live as long as the segment. */
static void place_values(glia_program *program, const glia_segment *s, const bool *local) {
    for (int b = 0; b < program->n_buffers; b++) {
        glia_buffer *buffer = &program->buffers[b];
        if (local[b]) {
            program->unplanned_bytes += glia__padded(buffer->bytes);
            buffer->bytes = buffer->bytes / (size_t)s->rows * (size_t)s->chunk;
            buffer->place = GLIA_PLACE_WORKER;
            continue;
        }
        if (buffer->first > s->first && buffer->first < s->end) buffer->first = s->first;
        if (buffer->last >= s->first && buffer->last < s->end) buffer->last = s->end - 1;
    }
}

/* A segment of several calls from call `first` on, when that is faster than each by itself. */
static glia_status group(glia_program *program, int64_t first, glia_segment *s, bool *found,
                         glia_error *err) {
    const glia_planned_call *call = &program->calls[first];
    const glia_shape *out = &call->views[call->node->n_inputs].shape;
    const int64_t rows = call->cut.flat && out->rank > 0 ? out->dim[0] : call->cut.rows;
    *found = false;
    bool alone = program->options.reference == GLIA_YES || program->options.check_finite == GLIA_YES;
    if (alone || rows < 2) return GLIA_OK;
    unsigned char *touched = glia__arena_alloc(&program->arena, (size_t)program->n_buffers);
    bool *local = glia__arena_alloc(&program->arena, (size_t)program->n_buffers);
    if (!touched || !local) return out_of_memory(err);
    *s = (glia_segment){.first = first, .end = grow_group(program, first, rows, touched), .rows = rows};
    *found = s->end > first + 1 && cut_together(program, s, touched, local);
    if (!*found) {
        for (int64_t c = first; c < s->end; c++)
            program->calls[c].cut = glia__call_cut(program->calls[c].node);
        return GLIA_OK;
    }
    for (int64_t c = first; c < s->end; c++)
        program->calls[c].predicted = glia__cost_in_segment(program, s, &program->calls[c], local);
    place_values(program, s, local);
    return GLIA_OK;
}

static glia_status finish_segment(glia_program *program, glia_segment *s, glia_error *err) {
    for (int64_t c = s->first; c < s->end; c++) {
        glia_kernel_needs needs = {0};
        GLIA_TRY(make_states(program, s, &program->calls[c], &needs, err));
        add_needs(program, s, &program->calls[c], &needs);
    }
    return add_worker_memory(program, s, err);
}

static void measure(const glia_program *program, glia_planned_call *call) {
    const glia_node *node = call->node;
    glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS];
    call->cut = glia__call_cut(node);
    glia__cut_types(call, call->cut.rows, types);
    const glia_type *out = types + node->n_inputs;
    call->flops =
        node->op->flops ? node->op->flops(types, out, node->attrs) : (double)glia_shape_elems(&out[0].shape);
    if (node->op->bytes) call->bytes = node->op->bytes(types, out, node->attrs);
    const glia_kernel_query query = query_for(program, call, call->cut.rows, 1, types);
    const bool plain = program->options.reference == GLIA_YES;
    const glia_kernel *kernel = plain ? NULL : glia__kernel_choose(&query, NULL);
    call->gflops = kernel ? kernel->gflops : GLIA_REF_GFLOPS;
}

glia_status glia__program_segment(glia_program *program, glia_error *err) {
    for (int64_t c = 0; c < program->n_calls; c++) measure(program, &program->calls[c]);
    for (int64_t c = 0; c < program->n_calls; c = program->segments[program->n_segments - 1].end) {
        glia_segment *s = &program->segments[program->n_segments++];
        bool found;
        GLIA_TRY(group(program, c, s, &found, err));
        if (!found) {
            *s = single(program, c);
            program->calls[c].predicted = glia__cost_call(&program->calls[c]);
        }
        GLIA_TRY(finish_segment(program, s, err));
    }
    return GLIA_OK;
}

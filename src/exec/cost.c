/* cost.c: the cost model, see cost.h. Figures are of one core of a server processor with AVX-512 (2 MB of L2), rounded; they
 * decide between ways that differ by factors, so a core that is twice as slow gets nearly the same plans. */

#include "exec/cost.h"

#include <math.h>

static const double FLOPS_PER_SECOND =
    180e9; /* f32: products in own kernels 120 – 170, in oneDNN 180 – 230 */
static const double BF16_FLOPS_PER_SECOND = 1500e9; /* on AMX */
static const double BYTES_PER_SECOND = 15e9;        /* memory beyond the caches */
static const double SHARED_BYTES_PER_SECOND = 25e9; /* the cache of all cores */
static const double OWN_BYTES_PER_SECOND = 60e9;    /* a core's own cache */
static const double SHARED_BYTES = 30e6;
static const double OWN_BYTES = 1e6;    /* half of it, or less */
static const double CHUNK_BYTES = 4e6;  /* what does not stay near is not worth cutting together */
static const double FORK_JOIN = 3e-6;   /* seconds of all workers, once a segment */
static const double CALL = 0.5e-6;      /* seconds to begin a call */
static const double LEAST_CHUNK = 8e-6; /* seconds: a fork and join costs 2 – 3 µs */
static const double SUM_SHARE = 0.1;    /* of a call's time may go to adding up its lanes */
enum { MOST_CHUNKS = 16 };

/* How fast so many bytes move that were all in use a moment ago. */
static double speed_of(double bytes) {
    return bytes < OWN_BYTES      ? OWN_BYTES_PER_SECOND
           : bytes < SHARED_BYTES ? SHARED_BYTES_PER_SECOND
                                  : BYTES_PER_SECOND;
}

static double compute(const glia_planned_call *call) {
    bool bf16 = false;
    if (call->gflops > 0) return call->flops / (1e9 * call->gflops);
    for (int i = 0; i < call->node->n_inputs + call->node->n_outputs; i++)
        bf16 |= call->buffers[i] >= 0 && call->views[i].dtype == GLIA_BF16;
    return call->flops / (bf16 ? BF16_FLOPS_PER_SECOND : FLOPS_PER_SECOND);
}

double glia__cost_call(const glia_planned_call *call) {
    return GLIA_MAX(compute(call), call->bytes / speed_of(call->bytes));
}

double glia__cost_apart(const glia_program *program, int64_t first, int64_t end) {
    double seconds = 0;
    for (int64_t c = first; c < end; c++) seconds += glia__cost_call(&program->calls[c]) + FORK_JOIN + CALL;
    return seconds;
}

static double operand_bytes(const glia_planned_call *call, int operand) {
    const glia_view *view = &call->views[operand];
    return (double)glia_shape_elems(&view->shape) * (double)glia_dtype_bytes(view->dtype);
}

/* Bytes of one chunk in the worker's memory, as if nothing were reused. */
static double chunk_bytes(const glia_program *program, const glia_segment *s, const bool *local) {
    double bytes = 0;
    for (int b = 0; b < program->n_buffers; b++)
        if (local[b]) bytes += (double)program->buffers[b].bytes * (double)s->chunk / (double)s->rows;
    return bytes;
}

/* Seconds that one chunk of a call spends on moving its operands. */
static double move_chunk(const glia_segment *s, const glia_planned_call *call, const bool *local, bool fits) {
    const double share = (double)s->chunk / (double)s->rows;
    double seconds = 0;
    for (int i = 0; i < call->node->n_inputs + call->node->n_outputs; i++) {
        if (call->buffers[i] < 0) continue;
        const bool output = i >= call->node->n_inputs;
        const bool whole = output ? call->cut.sums : !(call->cut.inputs >> i & 1);
        const double all = operand_bytes(call, i), bytes = all * (whole ? 1 : share);
        const bool near = (whole && bytes < OWN_BYTES) || (local[call->buffers[i]] && fits);
        seconds += bytes / (near ? OWN_BYTES_PER_SECOND : GLIA_MIN(speed_of(all), SHARED_BYTES_PER_SECOND));
    }
    return seconds;
}

/* Sums are added to their lane by every chunk but the first of it, and the lanes to one another. */
static double add_sums(const glia_segment *s, const glia_planned_call *call) {
    double bytes = 0;
    for (int o = 0; call->cut.sums && o < call->node->n_outputs; o++)
        bytes += operand_bytes(call, call->node->n_inputs + o);
    return bytes * (double)s->chunks / SHARED_BYTES_PER_SECOND;
}

double glia__cost_in_segment(const glia_program *program, const glia_segment *s,
                             const glia_planned_call *call, const bool *local) {
    const bool fits = chunk_bytes(program, s, local) <= OWN_BYTES;
    const double chunk = CALL + GLIA_MAX(compute(call) / (double)s->chunks, move_chunk(s, call, local, fits));
    return (double)s->chunks * chunk + add_sums(s, call);
}

double glia__cost_segment(const glia_program *program, const glia_segment *s, const bool *local) {
    double seconds = FORK_JOIN;
    const double near = chunk_bytes(program, s, local);
    if (near == 0 || near > CHUNK_BYTES) return INFINITY;
    for (int64_t c = s->first; c < s->end; c++)
        seconds += glia__cost_in_segment(program, s, &program->calls[c], local);
    return seconds;
}

int64_t glia__cost_chunks(const glia_planned_call *call) {
    int64_t worth = (int64_t)(glia__cost_call(call) / LEAST_CHUNK);
    return GLIA_MAX(1, GLIA_MIN(GLIA_MIN(worth, call->cut.rows), (int64_t)MOST_CHUNKS));
}

int glia__cost_lanes(const glia_planned_call *call, int64_t chunks) {
    double sum_bytes = 0;
    for (int o = 0; o < call->node->n_outputs; o++) {
        const glia_view *out = &call->views[call->node->n_inputs + o];
        sum_bytes += (double)glia_shape_elems(&out->shape) * (double)glia_dtype_bytes(out->dtype);
    }
    /* A lane is written once and read once. */
    double affordable = SUM_SHARE * glia__cost_call(call) * BYTES_PER_SECOND / (2 * sum_bytes + 1);
    double most = GLIA_MIN((double)GLIA_MIN(chunks, (int64_t)GLIA_MOST_LANES), affordable);
    return most < 2 ? (int)GLIA_MIN(chunks, 2) : (int)most;
}

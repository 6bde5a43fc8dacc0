/* cost.c: the cost model, see cost.h. Figures are of one core of a server processor with AVX-512 (2 MB of L2), rounded; they
 * decide between ways that differ by factors, so a core that is twice as slow gets nearly the same plans. */

#include "exec/cost.h"

static const double FLOPS_PER_SECOND = 100e9; /* f32, as own kernels and oneDNN reach on middling shapes */
static const double BYTES_PER_SECOND = 15e9;  /* memory beyond the caches; peak is 16 – 26 */
static const double LEAST_CHUNK = 8e-6;       /* seconds: a fork and join costs 2 – 3 µs */
static const double SUM_SHARE = 0.1;          /* of a call's time may go to adding up its lanes */
enum { MOST_CHUNKS = 16, MOST_LANES = 16 };

double glia__cost_call(const glia_planned_call *call) {
    return GLIA_MAX(call->flops / FLOPS_PER_SECOND, call->bytes / BYTES_PER_SECOND);
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
    double most = GLIA_MIN((double)GLIA_MIN(chunks, (int64_t)MOST_LANES), affordable);
    return most < 2 ? (int)GLIA_MIN(chunks, 2) : (int)most;
}

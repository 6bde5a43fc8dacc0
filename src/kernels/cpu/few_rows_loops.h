/* few_rows_loops.h: the inner loops of few_rows.c for one width of vector, by each_isa.h. The order of additions of an element
 * depends on the width of the rows alone. */

typedef uint32_t NAME(words) __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef uint16_t NAME(halves) __attribute__((vector_size(VECTOR_BYTES / 2), aligned(2), may_alias));
enum { NAME(LANES) = VECTOR_BYTES / sizeof(float) };
#define LANES NAME(LANES)

TARGET GLIA_CPU_INLINE V NAME(weights_at)(const few_rows_job *j, int64_t at, const bool halved) {
    if (!halved) return *(const V *)((const float *)j->w + at);
    const NAME(halves) upper = *(const NAME(halves) *)((const uint16_t *)j->w + at);
    return (V)(__builtin_convertvector(upper, NAME(words)) << 16);
}

/* Outputs [o, o + outs) of `rows` rows. */
TARGET GLIA_CPU_INLINE void NAME(tile)(const few_rows_job *j, int64_t row, int64_t o, const int rows,
                                       const int outs, const bool halved) {
    const int64_t width = j->width, whole = width / LANES * LANES;
    const float *x = j->x + row * width;
    V sums[ROW_TILE][OUT_TILE];
    GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int k = 0; k < outs; k++) sums[r][k] = (V){0};
    for (int64_t at = 0; at < whole; at += LANES) GLIA_UNROLL for (int k = 0; k < outs; k++) {
            const V w = NAME(weights_at)(j, (o + k) * width + at, halved);
            __builtin_prefetch((const char *)j->w + ((o + k + AHEAD) * width + at) * (halved ? 2 : 4));
            GLIA_UNROLL for (int r = 0; r < rows; r++) sums[r][k] += *(const V *)(x + r * width + at) * w;
        }
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < outs; k++) {
            float lanes[LANES];
            memcpy(lanes, &sums[r][k], sizeof lanes);
            GLIA_UNROLL for (int half = LANES / 2; half > 0; half /= 2) for (int lane = 0; lane < half;
                                                                             lane++) lanes[lane] +=
                lanes[lane + half];
            float sum = lanes[0];
            for (int64_t at = whole; at < width; at++)
                sum += x[r * width + at] * glia__load(j->w, (o + k) * width + at, halved);
            finish(j, row + r, o + k, sum);
        }
}

TARGET GLIA_CPU_INLINE void NAME(outs)(const few_rows_job *j, int64_t o, const int outs, const bool halved) {
    int64_t row = 0;
    for (; row + ROW_TILE <= j->rows; row += ROW_TILE) NAME(tile)(j, row, o, ROW_TILE, outs, halved);
    for (; row < j->rows; row++) NAME(tile)(j, row, o, 1, outs, halved);
}

TARGET static void NAME(multiply)(const few_rows_job *j, int64_t begin, int64_t end) {
    int64_t o = begin;
    if (j->halved) {
        for (; o + OUT_TILE <= end; o += OUT_TILE) NAME(outs)(j, o, OUT_TILE, true);
        for (; o < end; o++) NAME(outs)(j, o, 1, true);
    } else {
        for (; o + OUT_TILE <= end; o += OUT_TILE) NAME(outs)(j, o, OUT_TILE, false);
        for (; o < end; o++) NAME(outs)(j, o, 1, false);
    }
}

#undef LANES

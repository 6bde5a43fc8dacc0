/* product_tiles.h: the inner loops of small and narrow matrix products, for one width of vector, by each_isa.h
 * from products.c.
 *
 * Sums stay in registers: up to ROW_TILE × 5 of them in a product of rows by rows, up to 5 × 2 in one of rows by
 * columns. The order of additions of an element depends on the inner dimension alone, not on how rows were cut. */

enum { NAME(LANES) = sizeof(V) / sizeof(float), NAME(ROW_TILE) = sizeof(V) == 64 ? 4 : 2 };
#define LANES    NAME(LANES)
#define ROW_TILE NAME(ROW_TILE)

/* --- rows by rows: y[r][o] = Σ_k x[r][k]·w[o][k] ---------------------------------------------------------- */

/* Adds k in [0, n), a multiple of LANES, to the lanes of sums[rows][outs]; `width` is that of x and w. */
TARGET GLIA_CPU_INLINE void NAME(dot_tile)(const float *x, const float *w, int64_t width, int64_t n,
                                           float *sums, int64_t sums_step, const int rows, const int outs) {
    V s[ROW_TILE][MOST_TILE];
    GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int o = 0; o < outs; o++) s[r][o] =
        *(const V *)(sums + (r * sums_step + o) * LANES);
    for (int64_t k = 0; k < n; k += LANES) {
        V a[ROW_TILE];
        GLIA_UNROLL for (int r = 0; r < rows; r++) a[r] = *(const V *)(x + r * width + k);
        GLIA_UNROLL for (int o = 0; o < outs; o++) {
            const V b = *(const V *)(w + o * width + k);
            GLIA_UNROLL for (int r = 0; r < rows; r++) s[r][o] += a[r] * b;
        }
    }
    GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int o = 0; o < outs; o++) *
        (V *)(sums + (r * sums_step + o) * LANES) = s[r][o];
}

/* The same with `outs` known only now. */
TARGET GLIA_CPU_INLINE void NAME(dot_outs)(const float *x, const float *w, int64_t width, int64_t n,
                                           float *sums, int64_t sums_step, const int rows, int outs) {
    switch (outs) {
    case 1:
        NAME(dot_tile)(x, w, width, n, sums, sums_step, rows, 1);
        break;
    case 2:
        NAME(dot_tile)(x, w, width, n, sums, sums_step, rows, 2);
        break;
    case 3:
        NAME(dot_tile)(x, w, width, n, sums, sums_step, rows, 3);
        break;
    case 4:
        NAME(dot_tile)(x, w, width, n, sums, sums_step, rows, 4);
        break;
    default:
        NAME(dot_tile)(x, w, width, n, sums, sums_step, rows, 5);
        break;
    }
}

/* Lanes added up, what is left of k, bias and activation. */
TARGET static void NAME(finish_dots)(const dot_job *j, const float *sums) {
    const int64_t whole = j->width / LANES * LANES;
    for (int64_t r = 0; r < j->rows; r++)
        for (int64_t o = 0; o < j->outs; o++) {
            float lanes[LANES], sum = j->bias ? j->bias[o] : 0;
            memcpy(lanes, sums + (r * j->outs + o) * LANES, sizeof lanes);
            GLIA_UNROLL for (int half = LANES / 2; half > 0; half /= 2) for (int lane = 0; lane < half;
                                                                             lane++) lanes[lane] +=
                lanes[lane + half];
            for (int64_t k = whole; k < j->width; k++) sum += j->x[r * j->width + k] * j->w[o * j->width + k];
            sum += lanes[0];
            j->y[r * j->units + o] = j->relu && sum < 0 ? 0 : sum;
        }
}

TARGET static void NAME(dots)(const dot_job *j) {
    float sums[MOST_ROWS * MOST_OUTS * LANES];
    const int64_t whole = j->width / LANES * LANES;
    const int tile = even_tile(j->outs);
    memset(sums, 0, (size_t)(j->rows * j->outs * LANES) * sizeof(float));
    for (int64_t from = 0; from < whole; from += j->block) {
        const int64_t n = GLIA_MIN(j->block, whole - from);
        for (int64_t r = 0; r < j->rows;) {
            const int64_t rows = j->rows - r >= ROW_TILE ? ROW_TILE : 1;
            for (int64_t o = 0; o < j->outs; o += tile) {
                const float *x = j->x + r * j->width + from, *w = j->w + o * j->width + from;
                float *to = sums + (r * j->outs + o) * LANES;
                const int outs = (int)GLIA_MIN(tile, j->outs - o);
                if (rows == ROW_TILE)
                    NAME(dot_outs)(x, w, j->width, n, to, j->outs, ROW_TILE, outs);
                else
                    NAME(dot_outs)(x, w, j->width, n, to, j->outs, 1, outs);
            }
            r += rows;
        }
    }
    NAME(finish_dots)(j, sums);
}

/* --- rows by columns: c[m][n] = Σ_p a[m][p]·b[p][n] --------------------------------------------------------- */

/* `vectors` of the columns of `rows` rows. */
TARGET GLIA_CPU_INLINE void NAME(axpy_tile)(const axpy_job *j, const float *a, const float *b, float *c,
                                            const int rows, const int vectors) {
    V s[MOST_TILE][2];
    GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) s[r][v] =
        j->add ? *(const V *)(c + r * j->columns + v * LANES) : (V){0};
    for (int64_t p = 0; p < j->inner; p++) {
        V from[2];
        GLIA_UNROLL for (int v = 0; v < vectors; v++) from[v] = *(const V *)(b + p * j->columns + v * LANES);
        GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) s[r][v] +=
            a[r * j->a_row + p * j->a_step] * from[v];
    }
    GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) *
        (V *)(c + r * j->columns + v * LANES) = s[r][v];
}

/* Columns [begin, end) of `rows` rows from `row` on. */
TARGET GLIA_CPU_INLINE void NAME(axpy_columns)(const axpy_job *j, int64_t row, int64_t begin, int64_t end,
                                               const int rows) {
    const float *a = j->a + row * j->a_row, *b = j->b;
    float *c = j->c + row * j->columns;
    int64_t n = begin;
    for (; n + 2 * LANES <= end; n += 2 * LANES) NAME(axpy_tile)(j, a, b + n, c + n, rows, 2);
    for (; n + LANES <= end; n += LANES) NAME(axpy_tile)(j, a, b + n, c + n, rows, 1);
    for (; n < end; n++)
        for (int r = 0; r < rows; r++) {
            float sum = j->add ? c[r * j->columns + n] : 0;
            for (int64_t p = 0; p < j->inner; p++)
                sum += a[r * j->a_row + p * j->a_step] * b[p * j->columns + n];
            c[r * j->columns + n] = sum;
        }
}

TARGET static void NAME(axpys)(const axpy_job *j) {
    const int tile = even_tile(j->rows);
    for (int64_t begin = 0; begin < j->columns; begin += j->block) {
        const int64_t end = GLIA_MIN(begin + j->block, j->columns);
        for (int64_t row = 0; row < j->rows; row += tile) switch (GLIA_MIN(tile, j->rows - row)) {
            case 1:
                NAME(axpy_columns)(j, row, begin, end, 1);
                break;
            case 2:
                NAME(axpy_columns)(j, row, begin, end, 2);
                break;
            case 3:
                NAME(axpy_columns)(j, row, begin, end, 3);
                break;
            case 4:
                NAME(axpy_columns)(j, row, begin, end, 4);
                break;
            default:
                NAME(axpy_columns)(j, row, begin, end, 5);
                break;
            }
    }
}

#undef LANES
#undef ROW_TILE

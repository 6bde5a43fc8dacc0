/* panel_floats.h: products of rows and panels of floats for one width of vector, by each_isa.h from panels.c.
 *
 * The order in which an element's sum is added up depends on the matrix alone, not on how many rows there are. */

enum {
    NAME(LANES) = sizeof(V) / sizeof(float),
    NAME(VECTORS) = sizeof(V) == 64 ? 1 : 64 / sizeof(V), /* of a group */
    NAME(MOST_ROWS) = sizeof(V) == 64   ? 6
                      : sizeof(V) == 32 ? 4
                                        : 2 /* whose sums stay in registers */
};

/* k in [0, n) of `rows` rows and `groups` groups of columns: sums (+)= a·b. */
TARGET GLIA_CPU_INLINE void NAME(tile)(const float *a, int64_t a_stride, const float *b, int64_t columns,
                                       int64_t n, const float *begin, int64_t begin_stride, float *sums,
                                       const int rows, const int groups) {
    enum { LANES = NAME(LANES), MOST = NAME(MOST_ROWS), WIDE = NAME(VECTORS) * (sizeof(V) == 64 ? 4 : 1) };
    const int vectors = groups * NAME(VECTORS);
    V s[MOST][WIDE];
    GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) s[r][v] =
        begin ? *(const V *)(begin + r * begin_stride + v * LANES) : (V){0};
    for (int64_t k = 0; k < n; k++) {
        V from[WIDE];
        GLIA_UNROLL for (int v = 0; v < vectors; v++) from[v] = *(const V *)(b + k * columns + v * LANES);
        GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) s[r][v] +=
            a[r * a_stride + k] * from[v];
    }
    GLIA_UNROLL for (int r = 0; r < rows; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) *
        (V *)(sums + r * columns + v * LANES) = s[r][v];
}

/* `count` rows with as many tiles as it takes. */
TARGET GLIA_CPU_INLINE void NAME(rows)(const float *a, int64_t a_stride, const float *b, int64_t columns,
                                       int64_t n, const float *begin, int64_t begin_stride, float *sums,
                                       int64_t count, const int groups) {
    enum { MOST = NAME(MOST_ROWS) };
    int64_t r = 0;
#define TILE_OF(height)                                                                                \
    for (; r + (height) <= count; r += (height)) NAME(tile)                                            \
    (a + r * a_stride, a_stride, b, columns, n, begin ? begin + r * begin_stride : NULL, begin_stride, \
     sums + r * columns, height, groups)
    TILE_OF(MOST);
    TILE_OF(2);
    TILE_OF(1);
#undef TILE_OF
}

TARGET static void NAME(multiply)(const glia_panels *p, const float *panel, const float *a, int64_t a_stride,
                                  int64_t count, const float *bias, float *sums) {
    enum { DEPTH = 128, AT_ONCE = sizeof(V) == 64 ? 4 : 1 }; /* 128 rows of 64 columns: 32 KB */
    const int64_t columns = p->groups * PANEL_GROUP;
    for (int64_t k = 0; k == 0 || k < p->inner; k += DEPTH) {
        const int64_t n = p->inner - k < DEPTH ? p->inner - k : DEPTH;
        const float *begin = k ? sums : bias;
        const int64_t stride = k ? columns : 0;
        for (int64_t g = 0; g < p->groups; g += AT_ONCE) {
            const float *from = panel + k * columns + g * PANEL_GROUP,
                        *first = begin ? begin + g * PANEL_GROUP : NULL;
            float *to = sums + g * PANEL_GROUP;
            switch (AT_ONCE == 1 ? 1 : p->groups - g) {
            case 1:
                NAME(rows)(a + k, a_stride, from, columns, n, first, stride, to, count, 1);
                break;
#if VECTOR_BYTES == 64
            case 2:
                NAME(rows)(a + k, a_stride, from, columns, n, first, stride, to, count, 2);
                break;
            case 3:
                NAME(rows)(a + k, a_stride, from, columns, n, first, stride, to, count, 3);
                break;
            default:
                NAME(rows)(a + k, a_stride, from, columns, n, first, stride, to, count, 4);
                break;
#endif
            }
        }
    }
}

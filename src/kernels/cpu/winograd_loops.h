/* winograd_loops.h: the loops of winograd.c for one width of vector, by each_isa.h. */

enum {
    NAME(LANES) = sizeof(V) / sizeof(float),
    NAME(TILES) =
        sizeof(V) == 64 ? 12 : 6, /* of a product at a time: × 2 vectors, 24 of 32 registers or 12 of 16 */
    NAME(CHANNELS) = sizeof(V) == 64 ? 8 : 4 /* of a gradient's */
};
#define LANES       NAME(LANES)
#define TILES       NAME(TILES)
#define CHANNELS    NAME(CHANNELS)
#define INLINE      TARGET GLIA_CPU_INLINE
#define AT(place)   (*(V *)(place))
#define SEEN(place) (*(const V *)(place))

/* --- one row or column ----------------------------------------------------------------------------------- */

/* Bᵀ·d: polynomials with the roots that leave one point each. */
INLINE void NAME(see)(const V d[PATCH], V t[PATCH]) {
    const V even_a = d[4] - B2 * d[2], odd_a = A * (d[3] - B2 * d[1]);
    const V even_b = d[4] - A2 * d[2], odd_b = B * (d[3] - A2 * d[1]);
    t[0] = d[4] - (A2 + B2) * d[2] + (A2 * B2) * d[0];
    t[1] = even_a + odd_a;
    t[2] = even_a - odd_a;
    t[3] = even_b + odd_b;
    t[4] = even_b - odd_b;
    t[5] = d[5] - (A2 + B2) * d[3] + (A2 * B2) * d[1];
}

/* Aᵀ·m: the polynomial's value at each place. */
INLINE void NAME(return_)(const V m[PATCH], V y[TILE]) {
    const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = A * difference_a + B * difference_b;
    y[2] = A2 * sum_a + B2 * sum_b;
    y[3] = (A * A2) * difference_a + (B * B2) * difference_b + m[5];
}

/* A·y, its transpose. */
INLINE void NAME(see_gradient)(const V y[TILE], V m[PATCH]) {
    const V even_a = y[0] + A2 * y[2], odd_a = A * y[1] + (A * A2) * y[3];
    const V even_b = y[0] + B2 * y[2], odd_b = B * y[1] + (B * B2) * y[3];
    m[0] = y[0];
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
    m[5] = y[3];
}

/* --- to points and back ---------------------------------------------------------------------------------- */

/* Columns, then rows, of one patch. */
INLINE void NAME(spread_patch)(const float *const *pixel, int64_t c, float *to, int64_t plane) {
    V seen[PATCH][PATCH];
    for (int column = 0; column < PATCH; column++) {
        V d[PATCH], t[PATCH];
        for (int row = 0; row < PATCH; row++) d[row] = SEEN(pixel[row * PATCH + column] + c);
        NAME(see)(d, t);
        for (int row = 0; row < PATCH; row++) seen[row][column] = t[row];
    }
    for (int row = 0; row < PATCH; row++) {
        V t[PATCH];
        NAME(see)(seen[row], t);
        for (int column = 0; column < PATCH; column++) AT(to + (row * PATCH + column) * plane) = t[column];
    }
}

TARGET static void NAME(spread)(const glia_winograd_images *images, const float *x, int64_t first,
                                int64_t count, int64_t room, float *to) {
    const int64_t plane = glia__winograd_plane(room, images->channels);
    for (int64_t t = 0; t < count; t++) {
        const float *pixel[PATCH * PATCH];
        find_pixels(images, x, first + t, PATCH, pixel);
        for (int64_t c = 0; c < images->channels; c += LANES) NAME(spread_patch)
        (pixel, c, to + (c / BLOCK * room + t) * BLOCK + c % BLOCK, plane);
    }
}

INLINE void NAME(spread_tile)(const float *const *pixel, int64_t c, float *to, int64_t plane, float *bias) {
    V seen[PATCH][TILE], sum = AT(bias + c);
    for (int column = 0; column < TILE; column++) {
        V y[TILE], m[PATCH];
        for (int row = 0; row < TILE; row++) sum += y[row] = SEEN(pixel[row * TILE + column] + c);
        NAME(see_gradient)(y, m);
        for (int row = 0; row < PATCH; row++) seen[row][column] = m[row];
    }
    AT(bias + c) = sum;
    for (int row = 0; row < PATCH; row++) {
        V m[PATCH];
        NAME(see_gradient)(seen[row], m);
        for (int column = 0; column < PATCH; column++) AT(to + (row * PATCH + column) * plane) = m[column];
    }
}

TARGET static void NAME(spread_gradients)(const glia_winograd_images *images, const float *dy, int64_t first,
                                          int64_t count, int64_t room, float *to, float *bias) {
    const int64_t plane = glia__winograd_plane(room, images->channels);
    for (int64_t t = 0; t < count; t++) {
        const float *pixel[TILE * TILE];
        find_pixels(images, dy, first + t, TILE, pixel);
        for (int64_t c = 0; c < images->channels; c += LANES) NAME(spread_tile)
        (pixel, c, to + (c / BLOCK * room + t) * BLOCK + c % BLOCK, plane, bias);
    }
}

/* `at`: the channel's distance from where the tile begins. */
INLINE void NAME(gather_tile)(const float *from, int64_t plane, int64_t at, const tile_place *p,
                              const glia_winograd_finish *finish, int64_t o, float *y) {
    V back[TILE][PATCH];
    for (int column = 0; column < PATCH; column++) {
        V m[PATCH], t[TILE];
        for (int row = 0; row < PATCH; row++) m[row] = SEEN(from + (row * PATCH + column) * plane);
        NAME(return_)(m, t);
        for (int row = 0; row < TILE; row++) back[row][column] = t[row];
    }
    for (int row = 0; row < p->height; row++) {
        V t[TILE];
        NAME(return_)(back[row], t);
        for (int column = 0; column < p->width; column++) {
            const int64_t to = at + row * p->row_step + column * p->pixel_step;
            V value = t[column];
            if (finish->bias) value += SEEN(finish->bias + o);
            if (finish->residual) value += SEEN(finish->residual + to);
            if (finish->relu) value = (V)(~(value < 0) & (__typeof__(value < 0))value);
            AT(y + to) = value;
        }
    }
}

TARGET static void NAME(gather)(const glia_winograd_images *images, const float *from, int64_t first,
                                int64_t count, int64_t room, const glia_winograd_finish *finish, float *y) {
    const int64_t plane = glia__winograd_plane(room, images->channels);
    for (int64_t t = 0; t < count; t++) {
        const tile_place p = find_tile(images, first + t);
        for (int64_t o = 0; o < images->channels && p.height; o += LANES) NAME(gather_tile)
        (from + (o / BLOCK * room + t) * BLOCK + o % BLOCK, plane, p.begin + o, &p, finish, o, y);
    }
}

/* --- products -------------------------------------------------------------------------------------------- */

/* TILES tiles, 2 vectors of results: sums in registers. `gap`: floats from block to block of channels. */
INLINE void NAME(multiply_tiles)(const float *from, int64_t gap, const float *weights, int64_t channels,
                                 float *to, float *to_second) {
    V s[TILES][2] = {{{0}}};
    for (int64_t block = 0; block < channels; block += BLOCK, from += gap)
        for (int c = 0; c < BLOCK; c++, weights += PANEL) {
            const V first = SEEN(weights), second = SEEN(weights + LANES);
            GLIA_UNROLL for (int t = 0; t < TILES; t++) {
                s[t][0] += from[t * BLOCK + c] * first;
                s[t][1] += from[t * BLOCK + c] * second;
            }
        }
    GLIA_UNROLL for (int t = 0; t < TILES; t++) {
        AT(to + t * BLOCK) = s[t][0];
        AT(to_second + t * BLOCK) = s[t][1];
    }
}

TARGET static void NAME(multiply)(const float *from, const float *weights, int64_t tiles, int64_t channels,
                                  int64_t outs, float *to) {
    const int64_t from_plane = glia__winograd_plane(tiles, channels),
                  to_plane = glia__winograd_plane(tiles, outs), gap = tiles * BLOCK;
    for (int point = 0; point < WINOGRAD_POINTS; point++, from += from_plane, to += to_plane)
        for (int64_t o = 0; o < outs; o += PANEL, weights += channels * PANEL)
            for (int part = 0; part < PANEL; part += 2 * LANES)
                for (int64_t t = 0; t < tiles; t += TILES) {
                    const int64_t one = o + part, two = o + part + LANES;
                    NAME(multiply_tiles)
                    (from + t * BLOCK, gap, weights + part, channels,
                     to + one / BLOCK * gap + one % BLOCK + t * BLOCK,
                     to + two / BLOCK * gap + two % BLOCK + t * BLOCK);
                }
}

/* CHANNELS channels, 2 vectors of results. */
INLINE void NAME(add_channels)(const float *x, const float *dy, const float *dy_second, int64_t tiles,
                               bool add, float *weights) {
    V s[CHANNELS][2];
    GLIA_UNROLL for (int c = 0; c < CHANNELS; c++) {
        s[c][0] = add ? AT(weights + c * PANEL) : (V){0};
        s[c][1] = add ? AT(weights + c * PANEL + LANES) : (V){0};
    }
    for (int64_t t = 0; t < tiles; t++, x += BLOCK, dy += BLOCK, dy_second += BLOCK) {
        const V first = SEEN(dy), second = SEEN(dy_second);
        GLIA_UNROLL for (int c = 0; c < CHANNELS; c++) {
            s[c][0] += x[c] * first;
            s[c][1] += x[c] * second;
        }
    }
    GLIA_UNROLL for (int c = 0; c < CHANNELS; c++) {
        AT(weights + c * PANEL) = s[c][0];
        AT(weights + c * PANEL + LANES) = s[c][1];
    }
}

TARGET static void NAME(add_products)(const float *x, const float *dy, int64_t tiles, int64_t channels,
                                      bool add, float *weights) {
    const int64_t gap = tiles * BLOCK;
    for (int part = 0; part < PANEL; part += 2 * LANES) {
        const int one = part, two = part + LANES;
        for (int64_t c = 0; c < channels; c += CHANNELS) NAME(add_channels)
        (x + c / BLOCK * gap + c % BLOCK, dy + one / BLOCK * gap + one % BLOCK,
         dy + two / BLOCK * gap + two % BLOCK, tiles, add, weights + c * PANEL + part);
    }
}

#undef LANES
#undef INLINE
#undef AT
#undef SEEN
#undef TILES
#undef CHANNELS

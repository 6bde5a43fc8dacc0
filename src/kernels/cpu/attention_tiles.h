/* attention_tiles.h: the inner loops of attention, for one width of vector, by each_isa.h from attention.c. */

enum { NAME(LANES) = sizeof(V) / sizeof(float), NAME(ROW_TILE) = sizeof(V) == 64 ? 8 : 4 };
#define LANES    NAME(LANES)
#define ROW_TILE NAME(ROW_TILE)

/* --- products ------------------------------------------------------------------------------------------------- */

/* ROW_TILE rows of `vectors` vectors: c (+)= a·b. */
TARGET GLIA_CPU_INLINE void NAME(tile)(const product *p, const float *a, const float *b, float *c,
                                       const int vectors) {
    V s[ROW_TILE][2];
    GLIA_UNROLL for (int r = 0; r < ROW_TILE; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) s[r][v] =
        p->add ? *(const V *)(c + r * p->c_row + v * LANES) : (V){0};
    for (int64_t k = 0; k < p->inner; k++) {
        V from[2];
        GLIA_UNROLL for (int v = 0; v < vectors; v++) from[v] = *(const V *)(b + k * p->b_row + v * LANES);
        GLIA_UNROLL for (int r = 0; r < ROW_TILE; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++)
            s[r][v] += a[r * p->a_row + k * p->a_step] * from[v];
    }
    GLIA_UNROLL for (int r = 0; r < ROW_TILE; r++) GLIA_UNROLL for (int v = 0; v < vectors; v++) *
        (V *)(c + r * p->c_row + v * LANES) = s[r][v];
}

TARGET static void NAME(multiply)(const product *p) {
    for (int64_t r = 0; r < p->rows; r += ROW_TILE) {
        const float *a = p->a + r * p->a_row;
        float *c = p->c + r * p->c_row;
        int64_t j = 0;
        for (; j + 2 * LANES <= p->columns; j += 2 * LANES) NAME(tile)(p, a, p->b + j, c + j, 2);
        for (; j < p->columns; j += LANES) NAME(tile)(p, a, p->b + j, c + j, 1);
    }
}

/* --- arrays to blocks ------------------------------------------------------------------------------------------- */

/* Rows of an array, `size` long and `step` apart, to rows of `width`; zeros to the right and below. */
TARGET GLIA_CPU_INLINE void NAME(load_of)(const block_rows *from, float factor, float *restrict to,
                                          int64_t width, const bool bf16) {
    for (int64_t i = 0; i < BLOCK; i++, to += width) {
        int64_t d = 0;
        if (i < from->count)
            for (; d < from->size; d++)
                to[d] = glia__load(from->data, from->at + i * from->step + d, bf16) * factor;
        for (; d < width; d++) to[d] = 0;
    }
}

/* The same turned: to[d·BLOCK + i], with zeros for rows that are not there. */
TARGET GLIA_CPU_INLINE void NAME(turn_of)(const block_rows *from, float *restrict to, const bool bf16) {
    for (int64_t i = 0; i < BLOCK; i++)
        if (i < from->count)
            for (int64_t d = 0; d < from->size; d++)
                to[d * BLOCK + i] = glia__load(from->data, from->at + i * from->step + d, bf16);
        else
            for (int64_t d = 0; d < from->size; d++) to[d * BLOCK + i] = 0;
}

TARGET static void NAME(load)(const block_rows *from, float factor, float *to, int64_t width) {
    from->bf16 ? NAME(load_of)(from, factor, to, width, true) : NAME(load_of)(from, factor, to, width, false);
}

TARGET static void NAME(turn)(const block_rows *from, float *to) {
    from->bf16 ? NAME(turn_of)(from, to, true) : NAME(turn_of)(from, to, false);
}

TARGET static void NAME(store)(const block_rows *to, const float *from, int64_t width, float factor) {
    for (int64_t i = 0; i < to->count; i++, from += width)
        if (to->bf16)
            for (int64_t d = 0; d < to->size; d++)
                glia__store(to->data, to->at + i * to->step + d, from[d] * factor, true);
        else
            for (int64_t d = 0; d < to->size; d++)
                glia__store(to->data, to->at + i * to->step + d, from[d] * factor, false);
}

/* --- scores ----------------------------------------------------------------------------------------------------- */

/* scores = q·kᵀ of a block of queries and one of keys, with what is not seen −∞. */
TARGET static void NAME(score)(const attention_job *j, const place *at, const attention_blocks *b) {
    NAME(multiply)
    (&(product){.a = b->q,
                .b = b->k_turned,
                .c = b->scores,
                .a_row = b->q_width,
                .a_step = 1,
                .b_row = BLOCK,
                .c_row = BLOCK,
                .rows = BLOCK,
                .inner = j->a.q.size,
                .columns = BLOCK});
    for (int64_t i = 0; i < at->queries; i++) {
        float *restrict row = b->scores + i * BLOCK;
        const int64_t seen = seen_keys(j, at, at->query + i) - at->key;
        if (j->mask.data) add_mask(j, at, i, row);
        for (int64_t k = GLIA_MAX(seen, (int64_t)0); k < BLOCK; k++) row[k] = -INFINITY;
    }
}

/* --- dropout ------------------------------------------------------------------------------------------------------ */

/* A function of its own: unrolled into its callers the compiler would not find the vectors in it. */
TARGET static __attribute__((noinline)) void NAME(draw)(glia_random random, uint64_t first, uint32_t *words) {
    glia__random_tile(random, first, words);
}

/* What weights of query i of the block are multiplied by, m: 0 or 1/(1 − dropout). */
TARGET static void NAME(keep)(const attention_job *j, const place *at, int64_t i, float *restrict kept) {
    uint32_t words[BLOCK];
    for (int k = 0; k < BLOCK; k++) kept[k] = j->drop.scale;
    if (!j->drop.dropped) return;
    const uint64_t tile = glia__attention_tile(&j->drop, &j->a, at->n, at->head, at->query + i, at->key);
    NAME(draw)(j->drop.random, tile, words);
    for (int k = 0; k < BLOCK; k++) kept[k] = words[k] < j->drop.dropped ? 0 : kept[k];
}

/* --- forward ------------------------------------------------------------------------------------------------------ */

/* Scores become e^(score − the largest so far), and what was summed before is brought to the same. */
TARGET static void NAME(exponentials)(const attention_job *j, const place *at, const attention_blocks *b) {
    for (int64_t i = 0; i < at->queries; i++) {
        float *restrict row = b->scores + i * BLOCK, *restrict sum = b->y + i * b->v_width;
        float lanes[16], most = b->most[i], total = 0;
        for (int l = 0; l < 16; l++) lanes[l] = row[l];
        for (int k = 16; k < BLOCK; k += 16)
            for (int l = 0; l < 16; l++) lanes[l] = row[k + l] > lanes[l] ? row[k + l] : lanes[l];
        for (int l = 0; l < 16; l++) most = lanes[l] > most ? lanes[l] : most;
        if (!(most > -INFINITY)) { /* nothing is seen yet */
            for (int k = 0; k < BLOCK; k++) row[k] = row[k] != row[k] ? row[k] : 0;
            most = -INFINITY;
            for (int k = 0; k < BLOCK; k++) total += row[k];
            b->total[i] += total;
            continue;
        }
        for (int l = 0; l < 16; l++) lanes[l] = 0;
        for (int k = 0; k < BLOCK; k += 16)
            for (int l = 0; l < 16; l++) {
                row[k + l] = glia__expf(row[k + l] - most);
                lanes[l] += row[k + l];
            }
        for (int l = 0; l < 16; l++) total += lanes[l];
        const float factor = glia__expf(b->most[i] - most);
        if (factor != 1)
            for (int64_t d = 0; d < b->v_width; d++) sum[d] *= factor;
        b->total[i] = b->total[i] * factor + total;
        b->most[i] = most;
    }
    (void)j;
}

TARGET static void NAME(drop)(const attention_job *j, const place *at, const attention_blocks *b) {
    for (int64_t i = 0; i < at->queries; i++) {
        float *restrict row = b->scores + i * BLOCK, kept[BLOCK];
        NAME(keep)(j, at, i, kept);
        for (int k = 0; k < BLOCK; k++) row[k] *= kept[k];
    }
}

/* A block of queries of one head, over all keys. */
TARGET static void NAME(attend)(const attention_job *j, int64_t job, float *scratch) {
    const glia_attention *a = &j->a;
    place at = place_of(j, job);
    const attention_blocks b = blocks_of(j, scratch);
    const block_rows y = rows_at(j, &a->y, j->out[0], at.n, at.head, at.query, at.queries);
    const block_rows q = rows_at(j, &a->q, j->q, at.n, at.head, at.query, at.queries);
    NAME(load)(&q, (float)a->scale, b.q, b.q_width);
    memset(b.y, 0, (size_t)(BLOCK * b.v_width) * sizeof *b.y);
    for (int i = 0; i < BLOCK; i++) b.most[i] = -INFINITY, b.total[i] = 0;
    const int64_t end = seen_keys(j, &at, at.query + at.queries - 1);
    for (at.key = 0; at.key < end; at.key += BLOCK) {
        at.keys = GLIA_MIN(end - at.key, (int64_t)BLOCK);
        const block_rows k = rows_at(j, &a->k, j->k, at.n, at.head / j->group, at.key, at.keys);
        const block_rows v = rows_at(j, &a->v, j->v, at.n, at.head / j->group, at.key, at.keys);
        NAME(turn)(&k, b.k_turned);
        NAME(load)(&v, 1, b.v, b.v_width);
        NAME(score)(j, &at, &b);
        NAME(exponentials)(j, &at, &b);
        if (j->drop.dropped) NAME(drop)(j, &at, &b);
        NAME(multiply)
        (&(product){.a = b.scores,
                    .b = b.v,
                    .c = b.y,
                    .a_row = BLOCK,
                    .a_step = 1,
                    .b_row = b.v_width,
                    .c_row = b.v_width,
                    .rows = BLOCK,
                    .inner = at.keys,
                    .columns = b.v_width,
                    .add = true});
    }
    for (int64_t i = 0; i < at.queries; i++) {
        const float share = b.total[i] != 0 ? 1 / b.total[i] : 0;
        for (int64_t d = 0; d < b.v_width; d++) b.y[i * b.v_width + d] *= share;
        j->lse[(at.n * a->heads + at.head) * a->queries + at.query + i] =
            b.total[i] != 0 ? b.most[i] + logf(b.total[i]) : -INFINITY;
    }
    NAME(store)(&y, b.y, b.v_width, 1);
}

/* --- backward ------------------------------------------------------------------------------------------------------ */

/* Of a block of queries: with p = e^(score − lse) scores become m·p, and `ds`, which holds dy·vᵀ, p·(m·ds − δ). */
TARGET static void NAME(slopes)(const attention_job *j, const place *at, const attention_blocks *b) {
    for (int64_t i = 0; i < at->queries; i++) {
        float *restrict p = b->scores + i * BLOCK, *restrict ds = b->slopes + i * BLOCK;
        const float lse = j->lse[(at->n * j->a.heads + at->head) * j->a.queries + at->query + i],
                    delta = b->total[i];
        float kept[BLOCK];
        if (!(lse > -INFINITY)) {
            for (int k = 0; k < BLOCK; k++) p[k] = ds[k] = 0;
            continue;
        }
        NAME(keep)(j, at, i, kept);
        for (int k = 0; k < BLOCK; k++) {
            p[k] = glia__expf(p[k] - lse);
            ds[k] = p[k] * (kept[k] * ds[k] - delta);
            p[k] *= kept[k];
        }
    }
}

/* δ = Σ dy·y of each query of the block. */
TARGET static void NAME(load_gradient)(const attention_job *j, const place *at, const attention_blocks *b) {
    const block_rows dy = rows_at(j, &j->a.y, j->dy, at->n, at->head, at->query, at->queries);
    const block_rows y = rows_at(j, &j->a.y, j->y, at->n, at->head, at->query, at->queries);
    NAME(load)(&y, 1, b->dy, b->v_width);
    float *const before =
        b->slopes; /* y, for now: BLOCK by v_width fits where a block of scores or more does */
    memcpy(before, b->dy, (size_t)(BLOCK * b->v_width) * sizeof *before);
    NAME(load)(&dy, 1, b->dy, b->v_width);
    for (int64_t i = 0; i < at->queries; i++) {
        float lanes[16] = {0}, sum = 0;
        for (int64_t d = 0; d < b->v_width; d += 16)
            for (int l = 0; l < 16; l++)
                lanes[l] += before[i * b->v_width + d + l] * b->dy[i * b->v_width + d + l];
        for (int l = 0; l < 16; l++) sum += lanes[l];
        b->total[i] = sum;
    }
}

/* A block of queries of one head with the block of keys at hand. */
TARGET static void NAME(differentiate_block)(const attention_job *j, const place *at,
                                             const attention_blocks *b, float *dq) {
    const int64_t qw = b->q_width, vw = b->v_width;
    const block_rows q = rows_at(j, &j->a.q, j->q, at->n, at->head, at->query, at->queries);
    NAME(load)(&q, (float)j->a.scale, b->q, qw);
    NAME(load_gradient)(j, at, b);
    NAME(score)(j, at, b);
    NAME(multiply)
    (&(product){.a = b->dy,
                .b = b->v_turned,
                .c = b->slopes,
                .a_row = vw,
                .a_step = 1,
                .b_row = BLOCK,
                .c_row = BLOCK,
                .rows = BLOCK,
                .inner = j->a.v.size,
                .columns = BLOCK});
    NAME(slopes)(j, at, b);
    NAME(multiply)
    (&(product){.a = b->scores,
                .b = b->dy,
                .c = b->dv,
                .a_row = 1,
                .a_step = BLOCK,
                .b_row = vw,
                .c_row = vw,
                .rows = BLOCK,
                .inner = at->queries,
                .columns = vw,
                .add = true});
    NAME(multiply)
    (&(product){.a = b->slopes,
                .b = b->q,
                .c = b->dk,
                .a_row = 1,
                .a_step = BLOCK,
                .b_row = qw,
                .c_row = qw,
                .rows = BLOCK,
                .inner = at->queries,
                .columns = qw,
                .add = true});
    NAME(multiply)
    (&(product){.a = b->slopes,
                .b = b->k,
                .c = dq,
                .a_row = BLOCK,
                .a_step = 1,
                .b_row = qw,
                .c_row = qw,
                .rows = BLOCK,
                .inner = at->keys,
                .columns = qw,
                .add = true});
}

/* One head of keys, with all heads of queries that it serves. */
TARGET static void NAME(differentiate)(const attention_job *j, int64_t job, float *scratch) {
    const glia_attention *a = &j->a;
    place at = {.n = job / a->kv_heads};
    const int64_t kv_head = job % a->kv_heads, rows = j->q_blocks * BLOCK;
    const attention_blocks b = blocks_of(j, scratch);
    memset(b.dq, 0, (size_t)(j->group * rows * b.q_width) * sizeof *b.dq);
    for (at.key = 0; at.key < a->keys; at.key += BLOCK) {
        at.keys = GLIA_MIN(a->keys - at.key, (int64_t)BLOCK);
        const block_rows k = rows_at(j, &a->k, j->k, at.n, kv_head, at.key, at.keys);
        const block_rows v = rows_at(j, &a->v, j->v, at.n, kv_head, at.key, at.keys);
        const block_rows dk = rows_at(j, &a->k, j->out[a->packed ? 0 : 1], at.n, kv_head, at.key, at.keys);
        const block_rows dv = rows_at(j, &a->v, j->out[a->packed ? 0 : 2], at.n, kv_head, at.key, at.keys);
        NAME(turn)(&k, b.k_turned);
        NAME(turn)(&v, b.v_turned);
        NAME(load)(&k, 1, b.k, b.q_width);
        memset(b.dk, 0, (size_t)(BLOCK * b.q_width) * sizeof *b.dk);
        memset(b.dv, 0, (size_t)(BLOCK * b.v_width) * sizeof *b.dv);
        for (int64_t h = 0; h < j->group; h++)
            for (at.query = 0; at.query < a->queries; at.query += BLOCK) {
                at.head = kv_head * j->group + h;
                at.queries = GLIA_MIN(a->queries - at.query, (int64_t)BLOCK);
                if (seen_keys(j, &at, at.query + at.queries - 1) <= at.key) continue;
                NAME(differentiate_block)(j, &at, &b, b.dq + (h * rows + at.query) * b.q_width);
            }
        NAME(store)(&dk, b.dk, b.q_width, 1);
        NAME(store)(&dv, b.dv, b.v_width, 1);
    }
    for (int64_t h = 0; h < j->group; h++) {
        const block_rows dq = rows_at(j, &a->q, j->out[0], at.n, kv_head * j->group + h, 0, a->queries);
        NAME(store)(&dq, b.dq + h * rows * b.q_width, b.q_width, (float)a->scale);
    }
}

#undef LANES
#undef ROW_TILE

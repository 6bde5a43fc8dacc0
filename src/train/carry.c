/* carry.c: what graphs remember from run to run. */

#include "train/carry.h"

/* Bytes that a row of a batch has in a memory. */
static size_t row_bytes(const glia_memory *m) {
    const glia_shape *shape = &m->before->type.shape;
    size_t bytes = glia_dtype_bytes(m->before->type.dtype);
    for (int d = 1; d < shape->rank; d++) bytes *= (size_t)shape->dim[d];
    return bytes;
}

/* Bytes of the first `count` memories: where the next one begins. */
static size_t place_of(const glia_memories *memories, size_t count, int64_t rows) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += ((size_t)rows * row_bytes(&memories->list[i]) + 63) / 64 * 64;
    return bytes;
}

static glia_status zeros(char **out, size_t bytes, const glia_allocator *allocator, glia_error *err) {
    *out = glia__alloc_aligned(allocator, bytes, 64);
    if (!*out) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    memset(*out, 0, bytes);
    return GLIA_OK;
}

glia_status glia__carry_reserve(glia_carry *c, const glia_memories *memories, int64_t rows,
                                const glia_allocator *allocator, glia_error *err) {
    if (rows <= c->rows || !memories->count) return GLIA_OK;
    glia_carry grown = {.allocator = allocator,
                        .bytes = place_of(memories, memories->count, rows),
                        .rows = rows,
                        .past = c->past};
    GLIA_TRY(zeros(&grown.now, grown.bytes, allocator, err));
    const glia_status status = c->before ? zeros(&grown.before, grown.bytes, allocator, err) : GLIA_OK;
    if (status != GLIA_OK) {
        glia__carry_free(&grown);
        return status;
    }
    for (size_t i = 0; i < memories->count && c->rows; i++) {
        const size_t to = place_of(memories, i, rows), from = place_of(memories, i, c->rows);
        const size_t bytes = (size_t)c->rows * row_bytes(&memories->list[i]);
        memcpy(grown.now + to, c->now + from, bytes);
        if (c->before) memcpy(grown.before + to, c->before + from, bytes);
    }
    glia__carry_free(c);
    *c = grown;
    return GLIA_OK;
}

glia_status glia__carry_mark(glia_carry *c, glia_error *err) {
    if (c->bytes && !c->before) GLIA_TRY(zeros(&c->before, c->bytes, c->allocator, err));
    if (c->bytes) memcpy(c->before, c->now, c->bytes);
    return GLIA_OK;
}

glia_status glia__carry_bind(const glia_carry *c, const glia_memories *memories, glia_program *program,
                             int64_t first, bool again, glia_error *err) {
    char *from = again && c->before ? c->before : c->now;
    for (size_t i = 0; i < memories->count; i++) {
        const glia_memory *m = &memories->list[i];
        char *at = from + place_of(memories, i, c->rows) + (size_t)first * row_bytes(m);
        GLIA_TRY(glia_program_bind(program, m->before, at, err));
    }
    return GLIA_OK;
}

void glia__carry_keep(glia_carry *c, const glia_memories *memories, const glia_program *program,
                      int64_t first, int64_t count, int64_t steps) {
    for (size_t i = 0; i < memories->count; i++) {
        const glia_memory *m = &memories->list[i];
        const char *after = glia_program_output(program, m->after).data;
        const size_t row = row_bytes(m);
        char *at = c->now + place_of(memories, i, c->rows) + (size_t)first * row;
        if (!m->grows) memcpy(at, after, (size_t)count * row);
        if (!m->grows) continue;
        const size_t step = row / (size_t)m->before->type.shape.dim[1], added = (size_t)steps * step;
        for (int64_t r = 0; r < count; r++, at += row, after += added)
            memcpy(at + (size_t)c->past * step, after, added);
    }
}

glia_tensor glia__carry_tensor(const glia_carry *c, const glia_memories *memories, size_t index) {
    const glia_value *before = memories->list[index].before;
    glia_shape shape = before->type.shape;
    shape.dim[0] = c->rows;
    return glia_tensor_wrap(c->now ? c->now + place_of(memories, index, c->rows) : NULL, before->type.dtype,
                            shape);
}

void glia__carry_reset(glia_carry *c) {
    if (c->bytes) memset(c->now, 0, c->bytes);
    c->past = 0;
}

void glia__carry_free(glia_carry *c) {
    glia__free(c->allocator, c->now, c->bytes);
    glia__free(c->allocator, c->before, c->bytes);
    *c = (glia_carry){.now = NULL};
}

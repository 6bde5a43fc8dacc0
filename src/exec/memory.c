/* memory.c: one block for everything that lives only during a run. Buffers whose lives do not overlap share
 * bytes.
 *
 * Greedy by size (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020): the
 * largest buffer first, each at the lowest offset that is free during its whole life. */

#include "core/threads.h"
#include "exec/program.h"
enum { PAGE = 4096, WORTH_THREADS = 2 << 20 };

/* Insertion sort keeps equal sizes in order, so that plans do not change from machine to machine. */
static void sort_by_size(int *order, int count, const glia_buffer *buffers) {
    for (int i = 1; i < count; i++) {
        int moving = order[i], k = i;
        for (; k > 0 && buffers[order[k - 1]].bytes < buffers[moving].bytes; k--) order[k] = order[k - 1];
        order[k] = moving;
    }
}

static bool lives_overlap(const glia_buffer *a, const glia_buffer *b) {
    return a->first <= b->last && b->first <= a->last;
}

static size_t padded_to(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

/* The lowest offset where `buffer` fits between the placed ones that live at the same time. `placed` is kept
 * sorted by offset. */
static size_t lowest_offset(const glia_buffer *buffers, const glia_buffer *buffer, const int *placed,
                            int count, size_t unit) {
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        const glia_buffer *other = &buffers[placed[i]];
        if (!lives_overlap(buffer, other)) continue;
        if (offset + padded_to(buffer->bytes, unit) <= other->offset) break;
        offset = GLIA_MAX(offset, other->offset + padded_to(other->bytes, unit));
    }
    return offset;
}

static void insert_by_offset(int *placed, int count, int buffer, const glia_buffer *buffers) {
    int k = count;
    for (; k > 0 && buffers[placed[k - 1]].offset > buffers[buffer].offset; k--) placed[k] = placed[k - 1];
    placed[k] = buffer;
}

size_t glia__place_buffers(glia_buffer *buffers, int *order, int *placed, int count, size_t unit) {
    size_t bytes = 0;
    sort_by_size(order, count, buffers);
    for (int i = 0; i < count; i++) {
        glia_buffer *buffer = &buffers[order[i]];
        buffer->offset = lowest_offset(buffers, buffer, placed, i, unit);
        insert_by_offset(placed, i, order[i], buffers);
        bytes = GLIA_MAX(bytes, buffer->offset + padded_to(buffer->bytes, unit));
    }
    return bytes;
}

/* One after the other, for those who want to see every value. */
static size_t place_apart(glia_buffer *buffers, const int *order, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        buffers[order[i]].offset = bytes;
        bytes += glia__padded(buffers[order[i]].bytes);
    }
    return bytes;
}

glia_status glia__plan_offsets(glia_program *program, const int *which, int count, size_t *bytes,
                               glia_error *err) {
    int *order = glia__arena_alloc(&program->arena, ((size_t)count + 1) * sizeof *order);
    int *placed = glia__arena_alloc(&program->arena, ((size_t)count + 1) * sizeof *placed);
    if (!order || !placed)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
    for (int i = 0; i < count; i++) order[i] = which[i];
    *bytes = program->options.reuse_memory == GLIA_NO
                 ? place_apart(program->buffers, order, count)
                 : glia__place_buffers(program->buffers, order, placed, count, GLIA_BLOCK_ALIGNMENT);
    return GLIA_OK;
}

/* Writes to every page, so that none is met for the first time in a step: which worker takes which part of the memory is
 * chance. */
static void touch_pages(void *ctx, int part, int parts) {
    const glia_block *block = ctx;
    int64_t begin, end;
    glia__part_range((int64_t)((block->bytes + PAGE - 1) / PAGE), part, parts, &begin, &end);
    for (int64_t page = begin; page < end; page++) block->data[page * PAGE] = 0;
}

/* What was in the old memory is of no use any more, so it goes first. */
glia_status glia__block_reserve(glia_program *program, glia_error *err) {
    glia_block *block = program->memory;
    const size_t bytes = program->block_bytes;
    if (block->data && block->bytes >= bytes) return GLIA_OK;
    glia__free(block->allocator, block->data, block->bytes);
    block->data = glia__alloc_pages(block->allocator, bytes);
    block->bytes = bytes;
    block->last = NULL;
    if (!block->data)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY,
                              "out of memory: the program needs a block of %.1f MB; try a smaller batch",
                              (double)bytes / 1e6);
    glia__parallel(bytes >= WORTH_THREADS ? program->options.threads : 1, touch_pages, block);
    return GLIA_OK;
}

void glia__block_release(glia_program *program) {
    glia_block *block = program->memory;
    if (!block) return;
    if (block->last == program) block->last = NULL;
    if (--block->programs) return;
    glia__free(block->allocator, block->data, block->bytes);
    glia__free(block->allocator, block, sizeof *block);
}

static glia_status hold_block(glia_program *program, glia_error *err) {
    const glia_program *other = program->options.shares_block;
    if (other && other->memory) {
        program->memory = other->memory;
    } else {
        program->memory = glia__calloc(program->allocator, 1, sizeof *program->memory);
        if (!program->memory)
            return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
        program->memory->allocator = program->allocator;
    }
    program->memory->programs++;
    GLIA_TRY(glia__block_reserve(program, err));
    program->block = program->memory->data;
    return GLIA_OK;
}

glia_status glia__program_place(glia_program *program, glia_error *err) {
    int *which = glia__arena_alloc(&program->arena, ((size_t)program->n_buffers + 1) * sizeof *which);
    int count = 0;
    if (!which) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
    for (int i = 0; i < program->n_buffers; i++) {
        const glia_buffer *buffer = &program->buffers[i];
        if (buffer->place != GLIA_PLACE_BLOCK || buffer->last < 0 || !buffer->bytes) continue;
        which[count++] = i;
        program->unplanned_bytes += glia__padded(buffer->bytes);
    }
    GLIA_TRY(glia__plan_offsets(program, which, count, &program->block_bytes, err));
    if (!program->block_bytes)
        program->block_bytes = GLIA_BLOCK_ALIGNMENT; /* empty arrays lie somewhere too */
    return program->options.plan_only == GLIA_YES ? GLIA_OK : hold_block(program, err);
}

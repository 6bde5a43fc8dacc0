/* carry.h: what graphs remember from run to run (glia_memory), row by row of a batch: the states of stateful layers, which go on
 * from batch to batch, and what a language model keeps of the tokens before. What row i ended a run with is what row i of the
 * next begins with. */
#ifndef GLIA_TRAIN_CARRY_H
#define GLIA_TRAIN_CARRY_H

#include "glia/program.h"
#include "graph/graph.h"

/* The memories of all rows, one memory after another. {0}: all zero. */
typedef struct glia_carry {
    const glia_allocator *allocator;
    char *now, *before; /* before: what glia__carry_mark kept; NULL: all zero */
    size_t bytes;       /* of each of the two */
    int64_t rows;
    int64_t past; /* steps that are in memories that grow */
} glia_carry;

/* Room for so many rows; new ones are zero. */
GLIA_MUST_CHECK glia_status glia__carry_reserve(glia_carry *c, const glia_memories *memories, int64_t rows,
                                                const glia_allocator *allocator, glia_error *err);
/* Keeps what there is, to which glia__carry_bind goes back when a run is to be done `again`. */
GLIA_MUST_CHECK glia_status glia__carry_mark(glia_carry *c, glia_error *err);
/* The program's next run is about rows from `first` on. The binding holds until rows are added. */
GLIA_MUST_CHECK glia_status glia__carry_bind(const glia_carry *c, const glia_memories *memories,
                                             glia_program *program, int64_t first, bool again,
                                             glia_error *err);
/* Keeps what a run of `count` rows ended with; `steps`: how many it adds to memories that grow, behind `past`. */
void glia__carry_keep(glia_carry *c, const glia_memories *memories, const glia_program *program,
                      int64_t first, int64_t count, int64_t steps);
/* A memory that does not grow, of all rows, [rows, …]; data NULL while all are zero. */
glia_tensor glia__carry_tensor(const glia_carry *c, const glia_memories *memories, size_t index);
void glia__carry_reset(glia_carry *c); /* all zero again */
void glia__carry_free(glia_carry *c);

#endif

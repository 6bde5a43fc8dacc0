/* cost.h: what the planner believes about time. One place for all figures; nothing here may depend on the number of threads,
 * because how sums are grouped follows from it, and results must not. */
#ifndef GLIA_EXEC_COST_H
#define GLIA_EXEC_COST_H

#include "exec/program.h"

enum { GLIA_REF_GFLOPS = 4 }; /* of plain loops */

/* Seconds of a call on one core, seen alone: the larger of computing and moving its bytes. */
double glia__cost_call(const glia_planned_call *call);
/* Seconds of a segment of many calls on one core: what moves only inside a chunk moves fast. `local` by buffer: lives
 * only in the segment. */
/* Infinite where a chunk leaves nothing in the caches for the next call. */
double glia__cost_segment(const glia_program *program, const glia_segment *segment, const bool *local);
/* The part of one call. */
double glia__cost_in_segment(const glia_program *program, const glia_segment *segment,
                             const glia_planned_call *call, const bool *local);
/* Seconds of the same calls each by itself. */
double glia__cost_apart(const glia_program *program, int64_t first, int64_t end);
/* Chunks for a call that is cut by itself; 1: it does not pay. */
int64_t glia__cost_chunks(const glia_planned_call *call);
/* Lanes for a call that sums: as many as may be added up again at a small part of the call's time. */
int glia__cost_lanes(const glia_planned_call *call, int64_t chunks);

#endif

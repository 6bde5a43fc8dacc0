/* step.h: from a graph over whole sequences, [N, T, …], another that takes some of their steps and what is remembered of
 * those before: what a language model needs to go on with a text, token by token. As with gradients, each op says for
 * itself how it goes on (glia_op.step). */
#ifndef GLIA_GRAPH_STEP_H
#define GLIA_GRAPH_STEP_H

#include "graph/graph.h"

typedef struct glia_steps {
    glia_graph *graph;      /* of the caller: to be freed by glia__steps_deinit */
    glia_value *input;      /* [N, steps]: the symbol GLIA_DIM_TIME */
    glia_value *positions;  /* i64 [steps]: where in the sequence they are, one after the other */
    glia_value *output;     /* [N, steps, …] */
    glia_value **stand_ins; /* by id of the first graph: parameters and more; NULL: not needed */
    glia_memories memories;
    bool limited; /* to T steps: by positions, or by memories that grow */
} glia_steps;

/* What an op's .step gets: sets y[o] to what stands for its outputs. Left NULL, the op, or this use of it, looks across the
 * steps in a way that cannot go on. */
struct glia_stepping {
    glia_steps *steps;
    const glia_node *node; /* over whole sequences */
    glia_value *const
        *x; /* what stands for its inputs: [N, steps, …] where goes[i], else they are as they were */
    const bool *goes;
    const bool *states; /* see glia__step_is_state */
    int unasked;
    glia_value *y[GLIA_MAX_OUTPUTS];
    const char *why; /* it cannot go on; NULL: it needs the whole sequence */
};

/* GLIA_UNSUPPORTED, with the node that is in the way, when `output` cannot be had step by step. `states`: what the whole graph
 * remembers from run to run; the first step begins with zeros there, as a run does after none. */
GLIA_MUST_CHECK glia_status glia__steps_new(glia_steps *steps, const glia_value *input,
                                            const glia_value *output, const glia_memories *states,
                                            const glia_allocator *allocator, glia_error *err);
void glia__steps_deinit(glia_steps *steps); /* {0} allowed */

/* For .step: the same op on what stands for its inputs. */
void glia__step_same(glia_stepping *s);
/* The same where input 0 alone goes, and the op looks at its dimensions from `axis` on (negative: from the end). */
void glia__step_vectors(glia_stepping *s, int64_t axis);
/* A memory's `before`, [N, T, …] or [N, …]; its `after` is to be set by glia__step_keep. */
glia_value *glia__step_memory(glia_stepping *s, glia_dtype dtype, glia_shape shape, bool grows);
/* Input i, for which nothing stands, is the state that the whole graph begins with, or a part of it: an op that asks goes on
 * with what the steps before it ended with. */
bool glia__step_is_state(glia_stepping *s, int i);
void glia__step_keep(glia_stepping *s, const glia_value *before, glia_value *after);

#endif

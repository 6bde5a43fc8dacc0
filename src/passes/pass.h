/* pass.h: rewriting a graph before it is planned. A pass reads one graph and writes another that computes the same
 * outputs: faster, or with other numbers of bits. One GLIA_PASS block in one file of src/passes is one pass; the build finds
 * it. Passes know ops by their traits, attributes and kernels; a pass that looks for a pattern names the ops of its
 * pattern, and nothing else does.
 *
 * All dimensions are known: the first graph of the chain is a copy of the user's with its symbols bound. */
#ifndef GLIA_PASS_H
#define GLIA_PASS_H

#include "graph/graph.h"
#include "kernels/kernel.h"

typedef struct glia_pass_options {
    int64_t dims[GLIA_DIM_SYMBOLS]; /* what the symbols are bound to; 0: not */
    bool training, bf16;
    bool fixed_params; /* they change only when bound again */
    bool c;            /* to be written as C: only passes for_c, whatever kernels there are */
    int threads;
    const glia_allocator *allocator;
} glia_pass_options;

typedef struct glia_rewrite glia_rewrite;

typedef struct glia_pass {
    const char *name, *doc;
    int order;  /* lower runs earlier */
    bool for_c; /* what is written as C wants it too */
    /* Before the nodes: marks what was found in rewrite->roles, by node of `from`. NULL: nothing to do. */
    void (*begin)(glia_rewrite *rewrite);
    /* Once for every node of `from` that the outputs need, in order. True: it has set the stand-ins of all outputs of the
     * node that anybody still reads; false: the node is copied. Failures go to the graph `to`. */
    bool (*node)(glia_rewrite *rewrite, const glia_node *node);
} glia_pass;

#define GLIA_PASS(pass_name) const glia_pass glia__pass_##pass_name
extern const glia_pass *const glia__passes[];
extern const size_t glia__passes_count;

/* One pass at work. */
struct glia_rewrite {
    const glia_pass *pass;
    const glia_pass_options *options;
    const glia_graph *from;
    glia_graph *to;
    glia_value **map; /* by id in `from`: what stands for the value in `to`; NULL: nothing yet */
    bool *needed;     /* by node of `from` */
    bool *is_output;  /* by value of `from`: the program's result */
    bool *fixed;      /* by value of `from`: a parameter, or computed of parameters and constants alone */
    int *first_reader, *n_readers; /* by value: its readers are readers[first … first + n − 1] */
    const glia_node **readers;     /* needed nodes, once for every input that reads the value */
    int *roles;                    /* by node: the pass's own marks, 0 at first */
    const glia_node **partner;     /* by node: the pass's own; NULL at first */
    void *notes;                   /* the pass's own, from the arena */
    glia_arena arena;              /* the pass's notes */
};

/* What stands for a value of `from` in `to`; NULL stays NULL. */
glia_value *glia__rewrite_value(const glia_rewrite *r, const glia_value *value);
/* Adds a node to `to` with the name of `like`, a node of `from`; its output 0, or NULL with the error in `to`. */
glia_value *glia__rewrite_apply(glia_rewrite *r, const glia_node *like, const char *op,
                                glia_value *const *inputs, int count, const void *attrs);
/* Copies a node, reading what stands for its inputs. */
void glia__rewrite_copy(glia_rewrite *r, const glia_node *node);
/* The only node that reads `value`, when it has the op `op` and the value is no output of the program; else NULL. */
const glia_node *glia__only_reader(const glia_rewrite *r, const glia_value *value, const char *op);
/* The reader of `value` with the op `op`, or NULL when there is none or more than one. */
const glia_node *glia__reader(const glia_rewrite *r, const glia_value *value, const char *op);
bool glia__node_is(const glia_node *node, const char *op); /* false for NULL */
/* The kernel better than ref that takes such a node, or NULL. */
const glia_kernel *glia__find_kernel(const glia_rewrite *r, const char *op, const glia_type *in, int n_in,
                                     const glia_type *out, int n_out, const void *attrs);

/* The user's graph through all passes (`plain`: only bound to its dimensions). On success *out is a new graph of the
 * caller, and map[id], for each of graph's `n_values` first values, what stands for it there, NULL where nothing does; outputs always
 * have one. */
GLIA_MUST_CHECK glia_status glia__rewrite_all(glia_graph **out, glia_value **map, size_t n_values,
                                              const glia_graph *graph, glia_value *const *outputs, int count,
                                              const glia_pass_options *options, bool plain, glia_error *err);

#endif

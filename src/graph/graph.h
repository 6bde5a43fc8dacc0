/* graph.h (internal): the structs behind glia/graph.h. */
#ifndef GLIA_GRAPH_INTERNAL_H
#define GLIA_GRAPH_INTERNAL_H

#include "core/mem.h"
#include "glia/graph.h"
#include "graph/op.h"

typedef struct glia_node {
    const glia_op *op;
    const char *name; /* "conv2d_1.relu" */
    const void *attrs;
    int64_t id; /* position in graph->nodes: inputs always have smaller ids */
    int n_inputs, n_outputs;
    glia_value **inputs; /* NULL for an absent optional input */
    glia_value *outputs; /* array of n_outputs */
} glia_node;

struct glia_value {
    glia_graph *graph;
    glia_value_kind kind;
    glia_type type;
    const char *name;
    const char *file_name; /* the tensor that it is in the file that it was read from, or NULL */
    glia_node *node;       /* NULL for sources */
    int index;             /* which output of `node` */
    int64_t id;            /* position in graph->values */
    const void *
        data; /* CONST: dense, in the graph's arena unless borrowed; PARAM: only in an inference graph (io/export.h) */
    bool borrowed; /* the data belong to somebody who lives longer */
};

struct glia_graph {
    const glia_allocator *allocator;
    glia_arena arena;
    glia_node **nodes;
    size_t n_nodes, capacity_nodes;
    glia_value **values;
    size_t n_values, capacity_values;
    const char *scope;
    void *owner; /* the model that this graph belongs to, or NULL */
    glia_error error;
};

/* What goes on from one run of a graph to the next, zeros at first: `before` is an input, and what becomes of it is `after`:
 * what it holds from then on, [N, …]; or [N, steps, …], rows to be put behind those that it, [N, T, …], has so far (`grows`). */
typedef struct glia_memory {
    glia_value *before, *after;
    bool grows;
} glia_memory;

typedef struct glia_memories {
    glia_memory *list;
    size_t count;
} glia_memories;

/* Marks nodes[i] true when `outputs` need node i. `marks` holds graph->n_nodes bytes. */
void glia__graph_mark(const glia_graph *graph, glia_value *const *outputs, int count, bool *marks);
/* Append to the graph's arrays and set ids; false when out of memory. */
bool glia__graph_add_value(glia_graph *graph, glia_value *value);
bool glia__graph_add_node(glia_graph *graph, glia_node *node);
/* A source like `source`, of another graph, with its dimensions known. A constant's data are borrowed from there. */
glia_value *glia__graph_copy_source(glia_graph *graph, const glia_value *source, glia_shape shape);
/* More elements than any memory holds, whatever its symbols become: products of dimensions would overflow. */
bool glia__shape_is_absurd(const glia_shape *shape);
/* Whether an input stands for whole numbers, such as places in a table: by its type, or as all that reads it makes some of it. */
bool glia__graph_takes_whole(const glia_graph *graph, const glia_value *input);
/* The first graph found among `inputs`, or NULL. */
glia_graph *glia__graph_of(glia_value *const *inputs, int count);

#endif

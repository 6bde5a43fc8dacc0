/* graph.h: a network as a graph of ops on typed, shaped values.
 *
 * Builders never crash: they accept NULL values, return NULL on failure, and the graph keeps the FIRST error,
 * so that fifty lines of model need one check (glia_graph_status). The graph owns its nodes and values. */
#ifndef GLIA_GRAPH_H
#define GLIA_GRAPH_H

#include <stdio.h>

#include "glia/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum glia_value_kind {
    GLIA_VALUE_INPUT, /* fed at every run */
    GLIA_VALUE_PARAM, /* memory that outlives runs: weights */
    GLIA_VALUE_CONST, /* data in the graph */
    GLIA_VALUE_NODE   /* computed by a node */
} glia_value_kind;

/* A new empty graph, or NULL when out of memory. Free with glia_graph_free. */
GLIA_API glia_graph *glia_graph_new(const glia_allocator *allocator);
GLIA_API void glia_graph_free(glia_graph *graph);
/* The first error of all builder calls on this graph, copied to `err`; GLIA_OK when there was none. */
GLIA_API GLIA_MUST_CHECK glia_status glia_graph_status(const glia_graph *graph, glia_error *err);
/* Records an error unless there is one already. `node` NULL: the current scope. Always returns NULL, so that
 * a builder may write `return glia_graph_fail(...)`. */
GLIA_API glia_value *glia_graph_fail(glia_graph *graph, glia_status status, const char *node,
                                     const char *format, ...) GLIA_PRINTF(4, 5);

/* Names given to nodes from now on start with "scope." ("" ends it). Copies `scope`. */
GLIA_API void glia_graph_set_scope(glia_graph *graph, const char *scope);

/* Sources. `name` must be unique among inputs and parameters; it is copied. */
GLIA_API glia_value *glia_graph_input(glia_graph *graph, const char *name, glia_dtype dtype,
                                      glia_shape shape);
GLIA_API glia_value *glia_graph_param(glia_graph *graph, const char *name, glia_dtype dtype,
                                      glia_shape shape);
/* Copies `data`. */
GLIA_API glia_value *glia_graph_const(glia_graph *graph, const glia_tensor *data);
/* A constant with one number in every place; `shape` may be rank 0. */
GLIA_API glia_value *glia_graph_scalar(glia_graph *graph, glia_dtype dtype, double number);

/* The generic builder under every glia_op_* function: applies op `op` to `inputs` (borrowed). `attrs` is the
 * op's attribute struct (NULL: defaults). Returns output 0. */
GLIA_API glia_value *glia_graph_apply(glia_graph *graph, const char *op, glia_value *const *inputs, int count,
                                      const void *attrs);
/* The same with attributes as text: "axes=1 keep_dims=yes". */
GLIA_API glia_value *glia_graph_apply_text(glia_graph *graph, const char *op, glia_value *const *inputs,
                                           int count, const char *attrs);
/* Output `index` of the node that computes `value`; NULL when there is none. */
GLIA_API glia_value *glia_value_sibling(glia_value *value, int index);

GLIA_API glia_graph *glia_value_graph(const glia_value *value); /* NULL for NULL */
GLIA_API glia_value_kind glia_value_get_kind(const glia_value *value);
GLIA_API const char *glia_value_name(const glia_value *value); /* "" for NULL */
GLIA_API glia_dtype glia_value_dtype(const glia_value *value);
GLIA_API glia_shape glia_value_shape(const glia_value *value); /* may hold symbolic dims */
GLIA_API const char *glia_value_op(const glia_value *value);   /* op name of its node, "" for a source */
GLIA_API int64_t glia_graph_node_count(const glia_graph *graph);

/* Adds nodes that compute d(loss)/d(wrt[i]) for a scalar `loss` (reverse mode; the gradient rules are those
 * of the op blocks). gradients[i] is NULL-free on success: zeros where loss does not depend on wrt[i]. */
GLIA_API GLIA_MUST_CHECK glia_status glia_graph_gradients(glia_graph *graph, glia_value *loss,
                                                          glia_value *const *wrt, int count,
                                                          glia_value **gradients, glia_error *err);

/* The nodes that `outputs` need (all when count is 0), one a line, in execution order. */
GLIA_API void glia_graph_print(const glia_graph *graph, glia_value *const *outputs, int count, FILE *out);
/* The same as a Graphviz digraph. */
GLIA_API void glia_graph_print_dot(const glia_graph *graph, glia_value *const *outputs, int count, FILE *out);

#ifdef __cplusplus
}
#endif
#endif

/* to_onnx.h: how an op says itself in ONNX. An op that is one operator of ONNX with the same inputs and attributes needs
 * no more than `.onnx` and the ONNX names of its fields. Any other has `.onnx_write`, which adds the nodes that compute
 * it: they are kept as a list, of which src/onnx makes the bytes of a file.
 *
 *     static void silu_to_onnx(glia_to_onnx *w) {
 *         const char *s = GLIA_TO_ONNX(w, NULL, "Sigmoid", w->x[0]);
 *         GLIA_TO_ONNX(w, w->y[0], "Mul", w->x[0], s);
 *     }
 *
 * Nothing needs to be checked on the way: the first failure is kept, and what follows does nothing of weight. */
#ifndef GLIA_GRAPH_TO_ONNX_H
#define GLIA_GRAPH_TO_ONNX_H

#include "graph/graph.h"

typedef enum glia_to_onnx_kind {
    GLIA_TO_INT,
    GLIA_TO_FLOAT,
    GLIA_TO_TEXT,
    GLIA_TO_INTS,
    GLIA_TO_FLOATS,
    GLIA_TO_TEXTS, /* one text as a list */
    GLIA_TO_DTYPE  /* a glia_dtype, by its number in ONNX */
} glia_to_onnx_kind;

typedef struct glia_to_onnx_attr {
    const char *name;
    glia_to_onnx_kind kind;
    union {
        int64_t i;
        float f;
        const char *text;
        const int64_t *ints;
        const float *floats;
    } value;
    int count; /* of ints and floats */
    struct glia_to_onnx_attr *next;
} glia_to_onnx_attr;

typedef struct glia_to_onnx_node {
    const char *type, *name;
    const char **inputs, **outputs; /* "" for one that is absent */
    int n_inputs, n_outputs;
    glia_to_onnx_attr *attrs, *last_attr;
    struct glia_to_onnx_node *next;
} glia_to_onnx_node;

/* A parameter or constant: an initializer of the file. */
typedef struct glia_to_onnx_array {
    const char *name;
    glia_dtype dtype;
    glia_shape shape;
    const void *data;
    bool constant; /* of the graph or of an op, no parameter */
    struct glia_to_onnx_array *next;
} glia_to_onnx_array;

/* What is being written. An op's onnx_write reads the first part, and adds to the rest by the functions below. */
typedef struct glia_to_onnx {
    const glia_node *node;           /* its attrs; types by node->inputs[i]->type and node->outputs[o].type */
    const char *x[GLIA_MAX_INPUTS];  /* names of its inputs, "" for one that is absent */
    const char *y[GLIA_MAX_OUTPUTS]; /* names for its outputs, "" for one that nobody reads */
    int opset;

    glia_arena *arena;
    glia_to_onnx_node *nodes, *last_node;
    glia_to_onnx_array *arrays, *last_array;
    struct glia_to_onnx_names *names; /* all that are taken */
    int64_t n_nodes;
    glia_error *err;
    glia_status status; /* the first failure; GLIA_OK: none */
} glia_to_onnx;

/* Adds a node and returns the name of its output 0: `out`, or a new one for NULL. */
const char *glia__to_onnx_node(glia_to_onnx *w, const char *out, const char *type, const char *const *inputs,
                               int count);
#define GLIA_TO_ONNX(w, out, type, ...)                                  \
    glia__to_onnx_node(w, out, type, (const char *const[]){__VA_ARGS__}, \
                       (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))
/* One more output of the node added last; "" for one that nobody reads. */
void glia__to_onnx_output(glia_to_onnx *w, const char *name);
/* Attributes of the node added last. Numbers and lists are copied; `name` is static. */
void glia__to_onnx_int(glia_to_onnx *w, const char *name, int64_t value);
void glia__to_onnx_float(glia_to_onnx *w, const char *name, double value);
void glia__to_onnx_text(glia_to_onnx *w, const char *name, const char *value);
void glia__to_onnx_texts(glia_to_onnx *w, const char *name, const char *only); /* a list of one */
void glia__to_onnx_ints(glia_to_onnx *w, const char *name, const int64_t *values, int count);
void glia__to_onnx_dtype(glia_to_onnx *w, const char *name, glia_dtype dtype);
void glia__to_onnx_floats(glia_to_onnx *w, const char *name, const float *values, int count);
/* The word that the op's attribute `field`, a choice, has now. */
void glia__to_onnx_choice(glia_to_onnx *w, const char *name, const char *field);
/* The op's own attributes, all that are set, as those of the node added last, under their ONNX names. */
void glia__to_onnx_fields(glia_to_onnx *w);

/* Constants as inputs of nodes: one number (rank 0); a list of i64; any array (`data` is copied). Equal ones are
 * kept once. */
const char *glia__to_onnx_number(glia_to_onnx *w, glia_dtype dtype, double number);
const char *glia__to_onnx_list(glia_to_onnx *w, const int64_t *values, int count);
const char *glia__to_onnx_array(glia_to_onnx *w, glia_dtype dtype, glia_shape shape, const void *data);

/* The operator `.onnx` of the op, with its inputs, outputs and attributes: what ops without onnx_write are. */
void glia__to_onnx_same(glia_to_onnx *w);

/* This node cannot be written, because …: the message names the node and its op. */
void glia__to_onnx_refuse(glia_to_onnx *w, const char *format, ...) GLIA_PRINTF(2, 3);

/* Input `i` as i64. */
const char *glia__to_onnx_i64(glia_to_onnx *w, int i);
/* The array with its dimensions in another order: result dimension i is dimension perm[i]. */
const char *glia__to_onnx_transpose(glia_to_onnx *w, const char *out, const char *x, const int64_t *perm,
                                    int rank);
/* What lies as [N, …, C] as [N, C, …], and back. */
const char *glia__to_onnx_channels_first(glia_to_onnx *w, const char *out, const char *x, int rank);
const char *glia__to_onnx_channels_last(glia_to_onnx *w, const char *out, const char *x, int rank);

/* The node as its op says it, or as the one operator that it is. */
void glia__to_onnx_op(glia_to_onnx *w);
/* A new name for a part of the node: "gelu.gelu/Mul". */
const char *glia__to_onnx_part(glia_to_onnx *w, const char *part);
/* For the writer: a name that nothing else has, like `wanted`. */
const char *glia__to_onnx_name(glia_to_onnx *w, const char *wanted);
/* For the writer: adds an initializer whose data is borrowed. */
void glia__to_onnx_borrow(glia_to_onnx *w, const char *name, const glia_type *type, const void *data,
                          bool constant);

#endif

/* emit.h: a graph as one file of C99.
 *
 * plan.c says which functions there are and where their results lie; function.c writes them, one a node, by what the ops say
 * (graph/emit.h); file.c puts them together; test.c and head.c add a self-test and a step of training. */
#ifndef GLIA_EMIT_EMIT_H
#define GLIA_EMIT_EMIT_H

#include "glia/io.h"
#include "graph/emit.h"
#include "graph/graph.h"

typedef struct glia_emit_options {
    const char *name;               /* prefix of every name, an identifier */
    const char *title;              /* what it is, for the first comment: "mnist_cnn" */
    const char *file;               /* the name of the files without ending: "model" */
    int64_t dims[GLIA_DIM_SYMBOLS]; /* what symbols are bound to; the batch is 1 */
    bool split_weights;             /* they are not in the file, but given at every call */
    bool train_head;                /* also a step of gradient descent for the last dense layer */
    int tests;                      /* pairs of the self-test */
    /* Bytes become input 0: (byte · scale − mean[c]) / std[c], c along dimension 1 of the input. */
    bool bytes;
    double scale;
    const float *mean, *std;
    int64_t classes;
    const char *const *labels; /* NULL: their numbers */
    const glia_key_value *facts;
    size_t n_facts;
} glia_emit_options;

typedef struct glia_emit_result {
    glia_text source, header, weights;
    int64_t ram_bytes, flash_bytes; /* what it works in, and its weights */
    double macs;                    /* multiplications and additions of one prediction */
} glia_emit_result;

/* Writes the nodes that `outputs` need. Parameters have their data (value->data). An error names every node that cannot be
 * said in C. Free the result, after failures too. */
GLIA_MUST_CHECK glia_status glia__emit_c99(glia_emit_result *out, const glia_graph *graph,
                                           glia_value *const *inputs, int n_inputs,
                                           glia_value *const *outputs, int n_outputs,
                                           const glia_emit_options *options, glia_error *err);
void glia__emit_result_free(glia_emit_result *result);
/* Compiles the file at `path`, whose names begin with `prefix`, with its self-test (by CC, else cc) and runs that; `weights`: the
 * file of them, or NULL. */
GLIA_MUST_CHECK glia_status glia__emit_check(const char *path, const char *prefix, const char *weights,
                                             glia_export_result *result, glia_error *err);

/* --- between the files of this folder ---------------------------------------------------------------------- */

/* An array that functions are called with. */
typedef struct emit_array {
    const void *data; /* of a constant */
    glia_type type;
    int64_t elems;
    const char *label;   /* of a constant: what it is, for a comment */
    int input, output;   /* of the file: which one, or -1 */
    int64_t first, last; /* functions that write it, and read it last; first -1: before all */
    size_t offset;       /* in its part of the arena, or in the weights; bytes */
    bool in_arena, used;
} emit_array;

enum { EMIT_RIDERS = 12, EMIT_ARGUMENTS = GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS + 2 * EMIT_RIDERS + GLIA_C_OWN };

typedef struct emit_argument {
    int array;
    char name[12]; /* in the function */
    bool written;
} emit_argument;

/* One function: a node, and element-wise nodes that ride on it. */
typedef struct emit_function {
    const glia_node *node;
    const glia_node *riders[EMIT_RIDERS];
    int n_riders;
    const glia_value *result; /* what output 0 is, after the riders */
    char name[96];
    emit_argument arguments[EMIT_ARGUMENTS];
    int n_arguments;
    bool fails;
} emit_function;

typedef struct emit_plan {
    const glia_emit_options *options;
    glia_arena arena;
    glia_graph *graph;   /* with its dimensions known */
    glia_value **inputs; /* of that graph */
    glia_value **outputs;
    int n_inputs, n_outputs;
    emit_array *arrays;
    int n_arrays;
    int *array_of; /* by value id of the graph; -1: none */
    emit_function *functions;
    int n_functions;
    int *copied;                         /* by output: the array that it is a copy of, or -1 */
    size_t part_bytes[GLIA_DTYPE_COUNT]; /* of the arena, by dtype */
    uint32_t needs;
    double macs;
    glia_text code; /* the functions */
} emit_plan;

glia_status glia__emit_plan(emit_plan *p, const glia_graph *graph, glia_value *const *inputs, int n_inputs,
                            glia_value *const *outputs, int n_outputs, glia_error *err);
void glia__emit_plan_free(emit_plan *p);
/* Places arrays in the arena, when all functions are written. */
glia_status glia__emit_place(emit_plan *p, glia_error *err);
/* What a value is after reshapes: they are other names of the same array. */
const glia_value *glia__emit_root(const glia_value *value);
/* Writes function `f` to p->code. */
glia_status glia__emit_function(emit_plan *p, emit_function *f, glia_error *err);
/* The body of an element-wise node. */
glia_status glia__emit_elementwise(glia_c *c, const glia_c_call *call, const glia_c_rider *op);
/* What functions call: exp and so on. */
void glia__emit_helpers(uint32_t needs, const char *prefix, glia_text *out);

#endif

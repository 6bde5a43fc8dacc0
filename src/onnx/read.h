/* read.h: how an ONNX operator is read. One GLIA_ONNX block in src/onnx/read_*.c turns a node into ops of Glia's; the
 * build finds the blocks. An operator that is one of Glia's ops, with its attributes as fields, needs none: it is found
 * by `.onnx` and `.onnx_since` of the op's block and `.onnx` of its fields. */
#ifndef GLIA_ONNX_READ_H
#define GLIA_ONNX_READ_H

#include <math.h>

#include "glia/ops.h"
#include "graph/graph.h"
#include "onnx/proto.h"

/* Opsets that are read. What changed a meaning since is in the blocks' `until`. */
enum { GLIA_ONNX_FIRST_OPSET = 7, GLIA_ONNX_LAST_OPSET = 28 };

/* A number that a shape is made of: known, a symbol (GLIA_DIM_BATCH, …), or something that only a run will tell. */
typedef struct glia_onnx_int {
    enum { GLIA_ONNX_INT_KNOWN, GLIA_ONNX_INT_SYMBOL, GLIA_ONNX_INT_UNKNOWN } kind;
    int64_t value;
} glia_onnx_int;

enum { GLIA_ONNX_MOST_INTS = 64 };

/* A whole tensor of them, of rank 0 or 1, up to GLIA_ONNX_MOST_INTS. */
typedef struct glia_onnx_ints {
    int rank, count;
    const glia_onnx_int *at;
} glia_onnx_ints;

/* What a read function gets: one node. All functions below take it. */
typedef struct glia_onnx_read {
    glia_graph *graph;
    int64_t opset;
    int n_in, n_out;  /* as the node lists them; they may be left out: see glia__onnx_has */
    glia_value **out; /* the results, to be set: out[0 … n_out) */
    int *carried;     /* TensorProto.DataType of results that carry a narrow type (carried.h); else 0 */
    struct glia_onnx_import *import;
    const glia_onnx_node *node;
    const struct glia_onnx_op *op;
    uint64_t asked; /* attributes that were looked at, by number: what nobody asks for is refused */
    bool refused;
} glia_onnx_read;

typedef struct glia_onnx_op {
    const char *op_type; /* "Gemm" */
    int since, until; /* opsets whose meaning `read` knows; since 0: from the first, until 0: to the last */
    int min_inputs, max_inputs; /* 0, 0: not checked */
    uint32_t
        own_types; /* bit k: the type of result k does not follow the inputs'; if it is narrow, `read` sets carried[k] */
    /* Sets out[]. Failing ops of the graph need no attention: their message becomes the refusal. */
    void (*read)(glia_onnx_read *r);
} glia_onnx_op;

#define GLIA_ONNX(block_name) const glia_onnx_op glia__onnx_op_##block_name

extern const glia_onnx_op *const glia__onnx_ops[];
extern const size_t glia__onnx_ops_count;

/* --- inputs ----------------------------------------------------------------------------------------------- */

bool glia__onnx_has(const glia_onnx_read *r, int i); /* input i is there */
bool glia__onnx_frozen(const glia_onnx_read *r);     /* everything is as outside of training */
/* The file's batch is one, but what it is fed with has an open one: a first dimension of 1 means the batch. */
bool glia__onnx_opened_batch(const glia_onnx_read *r);
/* Input i as a value of the graph: a float initialiser of rank 1 or more becomes a parameter, other known tensors
 * constants. NULL when left out, or when it has been refused. */
glia_value *glia__onnx_in(glia_onnx_read *r, int i);
/* The same as state that no gradient moves, for running statistics. */
glia_value *glia__onnx_state_in(glia_onnx_read *r, int i);
/* Says that `state`, from glia__onnx_state_in, becomes `update` after a training step. */
void glia__onnx_update(glia_onnx_read *r, glia_value *state, glia_value *update);
/* Input i as known numbers, for what Glia's ops have as attributes: a constant or an initialiser. False, and refused,
 * when it depends on what is fed. Left out: false, and not refused. */
bool glia__onnx_tensor_in(glia_onnx_read *r, int i, glia_tensor *out);
/* Its only element. */
bool glia__onnx_number_in(glia_onnx_read *r, int i, double *out);
/* Up to GLIA_MAX_RANK whole numbers, all known. */
bool glia__onnx_dims_in(glia_onnx_read *r, int i, glia_shape *out);
/* Whole numbers of which some may be symbols; false (not refused) when the input is nothing of the kind. */
bool glia__onnx_ints_in(glia_onnx_read *r, int i, glia_onnx_ints *out);
/* The TensorProto.DataType of a narrow type that input i carries, or 0. */
int glia__onnx_carried_in(const glia_onnx_read *r, int i);
/* The type of input i without making a value of it: a parameter, above all. False, and refused, when unknown. */
bool glia__onnx_type_in(glia_onnx_read *r, int i, glia_type *out);

/* --- attributes --------------------------------------------------------------------------------------------- */

bool glia__onnx_has_attr(const glia_onnx_read *r, const char *name); /* does not count as asked */
int64_t glia__onnx_int(glia_onnx_read *r, const char *name, int64_t initial);
double glia__onnx_float(glia_onnx_read *r, const char *name, double initial);
/* Index in `choices` ("NOTSET|VALID") of a text; `initial` when absent; -1, and refused, when it is none of them. */
int glia__onnx_choice(glia_onnx_read *r, const char *name, const char *choices, int initial);
/* Up to `capacity` whole numbers; false when absent. More, or other than `count` when that is not negative: refused. */
bool glia__onnx_int_list(glia_onnx_read *r, const char *name, int64_t *out, int capacity, int *count);
/* A list as a shape: up to GLIA_MAX_RANK. */
bool glia__onnx_dims(glia_onnx_read *r, const char *name, glia_shape *out);
const glia_onnx_attr *glia__onnx_attr(glia_onnx_read *r, const char *name); /* NULL when absent */
/* An attribute that used to be one is an input from opset `since` on (`input` ≥ 0): axes of Squeeze. */
bool glia__onnx_dims_of(glia_onnx_read *r, const char *attr, int since, int input, glia_shape *out);
/* "Takes" an attribute whose value does not matter here. */
void glia__onnx_ignore(glia_onnx_read *r, const char *name);

/* --- results ------------------------------------------------------------------------------------------------ */

/* Says why this node cannot be read; the first reason counts. Always NULL. */
glia_value *glia__onnx_refuse(glia_onnx_read *r, const char *format, ...) GLIA_PRINTF(2, 3);
/* A constant as a value. Copies. */
glia_value *glia__onnx_const(glia_onnx_read *r, glia_dtype dtype, const glia_shape *shape, const void *data);
/* One number, at `data`, in every place. */
glia_value *glia__onnx_filled(glia_onnx_read *r, glia_dtype dtype, const glia_shape *shape, const void *data);
/* 0, 1, 2, … as i64 in this shape. */
glia_value *glia__onnx_count(glia_onnx_read *r, const glia_shape *shape);
/* A tensor of an attribute; false, and refused, when its type is not one of Glia's. */
bool glia__onnx_use_tensor(glia_onnx_read *r, glia_onnx_tensor *tensor, glia_tensor *out);
/* The ops, but for what undoes the op before: then it is that op's input (undo.c). */
glia_value *glia__onnx_transposed(glia_value *x, glia_transpose_attrs a);
glia_value *glia__onnx_squeezed(glia_value *x, glia_squeeze_attrs a);
glia_value *glia__onnx_flattened(glia_value *x, glia_flatten_attrs a);
/* What became ONNX's weights or biases of one direction, [1, …], by putting gates in its order: then order[i] is where gate i
 * of Glia's is among them. NULL: `x` was not made so. */
glia_value *glia__onnx_gates_undone(glia_value *x, const int *order, int gates);
/* Result 0 is these numbers of rank 0 or 1, some of them symbols; `dtype` i64 or i32. */
void glia__onnx_set_ints(glia_onnx_read *r, const glia_onnx_ints *ints, glia_dtype dtype);
/* The node as the op that has its name, attribute by attribute, with these inputs in the place of the node's. */
void glia__onnx_one_to_one(glia_onnx_read *r, glia_value *const *inputs, int count);

/* For the importer: what is known of an operator's integers without running it, see shapes.c. True when done. */
bool glia__onnx_read_ints(glia_onnx_read *r);
/* Turns the nodes from `first` on whose inputs are constants into constants. */
glia_status glia__onnx_fold(glia_graph *graph, size_t first, size_t *budget, glia_error *err);
/* The op of the registry that is this operator in this opset, or NULL. */
const glia_op *glia__onnx_find_op(const char *op_type, int64_t opset);

#endif

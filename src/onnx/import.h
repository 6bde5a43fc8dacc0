/* import.h: the state of one import: what each name of the file has become so far. */
#ifndef GLIA_ONNX_IMPORT_H
#define GLIA_ONNX_IMPORT_H

#include "onnx/read.h"

/* A name of the file. */
typedef struct glia_onnx_slot {
    const char *name;
    glia_onnx_tensor *initializer;
    const glia_tensor *known; /* an input's data, see glia_onnx_options */
    glia_value *value;        /* NULL: not made yet, or only known as `ints` */
    glia_value *constant;     /* an initialiser or known input that somebody needed as a constant */
    const glia_onnx_ints *ints;
    glia_dtype ints_dtype;
    int carried;  /* TensorProto.DataType of the narrow type that the value carries; else 0 */
    bool defined; /* fed, an initialiser, or made by a node that comes before */
    bool needed;  /* for the outputs */
    bool failed;  /* made by a node that was refused, or by one that needs such */
} glia_onnx_slot;

typedef struct glia_onnx_refusal {
    struct glia_onnx_refusal *next;
    const char *op_type, *node, *why;
} glia_onnx_refusal;

typedef struct glia_onnx_import {
    glia_onnx *file;
    glia_graph *graph;
    const glia_onnx_options *options;
    glia_arena arena;
    glia_onnx_slot *slots;
    size_t n_slots, capacity;
    uint32_t *table; /* of slot + 1, by the hash of its name; a power of two places */
    size_t places;
    bool opened_batch;  /* see glia__onnx_opened_batch */
    size_t fold_budget; /* bytes of constants that may still be made */
    glia_onnx_refusal *refusals, **last_refusal;
    size_t n_refusals;
    glia_error error; /* a damaged file or no memory: the import ends */
} glia_onnx_import;

/* The slot of a name; NULL when there is none (or, for `add`, no memory). */
glia_onnx_slot *glia__onnx_slot(glia_onnx_import *import, const char *name, bool add);
/* Records why a node is refused. `why` NULL: the operator is not supported at all. */
void glia__onnx_add_refusal(glia_onnx_import *import, const glia_onnx_node *node, const char *why);
/* All refusals as one message. */
glia_status glia__onnx_refused(glia_onnx_import *import, glia_error *err);

#endif

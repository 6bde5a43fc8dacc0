/* types.h: the opaque objects of Glia and small types that several headers share. */
#ifndef GLIA_TYPES_H
#define GLIA_TYPES_H

#include "glia/tensor.h"

/* A yes/no option whose zero means "the documented default". */
typedef enum glia_bool { GLIA_DEFAULT = 0, GLIA_YES = 1, GLIA_NO = -1 } glia_bool;

/* Arithmetic of a program. bf16 is mixed: weights, their gradients, sums and losses stay f32. */
typedef enum glia_precision { GLIA_PRECISION_F32 = 0, GLIA_PRECISION_BF16 } glia_precision;

/* Options are structs in which zero means default, written like keywords:
 *     glia_dense(x, .units = 10, .activation = "relu")
 * Every options struct begins with `reserved_`, so that the list may be empty in ISO C too. In C++ this needs C++20,
 * the options in the order of their declaration, and -Wno-missing-field-initializers where g++ gets -Wextra; before
 * C++20, fill a struct and call the function whose name ends in _with. */
#ifdef __cplusplus
#define GLIA_OPTIONS(type, ...) (type{.reserved_ = 0, __VA_ARGS__})
#else
#define GLIA_OPTIONS(type, ...) ((type){.reserved_ = 0, __VA_ARGS__})
#endif

typedef struct glia_graph glia_graph;     /* nodes and values; see graph.h */
typedef struct glia_value glia_value;     /* one edge of a graph: a typed, shaped result */
typedef struct glia_program glia_program; /* a planned graph, ready to run; see program.h */
typedef struct glia_model glia_model;     /* a graph with parameters and layers; see model.h */
typedef struct glia_dataset glia_dataset; /* examples; see data.h */

#endif

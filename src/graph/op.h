/* op.h: what an op is. One GLIA_OP block in one file of src/ops tells every reader of the graph (executor,
 * differentiator, planner, printer, exporters, tests, docs) all it may want to know; nothing outside src/ops
 * looks at an op's name to decide anything. */
#ifndef GLIA_OP_H
#define GLIA_OP_H

#include "core/field.h"
#include "glia/graph.h"
#include "glia/random.h"

enum { GLIA_MAX_INPUTS = 16, GLIA_MAX_OUTPUTS = 8 };

typedef struct glia_op glia_op;
typedef struct glia_stepping glia_stepping;
typedef struct glia_to_onnx glia_to_onnx;
typedef struct glia_c glia_c;           /* a writer of C; see graph/emit.h */
typedef struct glia_c_call glia_c_call; /* a node as its writer sees it */

typedef struct glia_type {
    glia_dtype dtype;
    glia_shape shape; /* dims may be symbolic while the graph is built, never while it runs */
} glia_type;

/* A dense C-order array at run time, borrowed from the plan. */
typedef struct glia_view {
    void *data;
    glia_dtype dtype;
    glia_shape shape;
} glia_view;

/* Rows of a known shape: what lies along the last dimension. */
static inline int64_t glia__rows_of(const glia_shape *shape) {
    int64_t rows = 1;
    for (int d = 0; d < shape->rank - 1; d++) rows *= shape->dim[d];
    return rows;
}

static inline size_t glia__type_bytes(const glia_type *type) {
    return (size_t)glia_shape_elems(&type->shape) * glia_dtype_bytes(type->dtype);
}

static inline glia_type glia__view_type(const glia_view *view) {
    return (glia_type){view->dtype, view->shape};
}

typedef enum glia_trait {
    GLIA_TRAIT_ELEMENTWISE = 1 << 0,   /* out[i] depends on in[i] only, inputs broadcast as in NumPy */
    GLIA_TRAIT_INPLACE = 1 << 1,       /* output 0 may use the memory of input 0 when types agree */
    GLIA_TRAIT_ALIAS = 1 << 2,         /* output 0 is input 0 with another shape: no work at run time */
    GLIA_TRAIT_TRAINING_ONLY = 1 << 3, /* identity of input 0 when not training */
    GLIA_TRAIT_RANDOM = 1 << 4,        /* draws numbers from call->step's seed */
    GLIA_TRAIT_NO_GRADIENT =
        1 << 5, /* no gradient by nature (comparison, argmax) or by choice (backward ops) */
    GLIA_TRAIT_ACTIVATION = 1 << 6, /* may be named by a layer's `activation` */
    GLIA_TRAIT_INTERNAL = 1 << 7,   /* made by gradients and passes, not by people: no public builder */
    GLIA_TRAIT_NO_ONNX = 1 << 8,    /* has no ONNX counterpart (backward ops) */
    GLIA_TRAIT_RESIDUAL = 1 << 9,   /* adds its input 3, of the result's type, where there is one */
    GLIA_TRAIT_OUTER = 1 << 10, /* output 0 is (input 1)ᵀ·input 0, output 1 the sum of input 1's rows */
    GLIA_TRAIT_NO_C = 1 << 11,  /* is not written as C (losses, which no network that predicts has) */
} glia_trait;

/* What stays the same during one run of a program. */
typedef struct glia_step {
    uint64_t seed;
    uint64_t number;       /* training step, so that random masks differ from step to step */
    int64_t first_example; /* where the program's batch begins in a larger one */
    bool training;
} glia_step;

/* One call of an op at run time. Absent optional inputs have data NULL and rank 0. A call may be one
 * piece of a call that was cut along dimension 0: ops whose result depends on the position (dropout) or on the
 * size of the whole (means) look at the last fields. */
typedef struct glia_call {
    const void *attrs;
    const glia_view *in;
    glia_view *out;
    int n_in, n_out;
    void *workspace; /* workspace_bytes of the op or kernel, 64-byte aligned; contents undefined */
    void *packed;    /* packed_bytes of the kernel: what its pack left there */
    const glia_step *step;
    int64_t first_elem; /* elementwise splits: flat index of element 0 in the whole output */
    int64_t first_row;  /* dimension 0 cut: where this piece begins in the whole */
    int64_t whole_rows; /* and the rows of the whole; 0: nothing is cut */
    const char *node;   /* for messages */
    glia_error *err;
} glia_call;

/* The gradient rule's view of a node: given dy (one per output, NULL where the loss does not use that
 * output), set dx[i] for the inputs with needed[i]. dx left NULL means zero. */
typedef struct glia_gradient {
    glia_graph *graph;
    glia_value *const *x; /* inputs */
    glia_value *const *y; /* outputs */
    glia_value *const *dy;
    const bool *needed;
    int n_in, n_out;
    const void *attrs;
    glia_value **dx;
} glia_gradient;

/* A test case: the op-test engine does the rest. Inputs are made from `inputs`, one word an input:
 *   "4x5"       f32 (f64 for the gradient check) normal values
 *   "4x5:pos"   positive, 0.5 … 2        "4x5:unit"  in (0.05, 0.95)
 *   "4x5:above" above 1, 1.2 … 2.7
 *   "4x5:away"  normal, but at least 0.1 away from every integer (kinks, ties)
 *   "4x5:distinct" distinct values at least 0.01 apart (max, argmax)
 *   "4:i64<10"  i64 in [0, 10)  (also i32<, u8<)      "4:bool"
 *   "-"         absent optional input          "scalar" rank 0
 * tolerance 0 means the default: 1e-5 relative for kernels, 1e-6 for gradients in f64. */
typedef struct glia_case {
    const char *inputs;
    const char *attrs; /* as text; NULL: defaults */
    double tolerance;
    const char *expect_error; /* non-NULL: inference must fail with a message that contains this */
} glia_case;

/* Inputs (bits) and outputs (bits) that are images, or lie as images do. */
#define GLIA_IMAGES(inputs, outputs) ((uint32_t)(inputs) | (uint32_t)(outputs) << GLIA_MAX_INPUTS)

struct glia_op {
    const char *name;
    int version;        /* rises when the meaning of attributes or results changes; saved in files */
    const char *doc;    /* formula in one line: "y = max(x, 0)" */
    const char *source; /* article, standard or library that defines it, where it is not obvious */
    int min_inputs, max_inputs;
    int n_outputs;           /* 0 means 1 */
    uint32_t traits;         /* glia_trait */
    uint32_t shape_only;     /* bit i: only the shape of input i matters, not its data */
    uint32_t no_gradient;    /* bit o: gradients do not go through output o, a statistic */
    const glia_field *attrs; /* NULL: none */
    size_t attrs_size;
    uint32_t images; /* GLIA_IMAGES of an op with the attribute channels_last: which arrays it is about */
    /* Types of the outputs from types of the inputs. `in[i].shape.rank` is -1 for an absent optional input.
     */
    glia_status (*infer)(const glia_type *in, int n_in, const void *attrs, glia_type *out, glia_error *err);
    void (*grad)(glia_gradient *g);
    /* How the op goes on with sequences some steps at a time: adds what does to another graph (graph/step.h). NULL:
     * elementwise ops are themselves there; others cannot. */
    void (*step)(glia_stepping *s);
    /* Plain loops over dense arrays: the oracle of every test and the fallback of every machine. f32 and f64,
     * and bf16 where infer allows it. */
    glia_status (*ref)(const glia_call *call);
    /* Bytes of call->workspace that ref needs (NULL: 0). Shapes are known. */
    size_t (*workspace)(const glia_type *in, const glia_type *out, const void *attrs);
    /* Which inputs are cut along dimension 0 together with all outputs (bit i), because row r of the outputs
     * depends on row r of those inputs only; 0: cannot be cut. NULL: never. Elementwise ops need none. */
    uint32_t (*rows)(const glia_type *in, int n_in, const void *attrs);
    /* Which inputs may be cut along dimension 0 so that the op's results on the pieces, added up, are its results
     * on the whole, as for gradients of parameters; 0: cannot be cut. NULL: never. */
    uint32_t (*sums)(const glia_type *in, int n_in, const void *attrs);
    /* Floating-point operations of one run, for plans and reports (NULL: one per output element). */
    double (*flops)(const glia_type *in, const glia_type *out, const void *attrs);
    /* Bytes that one run reads and writes, where that is not every array once (NULL). */
    double (*bytes)(const glia_type *in, const glia_type *out, const void *attrs);
    /* The op that adds the same to an array instead of to zeros: to its input 0, in place of this one's, of which only the
     * shape matters. NULL: there is none. */
    const char *onto;
    /* In ONNX: the operator that is the same one-to-one ("Relu"), with the first opset in which it is; or onnx_write, which
     * adds the nodes that compute the op (graph/to_onnx.h). With both, `onnx` is the operator that comes near. */
    const char *onnx;
    int onnx_since;
    void (*onnx_write)(glia_to_onnx *w);
    const char *c_expr; /* elementwise: C expression in x (and y, z), of tgmath.h; see ops/expr.h */
    /* The expression where it depends on types or attributes; NULL: this cannot be said in C. */
    const char *(*c_expr_for)(const glia_type *in, const glia_type *out, const void *attrs);
    /* Writes the body of a C function that computes the outputs in inference: graph/emit.h. */
    glia_status (*emit_c)(glia_c *c, const glia_c_call *call);
    const glia_case *cases; /* ends with inputs == NULL */
};

#define GLIA_OP(op_name) const glia_op glia__op_##op_name
#define GLIA_CASES(...)    \
    (const glia_case[]) {  \
        __VA_ARGS__, {     \
            .inputs = NULL \
        }                  \
    }

/* The generated registry, sorted by name. */
extern const glia_op *const glia__ops[];
extern const size_t glia__ops_count;
const glia_op *glia__op_find(const char *name); /* NULL when unknown */

/* Infer and rows rules that many ops share. */
glia_status glia__infer_same(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                             glia_error *err); /* output 0 = input 0; must be float */
glia_status glia__infer_broadcast(const glia_type *in, int n_in, const void *attrs, glia_type *out,
                                  glia_error *err); /* equal number dtypes, NumPy broadcasting */
bool glia__shape_broadcast(const glia_shape *a, const glia_shape *b, glia_shape *out);
uint32_t glia__rows_first(const glia_type *in, int n_in, const void *attrs); /* input 0 only */
uint32_t glia__rows_all(const glia_type *in, int n_in, const void *attrs);   /* every input */
/* Inputs 0 and 1, when they have a dimension 0: losses of predictions and targets, and their gradients. */
uint32_t glia__rows_pair(const glia_type *in, int n_in, const void *attrs);
/* The inputs `cut`, unless the op works along dimension 0. */
uint32_t glia__rows_unless_first(int64_t axis, int rank, uint32_t cut);
/* The flops of an op that only moves data. */
double glia__no_flops(const glia_type *in, const glia_type *out, const void *attrs);
/* Elements of input `i` before the call was cut: what a mean divides by. */
int64_t glia__whole_elems(const glia_call *call, int i);
/* "f32 N×10", for messages; returns `out`. */
const char *glia__type_text(const glia_type *type, char *out, size_t capacity);
/* What infer rules check, with a message that names the types: f32 or f64 (or bf16); not bool or bf16;
 * equal dtypes; shapes that broadcast. */
glia_status glia__check_float(const glia_type *type, glia_error *err);
glia_status glia__check_float_or_bf16(const glia_type *type, glia_error *err);
glia_status glia__check_number(const glia_type *type, glia_error *err);
glia_status glia__check_same_dtype(const glia_type *a, const glia_type *b, glia_error *err);
glia_status glia__check_broadcast(const glia_shape *a, const glia_shape *b, glia_shape *out, glia_error *err);
/* dy is an array like y; for the infer rule of a backward op. */
glia_status glia__check_gradient(const glia_type *y, const glia_type *dy, const char *op, glia_error *err);
/* Parameters have the dtype of what they are applied to, but stay f32 beside bf16. */
glia_status glia__check_param_dtype(const glia_type *x, const glia_type *param, glia_error *err);
glia_dtype glia__param_dtype(glia_dtype x);
/* Indices are i64 or i32. */
static inline bool glia__is_index(glia_dtype dtype) {
    return dtype == GLIA_I64 || dtype == GLIA_I32;
}
static inline int64_t glia__index_at(const glia_view *indices, int64_t i) {
    return indices->dtype == GLIA_I64 ? ((const int64_t *)indices->data)[i]
                                      : ((const int32_t *)indices->data)[i];
}
glia_status glia__check_indices(const glia_type *indices, const char *op, glia_error *err);
/* Negative axes count from the end; false when out of range. */
bool glia__axis_resolve(int64_t axis, int rank, int *out);
/* The same as a check, with a message that names the op and the shape. */
glia_status glia__find_axis(int64_t axis, const glia_shape *shape, const char *op, int *out, glia_error *err);

/* Shorthand for gradient rules: nodes without attributes. */
glia_value *glia__apply1(const char *op, glia_value *a);
glia_value *glia__apply2(const char *op, glia_value *a, glia_value *b);
glia_value *glia__apply3(const char *op, glia_value *a, glia_value *b, glia_value *c);
/* A number with the dtype of `like`; and value · number. */
glia_value *glia__number(glia_value *like, double number);
glia_value *glia__scaled(glia_value *value, double number);
/* Takes a broadcast back: sums `value` over what was stretched, down to the shape of `like`. Adds no node when
 * the shapes are equal. glia__broadcast_to is its counterpart. */
glia_value *glia__sum_to(glia_value *value, glia_value *like);
glia_value *glia__broadcast_to(glia_value *value, glia_value *like);

/* Runs `...` with T as float or double. */
#define GLIA_FOR_FLOAT(dtype, ...) \
    do {                           \
        if ((dtype) == GLIA_F64) { \
            typedef double T;      \
            __VA_ARGS__            \
        } else {                   \
            typedef float T;       \
            __VA_ARGS__            \
        }                          \
    } while (0)

/* The same with T also i32, i64, u8 (bool counts as u8). */
#define GLIA_FOR_NUMBER(dtype, ...)             \
    do {                                        \
        switch (dtype) {                        \
        case GLIA_I32: {                        \
            typedef int32_t T;                  \
            __VA_ARGS__                         \
        } break;                                \
        case GLIA_I64: {                        \
            typedef int64_t T;                  \
            __VA_ARGS__                         \
        } break;                                \
        case GLIA_U8:                           \
        case GLIA_BOOL: {                       \
            typedef uint8_t T;                  \
            __VA_ARGS__                         \
        } break;                                \
        default:                                \
            GLIA_FOR_FLOAT(dtype, __VA_ARGS__); \
            break;                              \
        }                                       \
    } while (0)

#endif

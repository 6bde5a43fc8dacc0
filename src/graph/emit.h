/* emit.h: how an op is said in C99. An element-wise op gives an expression (.c_expr, or .c_expr_for where it depends on
 * types or attributes). Any other gives .emit_c, which writes the body of one function: its outputs from its inputs, all
 * dense arrays of known shapes.
 *
 * What is written is plain C99 that is C++ as well. Loops are ordered for the vectoriser of gcc -O2, which takes a loop only
 * when its trip count is a constant multiple of the vector's width and nothing may overlap: innermost loops run over a few
 * outputs that are kept in a local array, and several products are added in one statement. */
#ifndef GLIA_GRAPH_EMIT_H
#define GLIA_GRAPH_EMIT_H

#include "core/mem.h"
#include "graph/op.h"

typedef struct glia_c_array {
    const char *name; /* in the function; NULL: an input that is left out, or an output that nobody reads */
    glia_type type;
    const void *data; /* of a constant, dense; NULL: known only when the function runs */
} glia_c_array;

/* The node whose function is written. */
struct glia_c_call {
    const void *attrs;
    const glia_c_array *in, *out;
    int n_in, n_out;
    glia_error *err;
};

/* An element-wise op that is computed on every element before it is stored. */
typedef struct glia_c_rider {
    const glia_op *op;
    const void *attrs;
    const glia_type *in[3];
    const char *operands[3]; /* arrays; NULL: the value that comes from before */
    int n_in;
    glia_dtype out;
} glia_c_rider;

/* What the file needs for a function. */
enum {
    GLIA_C_MATH = 1 << 0, /* <math.h> */
    GLIA_C_EXP = 1 << 1,  /* PREFIX_exp and so on: floats, without <math.h> */
    GLIA_C_EXPM1 = 1 << 2,
    GLIA_C_LOG1P = 1 << 3,
    GLIA_C_TANH = 1 << 4,
    GLIA_C_DOT = 1 << 5 /* float PREFIX_dot(a, b, n) */
};

/* An array that is the function's alone: memory to work in, or a table. */
typedef struct glia_c_own {
    char name[12];
    glia_dtype dtype;
    int64_t elems;
    const void *data; /* of a table */
} glia_c_own;
enum { GLIA_C_OWN = 4 }; /* at most so many */

struct glia_c {
    const char *prefix; /* of names that the whole file sees */
    glia_text *text;
    int depth;
    uint32_t needs;
    bool fails;  /* the function may return -1 */
    double macs; /* multiplications and additions of a run */
    const glia_c_rider *riders;
    int n_riders;
    glia_arena *arena;
    /* Constants that the op wants in another order: what the caller passes in place of input i. */
    const void *repacked[GLIA_MAX_INPUTS];
    int64_t repacked_elems[GLIA_MAX_INPUTS];
    glia_c_own own[GLIA_C_OWN];
    int n_own;
};

/* A line, indented. One that ends with "{" indents what follows, one that begins with "}" ends that. */
void glia__c_line(glia_c *c, const char *format, ...) GLIA_PRINTF(2, 3);
/* for (int NAME = 0; NAME < n; NAME++) {  … ended by glia__c_end. */
void glia__c_for(glia_c *c, const char *name, int64_t n);
void glia__c_end(glia_c *c);
/* Output 0 at `index` = `value`, by way of the riders. Every element must be stored so, at last. */
void glia__c_store(glia_c *c, const glia_c_call *call, const char *index, const char *value);
/* return -1 when `condition` holds. */
void glia__c_fail_if(glia_c *c, const char *condition);
/* Memory for input i in another order, to be filled; the function then finds that under the input's name. NULL when the
 * input is no constant, or out of memory (then `c->text` has failed). */
void *glia__c_repack(glia_c *c, const glia_c_call *call, int input, int64_t elems);
/* Memory in the arena while the function runs; returns its name in the function. Its contents are undefined at first. */
const char *glia__c_work(glia_c *c, glia_dtype dtype, int64_t elems);
/* A constant array, to be filled; `*name` in the function. NULL when out of memory (then `c->text` has failed). */
void *glia__c_table(glia_c *c, glia_dtype dtype, int64_t elems, const char **name);
/* The file gets what the function calls. */
void glia__c_need(glia_c *c, uint32_t needs);

/* "float"; NULL for a dtype that is not emitted. */
const char *glia__c_type(glia_dtype dtype);
/* Appends a number of that dtype as C text that is read back with the same bits. Infinities and NaN need <math.h>. */
void glia__c_number(glia_text *text, glia_dtype dtype, double value);
bool glia__c_number_needs_math(double value);
/* Appends the op's expression; `operands` are C expressions. */
void glia__c_expression(glia_c *c, glia_text *out, const glia_c_rider *op, const char *const operands[3]);
/* The expression itself, or NULL for an op that has none. */
const char *glia__c_expr_text(const glia_op *op, const glia_type *in, const glia_type *out,
                              const void *attrs);

/* A box of elements: loops over `rank` dimensions, y[to + Σ i·to_step] = x[from + Σ i·from_step]. */
typedef struct glia_c_box {
    int rank;
    int64_t dim[GLIA_MAX_RANK], from_step[GLIA_MAX_RANK], to_step[GLIA_MAX_RANK];
    int64_t from, to;
} glia_c_box;
/* Steps of a dense array of that shape. */
void glia__c_steps(const glia_shape *shape, int64_t *step);
/* Copies a box of `source`; `value` NULL. Else stores `value` in its every place. */
void glia__c_copy(glia_c *c, const glia_c_call *call, glia_c_box box, const char *source, const char *value);
/* "i0 * 12 + i1 + 4" for the variables i0, i1, …; "0" for none. Returns `out`. */
const char *glia__c_index(int rank, const char *variable, const int64_t *step, int64_t offset, char *out,
                          size_t capacity);

#endif

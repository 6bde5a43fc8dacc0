/* fused.h: several elementwise ops as one: what the op fused_elementwise and its kernel share.
 *
 * The attribute `members` is a small program, one op after another: "mul(x0,x1);clip(y0|min=0|max=6);add(y1,x2)". Operand x2
 * is input 2 of the fused op, y1 the result of member 1; the last member's result is that of the op. It is read
 * without allocating. */
#ifndef GLIA_OPS_FUSED_H
#define GLIA_OPS_FUSED_H

#include "graph/op.h"

enum { GLIA_FUSED_MEMBERS = 16, GLIA_FUSED_OPERANDS = 3, GLIA_FUSED_ATTRS = 64 };

typedef struct glia_fused_member {
    const glia_op *op;
    int n_in, in[GLIA_FUSED_OPERANDS]; /* an input; or GLIA_MAX_INPUTS + a member before */
    glia_dtype dtype;                  /* of the result */
    int slot;                          /* which buffer holds a tile of the result */
    _Alignas(16) char attrs[GLIA_FUSED_ATTRS];
} glia_fused_member;

typedef struct glia_fused {
    int count, slots;
    size_t slot_width; /* bytes of the widest element */
    bool over_input_0; /* the last member may write where input 0 lies */
    glia_fused_member members[GLIA_FUSED_MEMBERS];
} glia_fused;

typedef struct glia__fused_attrs {
    const char *members;
} glia__fused_attrs;

/* Whether an op may be a member. */
bool glia__fused_takes(const glia_op *op);
/* Reads the program for inputs of these types; *out is the type of the result. */
glia_status glia__fused_read(glia_fused *fused, const char *members, const glia_type *in, int n_in,
                             glia_type *out, glia_error *err);
/* Runs all members on `tile` elements before the next. */
glia_status glia__fused_run(const glia_fused *fused, const glia_call *call, int64_t tile);
/* Bytes of call->workspace that a run with such tiles needs. */
size_t glia__fused_workspace(const glia_fused *fused, int64_t tile);

#endif

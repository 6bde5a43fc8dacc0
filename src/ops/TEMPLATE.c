/* TEMPLATE.c: copy this file (or one block of it into the family file where it belongs), rename, fill in. It is not
 * compiled. The build finds the block by its first line; tests, docs row and header line follow from it.
 * Recipe: CONTRIBUTING.md, "Add an op". */

#include <math.h>

#include "glia/ops.h"
#include "graph/op.h"

#ifdef GLIA_OPS_HEADER
/* y = x if x > 0 else slope·x. [any shape] → same. */
typedef struct glia_my_relu_attrs {
    double slope;
} glia_my_relu_attrs;
GLIA_API glia_value *glia_op_my_relu(glia_value *x, glia_my_relu_attrs attrs);
#endif /* GLIA_OPS_HEADER */

static glia_status my_relu_ref(const glia_call *c) {
    const glia_my_relu_attrs *a = c->attrs;
    int64_t n = glia_shape_elems(&c->out[0].shape);
    GLIA_FOR_FLOAT(c->out[0].dtype, {
        const T *x = c->in[0].data;
        T *y = c->out[0].data;
        for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : (T)a->slope * x[i];
    });
    return GLIA_OK;
}

/* dx = dy where x > 0, slope·dy elsewhere. Build nodes with glia_op_* or glia_graph_apply; they accept and pass on
 * NULL. */
static void my_relu_grad(glia_gradient *g) {
    const glia_my_relu_attrs *a = g->attrs;
    glia_value *positive = glia_op_greater(g->x[0], glia__number(g->x[0], 0));
    g->dx[0] = glia_op_where(positive, g->dy[0], glia__scaled(g->dy[0], a->slope));
}

GLIA_OP(my_relu) = {
    .name = "my_relu",
    .version = 1,
    .doc = "y = x if x > 0 else slope·x",
    .source = "Maas, Hannun, Ng, ICML workshop 2013",
    .min_inputs = 1,
    .max_inputs = 1,
    .traits = GLIA_TRAIT_ELEMENTWISE | GLIA_TRAIT_INPLACE,
    .attrs = GLIA_FIELDS({.name = "slope",
                          .kind = GLIA_FIELD_FLOAT,
                          .offset = offsetof(glia_my_relu_attrs, slope),
                          .initial = "0.01",
                          .doc = "factor of negative inputs",
                          .onnx = "alpha"}),
    .attrs_size = sizeof(glia_my_relu_attrs),
    .infer = glia__infer_same,
    .grad = my_relu_grad,
    .ref = my_relu_ref,
    .onnx = "LeakyRelu",
    .onnx_since = 6,
    .c_expr = "x > 0 ? x : slope * x",
    .cases = GLIA_CASES({.inputs = "4x5:away"}, {.inputs = "2x3x4:away", .attrs = "slope=0.3"},
                        {.inputs = "3:i64<9", .expect_error = "expected f32 or f64, found i64 3"}),
};

glia_value *glia_op_my_relu(glia_value *x, glia_my_relu_attrs attrs) {
    return glia_graph_apply(glia_value_graph(x), "my_relu", &x, 1, &attrs);
}

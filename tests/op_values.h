/* op_values.h: for tests of ops against known values: arrays from numbers, and running a graph for one value. */
#ifndef GLIA_TESTS_OP_VALUES_H
#define GLIA_TESTS_OP_VALUES_H

#include "test.h"

#include "glia/ops.h"
#include "glia/program.h"

static inline glia_value *array(glia_graph *g, glia_dtype dtype, glia_shape shape, const double *numbers) {
    glia_tensor t;
    glia_error err = {0};
    CHECK_OK(glia_tensor_new(&t, dtype, shape, NULL, &err), &err);
    for (int64_t i = 0; i < glia_shape_elems(&shape); i++) glia_tensor_set(&t, i, numbers[i]);
    glia_value *value = glia_graph_const(g, &t);
    glia_tensor_free(&t);
    return value;
}
#define NUMBERS(...)       ((const double[]){__VA_ARGS__})
#define F64(g, shape, ...) array(g, GLIA_F64, shape, NUMBERS(__VA_ARGS__))
#define F32(g, shape, ...) array(g, GLIA_F32, shape, NUMBERS(__VA_ARGS__))
#define I32(g, shape, ...) array(g, GLIA_I32, shape, NUMBERS(__VA_ARGS__))
#define I64(g, shape, ...) array(g, GLIA_I64, shape, NUMBERS(__VA_ARGS__))
#define D(...)             GLIA_SHAPE(__VA_ARGS__)
#define ALL                ((glia_reduce_attrs){{0}, GLIA_NO})
#define AXES(...)          ((glia_reduce_attrs){GLIA_SHAPE(__VA_ARGS__), GLIA_NO})
#define KEPT(...)          ((glia_reduce_attrs){GLIA_SHAPE(__VA_ARGS__), GLIA_YES})
#define ARG_ALL            ((glia_arg_attrs){.keep_dims = GLIA_NO})
#define ARG_AXIS(axis)     ((glia_arg_attrs){.axes = GLIA_SHAPE(axis)})

/* Runs the graph for `value` and compares every element; NaN equals NaN. */
static inline void check_values(const char *what, int line, glia_value *value, const double *expected,
                                int64_t count, double tolerance) {
    glia_program *program = NULL;
    glia_error err = {0};
    glia_status status = GLIA_INTERNAL;
    test_checks++;
    if (value)
        status =
            glia_program_new(&program, glia_value_graph(value), &value, 1,
                             (glia_program_options){.threads = 1, .training = GLIA_YES, .seed = 7}, &err);
    if (status == GLIA_OK) status = glia_program_run(program, 3, &err);
    glia_tensor out = status == GLIA_OK ? glia_program_output(program, value) : (glia_tensor){0};
    if (status != GLIA_OK || glia_shape_elems(&out.shape) != count) {
        test_failures++;
        printf("line %d: %s: %s\n", line, what,
               status == GLIA_OK ? "another number of elements" : err.message);
        glia_program_free(program);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double found = glia_tensor_get(&out, i), wanted = expected[i];
        if (found == wanted || (isnan(found) && isnan(wanted)) ||
            fabs(found - wanted) <= tolerance * fmax(1, fabs(wanted)))
            continue;
        test_failures++;
        printf("line %d: %s: element %lld is %.12g, expected %.12g\n", line, what, (long long)i, found,
               wanted);
    }
    glia_program_free(program);
}
#define GIVES(value, ...) \
    check_values(#value, __LINE__, value, NUMBERS(__VA_ARGS__), sizeof(NUMBERS(__VA_ARGS__)) / 8, 1e-8)
#define GIVES_F32(value, ...) \
    check_values(#value, __LINE__, value, NUMBERS(__VA_ARGS__), sizeof(NUMBERS(__VA_ARGS__)) / 8, 1e-6)

/* d(Σ y)/dx */
static inline glia_value *gradient(glia_value *y, glia_value *x) {
    glia_value *dx = NULL;
    glia_error err = {0};
    glia_value *loss = glia_op_sum(y, ALL);
    CHECK_OK(glia_graph_gradients(glia_value_graph(x), loss, &x, 1, &dx, &err), &err);
    return dx;
}

#endif

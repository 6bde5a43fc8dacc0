/* check.c: two graphs on the same made-up examples. */

#include "io/check.h"

#include <math.h>
#include <stdio.h>

#include "glia/program.h"
#include "glia/random.h"

double glia__check_distance(double wanted, double found) {
    if (wanted == found || (isnan(wanted) && isnan(found))) return 0;
    const double off = fabs(found - wanted) / (1 + fabs(wanted));
    return isnan(off) ? INFINITY : off;
}

glia_status glia__check_finish(glia_export_result *result, const char *what, double worst, const char *path,
                               glia_error *err) {
    result->difference = worst;
    snprintf(result->check, sizeof result->check, "%s, at most %.1e from what Glia predicts", what, worst);
    if (worst <= 1e-4) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_DATA, "%.300s predicts otherwise than Glia: %s", path, result->check);
}

/* --- one side -------------------------------------------------------------------------------------------- */

static glia_program_options program_options(const glia_graph *graph) {
    glia_program_options options = {.threads = 1, .allocator = graph->allocator};
    for (int i = 0; i < GLIA_DIM_SYMBOLS; i++) options.dims[i] = GLIA_CHECK_EXAMPLES;
    return options;
}

/* Numbers from −2 to 2; whole ones are 0 or 1, which are in the range of every table. */
static glia_status make_input(glia_tensor *out, const glia_inference *model, int number, glia_error *err) {
    const glia_type *type = &model->inputs[number]->type;
    const bool whole = glia__graph_takes_whole(model->graph, model->inputs[number]);
    const glia_random random = {.seed = 1, .stream = (uint64_t)number};
    glia_shape shape = type->shape;
    for (int d = 0; d < shape.rank; d++)
        if (shape.dim[d] < 0) shape.dim[d] = GLIA_CHECK_EXAMPLES;
    GLIA_TRY(glia_tensor_new(out, type->dtype, shape, model->graph->allocator, err));
    for (int64_t i = glia_shape_elems(&shape); i-- > 0;) {
        const double byte = (double)glia_random_below(random, (uint64_t)i, 256);
        glia_tensor_set(out, i, whole ? fmod(byte, 2) : (byte - 128) / 64);
    }
    return GLIA_OK;
}

static glia_status run(glia_program **program, const glia_graph *graph, glia_value *const *inputs,
                       const glia_tensor *tensors, int n_inputs, glia_value *const *outputs, int n_outputs,
                       glia_error *err) {
    GLIA_TRY(glia_program_new(program, graph, outputs, n_outputs, program_options(graph), err));
    for (size_t v = 0; v < graph->n_values; v++) {
        const glia_value *value = graph->values[v];
        if (value->kind == GLIA_VALUE_PARAM && value->data)
            GLIA_TRY(glia_program_bind(*program, value, (void *)(uintptr_t)value->data, err));
    }
    for (int i = 0; i < n_inputs; i++) GLIA_TRY(glia_program_bind(*program, inputs[i], tensors[i].data, err));
    return glia_program_run(*program, 0, err);
}

/* --- both ------------------------------------------------------------------------------------------------ */

static glia_status compare(const glia_tensor *wanted, const glia_tensor *found, double *worst,
                           const char *path, glia_error *err) {
    char a[128], b[128];
    if (wanted->dtype != found->dtype || !glia_shape_equal(&wanted->shape, &found->shape))
        return glia_error_set(err, GLIA_BAD_DATA, "%.300s gives %s %s, Glia %s %s", path,
                              glia_dtype_name(found->dtype), glia_shape_text(&found->shape, a, sizeof a),
                              glia_dtype_name(wanted->dtype), glia_shape_text(&wanted->shape, b, sizeof b));
    for (int64_t i = glia_shape_elems(&wanted->shape); i-- > 0;)
        *worst = fmax(*worst, glia__check_distance(glia_tensor_get(wanted, i), glia_tensor_get(found, i)));
    return GLIA_OK;
}

glia_status glia__check_graph(const glia_inference *model, const glia_graph *graph, glia_value *const *inputs,
                              glia_value *const *outputs, const char *path, glia_export_result *result,
                              glia_error *err) {
    glia_tensor made[GLIA_MAX_INPUTS] = {{.data = NULL}};
    glia_program *ours = NULL, *theirs = NULL;
    glia_status status = GLIA_OK;
    double worst = 0;
    for (int i = 0; i < model->n_inputs && status == GLIA_OK; i++)
        status = make_input(&made[i], model, i, err);
    if (status == GLIA_OK)
        status = run(&ours, model->graph, model->inputs, made, model->n_inputs, model->outputs,
                     model->n_outputs, err);
    if (status == GLIA_OK)
        status = run(&theirs, graph, inputs, made, model->n_inputs, outputs, model->n_outputs, err);
    for (int o = 0; o < model->n_outputs && status == GLIA_OK; o++) {
        const glia_tensor wanted = glia_program_output(ours, model->outputs[o]),
                          found = glia_program_output(theirs, outputs[o]);
        status = compare(&wanted, &found, &worst, path, err);
    }
    glia_program_free(ours);
    glia_program_free(theirs);
    for (int i = 0; i < model->n_inputs; i++) glia_tensor_free(&made[i]);
    if (status != GLIA_OK) return status;
    char what[64];
    snprintf(what, sizeof what, "%d made-up examples", GLIA_CHECK_EXAMPLES);
    return glia__check_finish(result, what, worst, path, err);
}

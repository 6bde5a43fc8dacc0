/* tta.c: test-time augmentation: what a run says of a picture is the mean of what it says of it and of its mirror image. The
 * model's graph holds both, with one set of weights, so that evaluating, predicting and exporting need no other way. */

#include "glia/ops.h"
#include "graph/op.h"
#include "recipe/run.h"
#include "train/model.h"

static glia_status check(const glia_run *run, glia_error *err) {
    char shape[96];
    const glia_shape *in = &run->input_shape;
    if (!run->classes || run->target_shape.rank)
        return glia_error_set(
            err, GLIA_UNSUPPORTED,
            "test-time augmentation: expected a model that gives a picture one class; what '%s' "
            "gives would have to be mirrored too",
            run->recipe->name);
    if (run->recipe->n_inputs || run->recipe->n_losses)
        return glia_error_set(
            err, GLIA_UNSUPPORTED,
            "test-time augmentation: expected a model of one input and one output, '%s' names several",
            run->recipe->name);
    if (in->rank == 3 && run->channel_axis == 0) return GLIA_OK;
    return glia_error_set(
        err, GLIA_UNSUPPORTED,
        "test-time augmentation: expected a model of pictures (channels×height×width), '%s' "
        "takes examples of %s",
        run->recipe->name, glia_shape_text(in, shape, sizeof shape));
}

glia_status glia_run_average_mirrored(glia_run *run, glia_error *err) {
    glia_model *model = run->model;
    const glia_scope *outside = model->scope;
    GLIA_TRY(check(run, err));
    if (model->averaged) return GLIA_OK;
    glia_value *turned = glia_op_slice(
        model->inputs[0], (glia_slice_attrs){.axis = -1, .start = -1, .end = INT64_MIN, .step = -1});
    /* Its layers are called mirror.NAME, and have the weights of NAME. */
    if (turned && glia__scope_open(model, "mirror", NULL, "mirror", "")) {
        glia_value *mirrored = glia__recipe_build_list(&run->recipe->model, model, &turned, 1, NULL);
        glia__scope_back(model, outside);
        glia_value *sum = mirrored ? glia_op_add(model->output, mirrored) : NULL;
        model->averaged = model->output;
        if (sum) glia_model_set_output(model, glia_op_mul(sum, glia__number(sum, 0.5)));
    }
    return glia_model_status(model, err);
}

/* predict.c: what a model says to inputs: once, or one call after another. */

#include <math.h>

#include "train/runner.h"
#include "train/trainer.h"

/* Logits of one position, `step` apart, to probabilities. */
static void to_probabilities(float *x, int64_t n, int64_t step) {
    if (n == 1) {
        x[0] = 1 / (1 + expf(-x[0]));
        return;
    }
    float top = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++) top = fmaxf(top, x[i * step]);
    for (int64_t i = 0; i < n; i++) sum += x[i * step] = expf(x[i * step] - top);
    for (int64_t i = 0; i < n; i++) x[i * step] /= sum;
}

/* Those of an example: [C], [positions, C] or, of pictures, [C, positions]. */
static void example_to_probabilities(const glia_model *model, float *x, int64_t width) {
    const glia_shape shape = glia_value_shape(model->output);
    const bool first = shape.rank > 3;
    const int64_t units = shape.rank < 2 ? 1 : shape.dim[first ? 1 : shape.rank - 1];
    const int64_t positions = width / GLIA_MAX(units, 1);
    for (int64_t i = 0; i < positions; i++)
        to_probabilities(x + i * (first ? 1 : units), units, first ? positions : 1);
}

static glia_status check_tensors(const glia_model *model, const glia_tensor *inputs, const glia_tensor *out,
                                 glia_error *err) {
    char want[96], have[96];
    glia_shape example = {.rank = inputs->shape.rank - 1}, expected = glia_value_shape(model->output);
    if (inputs->dtype != GLIA_F32 || inputs->shape.rank < 1 || !inputs->data)
        return glia_error_set(err, GLIA_BAD_SHAPE, "inputs must be an f32 array of examples, got %s %s",
                              glia_dtype_name(inputs->dtype),
                              glia_shape_text(&inputs->shape, have, sizeof have));
    memcpy(example.dim, inputs->shape.dim + 1, (size_t)example.rank * sizeof example.dim[0]);
    GLIA_TRY(glia__model_check_input(model, &example, err));
    expected.dim[0] = inputs->shape.dim[0];
    if (out->dtype == GLIA_F32 && out->data && glia_shape_equal(&expected, &out->shape)) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_SHAPE, "the result needs an f32 array of %s, got %s %s",
                          glia_shape_text(&expected, want, sizeof want), glia_dtype_name(out->dtype),
                          glia_shape_text(&out->shape, have, sizeof have));
}

/* Rows [row, row + count) as one batch. */
static glia_status predict_rows(glia_runner *runner, const glia_tensor *inputs, bool probabilities,
                                glia_tensor *out, int64_t row, int64_t count, glia_error *err) {
    const glia_model *model = runner->model;
    const int64_t rows = inputs->shape.dim[0];
    const int64_t in = glia_shape_elems(&inputs->shape) / rows, width = glia_shape_elems(&out->shape) / rows;
    float *y = (float *)out->data + row * width;
    GLIA_TRY(glia__runner_run(runner, GLIA_RUN_PREDICT, (const float *)inputs->data + row * in, NULL, count,
                              0, NULL, err));
    memcpy(y, glia__runner_predictions(runner).data, (size_t)(count * width) * sizeof(float));
    for (int64_t i = 0; probabilities && !glia__model_gives_probabilities(model) && i < count; i++)
        example_to_probabilities(model, y + i * width, width);
    return GLIA_OK;
}

glia_status glia_predict(glia_model *model, const glia_tensor *inputs, bool probabilities, glia_tensor *out,
                         glia_error *err) {
    enum { BATCH = 256 };
    GLIA_TRY(glia__model_with_weights(model, err));
    GLIA_TRY(check_tensors(model, inputs, out, err));
    glia_runner runner = {.model = model};
    const int64_t rows = inputs->shape.dim[0];
    glia_status status = GLIA_OK;
    for (int64_t row = 0; row < rows && status == GLIA_OK; row += BATCH) {
        glia__runner_reset_states(&runner);
        status =
            predict_rows(&runner, inputs, probabilities, out, row, GLIA_MIN(rows - row, (int64_t)BATCH), err);
    }
    glia__runner_deinit(&runner);
    return status;
}

/* --- one call after another --------------------------------------------------------------------------------- */

struct glia_predictor {
    glia_runner runner;
};

glia_status glia_predictor_new(glia_predictor **out, glia_model *model, int threads, glia_error *err) {
    *out = NULL;
    GLIA_TRY(glia__model_with_weights(model, err));
    glia_predictor *p = glia__calloc(model->allocator, 1, sizeof *p);
    if (!p) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    p->runner = (glia_runner){.model = model, .threads = threads};
    *out = p;
    return GLIA_OK;
}

glia_status glia_predictor_run(glia_predictor *p, const glia_tensor *inputs, bool probabilities,
                               glia_tensor *out, glia_error *err) {
    GLIA_TRY(check_tensors(p->runner.model, inputs, out, err));
    if (!inputs->shape.dim[0]) return GLIA_OK;
    return predict_rows(&p->runner, inputs, probabilities, out, 0, inputs->shape.dim[0], err);
}

void glia_predictor_reset_states(glia_predictor *p) {
    glia__runner_reset_states(&p->runner);
}

void glia_predictor_free(glia_predictor *p) {
    if (!p) return;
    const glia_allocator *allocator = p->runner.model->allocator;
    glia__runner_deinit(&p->runner);
    glia__free(allocator, p, sizeof *p);
}

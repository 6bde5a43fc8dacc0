// 01_xor.c: the smallest network that needs a hidden layer, in four steps: arrays, a model, fit, predict.
// prints: XOR learned
#include <glia/glia.h>
#include <stdio.h>

int main(void) {
    float inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, guesses[4][1];
    int64_t answers[4] = {0, 1, 1, 0};
    // A tensor wraps an array of ours: its type and its shape, the examples first.
    glia_tensor x = glia_tensor_wrap(inputs, GLIA_F32, GLIA_SHAPE(4, 2));
    glia_tensor y = glia_tensor_wrap(answers, GLIA_I64, GLIA_SHAPE(4));
    glia_tensor out = glia_tensor_wrap(guesses, GLIA_F32, GLIA_SHAPE(4, 1));

    glia_error err = {0};
    glia_dataset *data = NULL;
    glia_model *model = glia_model_new("xor");
    // Layers are applied one after another. Options are named; what is left out has its default.
    glia_value *v = glia_input(model, "bits", .shape = {2});
    v = glia_dense(v, .units = 8, .activation = "tanh");
    v = glia_dense(v, .units = 1); // above 0 means yes: two classes, told by one number
    glia_model_set_output(model, v);
    // Each step may fail: `err` then says what happened, and the later steps are left out.
    glia_status status = glia_dataset_wrap(&data, &x, &y, 2, &err);
    if (status == GLIA_OK)
        status = glia_fit(model, data, .epochs = 400, .batch_size = 4,
                          .optimizer = glia_adam(.learning_rate = 0.05), .error = &err);
    if (status == GLIA_OK) status = glia_predict(model, &x, true, &out, &err); // true: as probabilities
    int right = 0;
    for (int i = 0; status == GLIA_OK && i < 4; i++) {
        printf("%g xor %g = %.3f\n", inputs[i][0], inputs[i][1], guesses[i][0]);
        right += (guesses[i][0] > 0.5f) == answers[i];
    }
    puts(status != GLIA_OK ? err.message : right == 4 ? "XOR learned" : "not learned");
    glia_dataset_free(data);
    glia_model_free(model);
    return right == 4 ? 0 : 1;
}

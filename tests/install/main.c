/* A program of a user of the installed library: C11, and C++20 as it is. tests/test_install.sh builds and runs it. */
#include <glia/glia.h>
#include <stdio.h>

int main(void) {
    float inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, guesses[4];
    int64_t answers[4] = {0, 1, 1, 0};
    glia_tensor x = glia_tensor_wrap(inputs, GLIA_F32, GLIA_SHAPE(4, 2));
    glia_tensor y = glia_tensor_wrap(answers, GLIA_I64, GLIA_SHAPE(4));
    glia_tensor out = glia_tensor_wrap(guesses, GLIA_F32, GLIA_SHAPE(4, 1));
    glia_error err = {GLIA_OK};
    glia_dataset *data = NULL;
    glia_model *model = glia_model_new("xor");
    glia_value *v = glia_input(model, "bits", .shape = {2});
    v = glia_dense(v, .units = 8, .activation = "tanh");
    glia_model_set_output(model, glia_dense(v, .units = 1));

    glia_status status = glia_dataset_wrap(&data, &x, &y, 2, &err);
    if (status == GLIA_OK)
        status = glia_fit(model, data, .optimizer = glia_adam(.learning_rate = 0.05), .epochs = 400,
                          .batch_size = 4, .error = &err);
    if (status == GLIA_OK) status = glia_predict(model, &x, true, &out, &err);
    int right = 0;
    for (int i = 0; status == GLIA_OK && i < 4; i++) right += (guesses[i] > 0.5f) == answers[i];
    if (status != GLIA_OK) printf("%s\n", err.message);
    printf("glia %s: %d of 4 right\n", glia_version(), right);
    glia_dataset_free(data);
    glia_model_free(model);
    return right == 4 ? 0 : 1;
}

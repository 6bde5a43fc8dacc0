// 02_mnist_fit.c: the network of the classic tutorial on handwritten digits, with glia_fit.
//
//     02_mnist_fit [EPOCHS [EXAMPLES]]      default: 10 epochs on all 60,000
//
// Shows a data set by name (found in $GLIA_DATA, in your cache, or downloaded), layers for pictures, progress, the
// figures of an evaluation, and saved weights (digits.safetensors in the current folder). examples/mnist_cnn.yaml is
// the same network as a model file. Next: 03_mnist_loop.c.
//
// prints: digits learned
// arguments: 1 6000
// data: mnist
#include <glia/glia.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int64_t epochs = argc > 1 ? atoll(argv[1]) : 10, limit = argc > 2 ? atoll(argv[2]) : 0;
    glia_error err = {0};
    glia_dataset *train = NULL, *test = NULL;
    glia_report report = {0};

    glia_model *model = glia_model_new("digits");
    glia_value *x = glia_input(model, "image", .shape = {1, 28, 28});
    // 28×28 grey pixels → 32 maps of 26×26 → the strongest of every 2×2 → one number for each digit. There is no
    // softmax at the end: the loss for classes has it.
    x = glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .activation = "relu");
    x = glia_max_pool2d(x, .size = {2, 2});
    x = glia_dense(glia_flatten(x), .units = 10);
    glia_model_set_output(model, x);

    glia_dataset_options options = {.limit = limit}; // 0: no limit
    glia_status status = glia_dataset_open_with(&train, "mnist:train", options, &err);
    if (status == GLIA_OK) status = glia_dataset_open_with(&test, "mnist:test", options, &err);
    if (status == GLIA_OK)
        status = glia_fit(model, train, .epochs = epochs, .batch_size = 128, .progress = true,
                          .optimizer = glia_adam(.learning_rate = 1e-3), .error = &err);
    if (status == GLIA_OK) {
        report = glia_evaluate(model, test, .error = &err);
        printf("test accuracy %.4f, macro F1 %.4f\n", report.accuracy, report.f1);
        status = glia_model_save_weights(model, "digits.safetensors", &err);
    }
    puts(status != GLIA_OK ? err.message : report.accuracy > 0.8 ? "digits learned" : "not learned");
    glia_dataset_free(train);
    glia_dataset_free(test);
    glia_model_free(model);
    return status == GLIA_OK && report.accuracy > 0.8 ? 0 : 1;
}

// 03_mnist_loop.c: the same network with the training loop written by hand: forward, loss, backward, update.
//
//     03_mnist_loop [EPOCHS [EXAMPLES]]     default: 1 epoch on all 60,000
//
// Shows what glia_fit does inside: a loader hands out batches, a trainer computes loss and gradients and changes the
// weights. Write it so when a training needs something that glia_fit has not. Next: 04_regression.c.
//
// prints: the loss fell
// arguments: 1 6000
// data: mnist
#include <glia/glia.h>
#include <stdio.h>
#include <stdlib.h>

static glia_model *network(void) {
    glia_model *model = glia_model_new("digits");
    glia_value *x = glia_input(model, "image", .shape = {1, 28, 28});
    x = glia_conv2d(x, .filters = 32, .kernel = {3, 3}, .activation = "relu");
    x = glia_max_pool2d(x, .size = {2, 2});
    x = glia_dense(glia_flatten(x), .units = 10);
    glia_model_set_output(model, x);
    return model;
}

// One pass over the data. `first` and `last` become the losses of the first and the last batch.
static glia_status train_epoch(glia_trainer *trainer, glia_loader *loader, int64_t epoch, double *first,
                               double *last, glia_error *err) {
    glia_status status = glia_loader_start(loader, epoch, err);
    for (int64_t step = 0; status == GLIA_OK; step++) {
        glia_batch batch;
        double loss;
        status = glia_loader_next(loader, &batch, err);
        if (status != GLIA_OK || batch.count == 0) break;
        // Forward through the network to the loss, and backward to the gradient of every weight …
        status = glia_trainer_backward(trainer, batch.inputs, batch.targets, batch.count, &loss, err);
        if (status != GLIA_OK) break;
        // … then weight ← weight − learning_rate · gradient.
        status = glia_trainer_update(trainer, err);
        if (step == 0 && epoch == 0) *first = loss;
        *last = loss;
        if (step % 10 == 0) { // every gradient can be looked at: here the first weight of the first filter
            glia_tensor g = glia_trainer_gradient(trainer, 0);
            printf("epoch %lld step %3lld  loss %.4f  d loss/d conv2d.weight[0] %+.5f\n",
                   (long long)epoch + 1, (long long)step, loss, glia_tensor_get(&g, 0));
        }
    }
    return status;
}

int main(int argc, char **argv) {
    int64_t epochs = argc > 1 ? atoll(argv[1]) : 1, limit = argc > 2 ? atoll(argv[2]) : 0;
    glia_error err = {0};
    glia_dataset *data = NULL;
    glia_loader *loader = NULL;
    glia_trainer *trainer = NULL;
    glia_model *model = network();
    double first = 0, last = 0;

    glia_status status =
        glia_dataset_open_with(&data, "mnist:train", (glia_dataset_options){.limit = limit}, &err);
    if (status == GLIA_OK)
        status = glia_loader_new(&loader, data, (glia_loader_options){.batch_size = 128, .shuffle = GLIA_YES},
                                 &err);
    if (status == GLIA_OK)
        status = glia_trainer_new(
            &trainer, model, GLIA_TARGET_CLASS, (glia_shape){0},
            (glia_fit_options){.loss = "softmax_cross_entropy", .optimizer = glia_sgd(.learning_rate = 0.1)},
            &err);
    for (int64_t epoch = 0; status == GLIA_OK && epoch < epochs; epoch++)
        status = train_epoch(trainer, loader, epoch, &first, &last, &err);

    puts(status != GLIA_OK ? err.message : last < first / 2 ? "the loss fell" : "the loss did not fall");
    glia_trainer_free(trainer);
    glia_loader_free(loader);
    glia_dataset_free(data);
    glia_model_free(model);
    return status == GLIA_OK && last < first / 2 ? 0 : 1;
}

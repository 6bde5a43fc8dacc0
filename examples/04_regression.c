// 04_regression.c: predict a number: the price of a house from 13 figures about its place.
//
// Reads $GLIA_DATA/tabular/housing.csv (13 columns and the price in 1000 $) when it is there; else it makes up 500
// houses whose price depends on rooms, crime, poverty and distance, with some noise.
//
// Shows numbers as targets, a CSV file, columns of any unit made comparable (.normalize), a split into training and
// test, and what to look at in place of accuracy. examples/housing.yaml is the same task as a model file.
//
// prints: prices predicted
#include <glia/glia.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOUSES = 500, FIGURES = 13 };
static float figures[HOUSES][FIGURES], prices[HOUSES];

// Random numbers are counted, not drawn: number i of a stream is always the same.
static glia_status make_up(glia_dataset **out, glia_error *err) {
    glia_random random = {.seed = 1, .stream = glia_random_stream("houses")};
    for (uint64_t i = 0; i < HOUSES; i++) {
        for (uint64_t k = 0; k < FIGURES; k++) figures[i][k] = (float)glia_random_normal(random, i * 16 + k);
        float crime = figures[i][0], rooms = figures[i][5], distance = figures[i][7],
              poverty = figures[i][12];
        prices[i] = 22 + 5 * rooms + 1.5f * rooms * rooms - 4 * tanhf(poverty) - crime -
                    2 * distance * (poverty > 0) + (float)glia_random_normal(random, i * 16 + 15);
    }
    glia_tensor x = glia_tensor_wrap(figures, GLIA_F32, GLIA_SHAPE(HOUSES, FIGURES));
    glia_tensor y = glia_tensor_wrap(prices, GLIA_F32, GLIA_SHAPE(HOUSES));
    return glia_dataset_wrap(out, &x, &y, 0, err);
}

static glia_status open_houses(glia_dataset **out, glia_error *err) {
    char source[1024];
    const char *folder = getenv("GLIA_DATA");
    snprintf(source, sizeof source, "csv:%s/tabular/housing.csv", folder ? folder : ".");
    FILE *there = fopen(source + 4, "r");
    if (!there) return make_up(out, err);
    fclose(there);
    return glia_dataset_open_with(
        out, source, (glia_dataset_options){.target = "values", .label = "last", .normalize = GLIA_YES}, err);
}

int main(void) {
    glia_error err = {0};
    glia_dataset *all = NULL, *train = NULL, *test = NULL;
    glia_report r = {0};
    glia_model *model = glia_model_new("houses");
    glia_value *x = glia_input(model, "figures", .shape = {FIGURES});
    x = glia_dense(x, .units = 32, .activation = "relu");
    x = glia_dense(x, .units = 16, .activation = "relu");
    glia_model_set_output(model, glia_dense(x, .units = 1)); // one number, of any size: no activation

    glia_status status = open_houses(&all, &err);
    // A fifth of the houses is kept for the test: seed 1 says which.
    if (status == GLIA_OK) status = glia_dataset_split(&train, &test, all, 0.2, false, 1, &err);
    if (status == GLIA_OK)
        status = glia_fit(model, train, .loss = "mse", .epochs = 100, .batch_size = 32,
                          .optimizer = glia_adam(.learning_rate = 0.005), .error = &err);
    if (status == GLIA_OK) {
        r = glia_evaluate(model, test, .loss = "mse", .error = &err);
        status = err.status;
        printf("%lld houses not seen in training: mean error %.2f, R² %.3f\n", (long long)r.examples, r.mae,
               r.r2);
    }
    puts(status != GLIA_OK ? err.message : r.r2 > 0.6 ? "prices predicted" : "not learned");
    glia_dataset_free(test);
    glia_dataset_free(train);
    glia_dataset_free(all);
    glia_model_free(model);
    return status == GLIA_OK && r.r2 > 0.6 ? 0 : 1;
}

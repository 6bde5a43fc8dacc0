// 05_two_losses.c: two inputs, two outputs with a loss each, and weights that are used twice.
//
// A network sees two points, each by the same layers, and says two things about them: how far they are apart (a number), and
// which of the two is nearer to the middle (a class).
//
// Shows glia_share, glia_scope_begin and glia_objective: batches are arrays by name, losses are weighted and added up.
//
// prints: both learned
#include <glia/glia.h>
#include <math.h>
#include <stdio.h>

enum { BATCH = 64, STEPS = 1500 };

// Random numbers are counted, not drawn: number i of a stream is always the same.
static void make_up(int step, float a[][2], float b[][2], float apart[][1], int64_t nearer[]) {
    const glia_random random = {.seed = 1, .stream = glia_random_stream("points")};
    for (int i = 0; i < BATCH; i++) {
        const uint64_t at = (uint64_t)(step * BATCH + i) * 4;
        for (uint64_t k = 0; k < 2; k++) {
            a[i][k] = (float)glia_random_normal(random, at + k);
            b[i][k] = (float)glia_random_normal(random, at + 2 + k);
        }
        apart[i][0] = hypotf(a[i][0] - b[i][0], a[i][1] - b[i][1]);
        nearer[i] = hypotf(a[i][0], a[i][1]) > hypotf(b[i][0], b[i][1]);
    }
}

int main(void) {
    glia_error err = {0};
    glia_model *model = glia_model_new("points");
    glia_value *first = glia_input(model, "first", .shape = {2}),
               *second = glia_input(model, "second", .shape = {2});
    glia_value *x = glia_dense(first, .units = 32, .activation = "relu", .name = "point");
    glia_value *y = glia_share("point", NULL, &second, 1); // the same weights
    x = glia_concat((glia_value *[]){x, y}, 2, 0);
    glia_scope_begin(model, "body"); // parameters are called body.…
    x = glia_dense(x, .units = 64, .activation = "relu");
    x = glia_add(x, glia_dense(x, .units = 64, .activation = "relu"));
    glia_scope_end(model);
    glia_value *distance = glia_dense(x, .units = 1), *which = glia_dense(x, .units = 2);

    glia_objective *o = NULL;
    static float a[BATCH][2], b[BATCH][2], apart[BATCH][1];
    static int64_t nearer[BATCH];
    const glia_named_tensor batch[] = {{"first", glia_tensor_wrap(a, GLIA_F32, GLIA_SHAPE(BATCH, 2))},
                                       {"second", glia_tensor_wrap(b, GLIA_F32, GLIA_SHAPE(BATCH, 2))},
                                       {"apart", glia_tensor_wrap(apart, GLIA_F32, GLIA_SHAPE(BATCH, 1))},
                                       {"nearer", glia_tensor_wrap(nearer, GLIA_I64, GLIA_SHAPE(BATCH))}};
    const glia_objective_options options = {.optimizer = glia_adam(.learning_rate = 0.003), .seed = 7};
    const glia_objective_loss_options numbers = {.weight = 0.5}, classes = {.classes = 2};
    glia_status status = glia_objective_new(&o, model, options, &err);
    if (status == GLIA_OK) status = glia_objective_add(o, distance, "apart", numbers, &err);
    if (status == GLIA_OK) status = glia_objective_add(o, which, "nearer", classes, &err);
    for (int step = 0; step < STEPS && status == GLIA_OK; step++) {
        make_up(step, a, b, apart, nearer);
        status = glia_objective_step(o, batch, 4, NULL, &err);
    }
    make_up(STEPS, a, b, apart, nearer); // points that it has not seen
    if (status == GLIA_OK) status = glia_objective_evaluate(o, batch, 4, NULL, &err);
    if (status == GLIA_OK) {
        const double wrong = glia_objective_loss(o, "apart"), unsure = glia_objective_loss(o, "nearer");
        printf("mean square of what the distance is wrong by: %.4f; cross-entropy: %.4f\n", wrong, unsure);
        puts(wrong < 0.05 && unsure < 0.3 ? "both learned" : "not learned");
    } else {
        fprintf(stderr, "%s\n", err.message);
    }
    glia_objective_free(o);
    glia_model_free(model);
    return status != GLIA_OK;
}

/* test_rows.c: gradients of tables that stay rows: what is updated, what is not, and what is refused. Sparse tables follow
 * SparseAdam of PyTorch: moments and weights of rows that a batch does not use stay. */
#include "test.h"

#include <float.h>

#include "failing_allocator.h"
#include "glia/glia.h"
#include "train/trainer.h"

enum { VOCABULARY = 9000, UNITS = 128, STEPS = 4, N = 6, STEPS_OF_TRAINING = 3, ELEMS = VOCABULARY * UNITS };

/* Few of the rows, some of them several times. */
static float tokens[STEPS_OF_TRAINING][N * STEPS], targets[N * UNITS];

static void make_batches(void) {
    const glia_random random = {3, 1};
    for (int t = 0; t < STEPS_OF_TRAINING; t++)
        for (int i = 0; i < N * STEPS; i++)
            tokens[t][i] =
                (float)(i % 5 == 0 ? 7 * t
                                   : (int)glia_random_below(random, (uint64_t)(t * 100 + i), VOCABULARY));
    for (int i = 0; i < N * UNITS; i++) targets[i] = (float)glia_random_normal(random, (uint64_t)(1000 + i));
}

/* [N, STEPS] → [N, UNITS]: the mean of the steps' rows of the table, and a dense layer. `twice`: two lookups of one
 * table, and an input of whole numbers. */
static glia_model *make_model(glia_bool sparse, bool twice, const glia_allocator *allocator) {
    glia_model *m = glia_model_new_with("rows", allocator);
    glia_value *x = glia_input(m, "x", .shape = {STEPS}, .dtype = twice ? GLIA_I64 : GLIA_F32);
    glia_value *a =
        glia_embedding(x, .vocabulary = VOCABULARY, .units = UNITS, .sparse = sparse, .name = "words");
    if (twice) a = glia_add(a, glia_share("words", "again", &x, 1));
    a = glia_reshape(a, (int64_t[]){STEPS * UNITS}, 1);
    glia_model_set_output(m, glia_dense(a, .units = UNITS, .name = "head"));
    return m;
}

static glia_trainer *make_trainer(glia_model *m, glia_fit_options options, glia_error *err) {
    glia_trainer *t = NULL;
    options.loss = "mse";
    options.seed = 4;
    const glia_status status = glia_trainer_new(&t, m, GLIA_TARGET_VALUES, GLIA_SHAPE(UNITS), options, err);
    return status == GLIA_OK ? t : NULL;
}

static bool backward(glia_trainer *t, int step) {
    glia_error err = {0};
    const glia_status status = glia_trainer_backward(t, tokens[step], targets, N, NULL, &err);
    CHECK_OK(status, &err);
    return status == GLIA_OK;
}

static bool is_used(int step, int64_t row) {
    for (int i = 0; i < N * STEPS; i++)
        if ((int64_t)tokens[step][i] == row) return true;
    return false;
}

/* --- one step against the plain formula -------------------------------------------------------------------------- */

static float before[ELEMS], moment[2][ELEMS];

/* The table after a step is what the optimiser makes of the whole gradient on the used rows; others are as they were. */
static void check_steps(glia_optimizer_options optimizer, int threads, bool twice, glia_precision precision) {
    glia_error err = {0};
    make_batches();
    glia_model *m = make_model(GLIA_YES, twice, NULL);
    glia_trainer *t = make_trainer(
        m, (glia_fit_options){.optimizer = optimizer, .threads = threads, .precision = precision}, &err);
    CHECK(t != NULL);
    if (!t) printf("  %s\n", err.message);
    memset(moment, 0, sizeof moment);
    for (int step = 0; t && step < STEPS_OF_TRAINING; step++) {
        const glia_param *p = &m->params[0];
        memcpy(before, m->block + p->offset, sizeof before);
        if (!backward(t, step)) break;
        CHECK(glia__runner_rows(&t->runner, 0) != NULL);
        const float *gradient = glia_trainer_gradient(t, 0).data;
        const double norm = glia__norm(t->gradients, m->trained_elems, 1), limit = t->settings.clip_norm;
        if (limit > 0) CHECK_NEAR(t->norm, norm, 1e-6 * norm);
        const float scale = limit > 0 && norm > limit ? (float)(limit / (norm + 1e-6)) : 1;
        glia_optimizer_step plain = {&t->settings, before, gradient, {moment[0], moment[1]}, 0, 0,
                                     step + 1,     scale};
        for (int64_t row = 0; row < VOCABULARY; row++) {
            plain.begin = row * UNITS, plain.end = plain.begin + UNITS;
            if (is_used(step, row)) t->optimizer->update(&plain);
        }
        CHECK_OK(glia_trainer_update(t, &err), &err);
        double apart = 0, moved = 0;
        for (int64_t i = 0; i < ELEMS; i++)
            apart = fmax(apart, fabs((double)(before[i] - m->block[p->offset + i])));
        for (int64_t i = 0; i < ELEMS; i++) moved += !is_used(step, i / UNITS) && gradient[i] != 0;
        CHECK_NEAR(apart, 0, limit > 0 ? 1e-7 : 0);
        CHECK_NEAR(moved, 0, 0);
        for (int k = 0; k < t->optimizer->n_moments && limit <= 0; k++)
            CHECK(memcmp(moment[k], t->moments[k] + p->offset, sizeof moment[k]) == 0);
    }
    glia_trainer_free(t);
    glia_model_free(m);
}

TEST(a_step_updates_the_used_rows_only) {
    static const char *const names[] = {"sgd",      "momentum", "nesterov", "adagrad",
                                        "adadelta", "rmsprop",  "adam"};
    for (size_t i = 0; i < GLIA_COUNT(names); i++)
        check_steps((glia_optimizer_options){.name = names[i]}, i % 2 ? 1 : 3, i % 3 == 0,
                    GLIA_PRECISION_F32);
    check_steps((glia_optimizer_options){.name = "adam", .clip_norm = 0.01}, 2, true, GLIA_PRECISION_F32);
    check_steps((glia_optimizer_options){.name = "adam"}, 2, false, GLIA_PRECISION_BF16);
}

/* --- without being asked ----------------------------------------------------------------------------------------- */

/* sgd and adagrad leave what has no gradient alone: the rows give the bits of the whole gradient. */
static void check_same_as_whole(const char *optimizer, double decay, bool rows_wanted) {
    glia_error err = {0};
    make_batches();
    const glia_fit_options options = {.optimizer = {.name = optimizer, .weight_decay = decay}};
    glia_model *models[2];
    for (int way = 0; way < 2; way++) {
        glia_model *m = models[way] = make_model(GLIA_DEFAULT, false, NULL);
        glia_trainer *t = make_trainer(m, options, &err);
        CHECK(t != NULL);
        if (t && way) t->runner.rows = false;
        for (int step = 0; t && step < STEPS_OF_TRAINING; step++) {
            if (!backward(t, step)) break;
            CHECK((glia__runner_rows(&t->runner, 0) != NULL) == (rows_wanted && !way));
            CHECK_OK(glia_trainer_update(t, &err), &err);
        }
        glia_trainer_free(t);
    }
    CHECK(memcmp(models[0]->block, models[1]->block, models[0]->block_bytes) == 0);
    for (int way = 0; way < 2; way++) glia_model_free(models[way]);
}

TEST(large_tables_of_optimisers_that_move_no_other_rows) {
    check_same_as_whole("sgd", 0, true);
    check_same_as_whole("adagrad", 0, true);
    check_same_as_whole("sgd", 0.1, false);
    check_same_as_whole("adam", 0, false);
}

/* --- batches of several sizes, and in pieces --------------------------------------------------------------------- */

TEST(batches_of_several_sizes) {
    glia_error err = {0};
    make_batches();
    glia_model *m = make_model(GLIA_YES, false, NULL);
    glia_trainer *t = make_trainer(m, (glia_fit_options){.threads = 1}, &err);
    for (int step = 0; t && step < 6;
         step++) { /* larger and smaller ones: memory moves and programs are bound anew */
        const int64_t count = (int64_t[]){2, N, 1, N, 2, 1}[step];
        CHECK_OK(glia_trainer_backward(t, tokens[0], targets, count, NULL, &err), &err);
        const glia_rows *rows = glia__runner_rows(&t->runner, 0);
        CHECK(rows != NULL);
        for (int64_t u = 0; rows && u < rows->used; u++) {
            bool there = false;
            for (int64_t i = 0; i < count * STEPS; i++) there |= (int64_t)tokens[0][i] == rows->row[u];
            CHECK(there);
        }
        CHECK_OK(glia_trainer_update(t, &err), &err);
    }
    glia_trainer_free(t);
    glia_model_free(m);
}

/* --- refused ----------------------------------------------------------------------------------------------------- */

static void check_refused(glia_model *m, glia_fit_options options, const char *expected) {
    glia_error err = {0};
    glia_trainer *t = make_trainer(m, options, &err);
    CHECK(t == NULL);
    CHECK(strstr(err.message, expected) != NULL);
    if (!strstr(err.message, expected)) printf("  %s\n", err.message);
    glia_trainer_free(t);
    glia_model_free(m);
}

TEST(what_sparse_tables_cannot_do_is_refused) {
    check_refused(make_model(GLIA_YES, false, NULL),
                  (glia_fit_options){.optimizer = {.name = "adam", .weight_decay = 0.1}},
                  "'words.weight' is sparse: a step leaves the rows alone that its batch does not use, but "
                  "weight_decay "
                  "is 0.1");
    check_refused(make_model(GLIA_YES, false, NULL), (glia_fit_options){.optimizer = {.name = "adamw"}},
                  "set weight_decay to 0, or sparse to no");
    check_refused(make_model(GLIA_YES, false, NULL),
                  (glia_fit_options){.batch_size = 4096, .memory_limit = 4L * ELEMS * 4 + (8 << 20)},
                  "'words.weight' follows from whole batches");
    glia_model *m =
        make_model(GLIA_YES, false, NULL); /* whose table is used whole, as a tied last layer does */
    glia_value *table = glia_model_param_value(m, 0);
    glia_reduce_attrs all = {.keep_dims = GLIA_NO};
    glia_model_set_output(m, glia_op_add(glia_model_output(m), glia_op_mean(table, all)));
    check_refused(m, (glia_fit_options){.batch_size = N}, "'words.weight' is sparse, but not only looked up");
    m = make_model(GLIA_YES, false, NULL);
    glia_objective *o = NULL;
    glia_error err = {0};
    CHECK_STR(glia_status_name(glia_objective_new(&o, m, (glia_objective_options){.seed = 1}, &err)),
              "UNSUPPORTED");
    CHECK(strstr(err.message, "'words.weight' is sparse, which several losses together do not support"));
    glia_model_free(m);
}

TEST(an_index_out_of_range_names_the_layer) {
    glia_error err = {0};
    glia_model *m = make_model(GLIA_YES, false, NULL);
    glia_trainer *t = make_trainer(m, (glia_fit_options){.threads = 1}, &err);
    make_batches();
    tokens[0][5] = VOCABULARY;
    CHECK_STR(glia_status_name(glia_trainer_backward(t, tokens[0], targets, N, NULL, &err)), "BAD_DATA");
    CHECK(strstr(err.message, "index 9000 at position 5 is out of range 0 … 8999"));
    CHECK(strstr(err.node, "words"));
    glia_trainer_free(t);
    glia_model_free(m);
}

TEST(every_allocation_may_fail) {
    make_batches();
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_model *m = make_model(GLIA_YES, true, &memory.allocator);
        glia_trainer *t = NULL;
        glia_status status = m ? GLIA_OK : GLIA_OUT_OF_MEMORY;
        if (status == GLIA_OK)
            status = glia_trainer_new(&t, m, GLIA_TARGET_VALUES, GLIA_SHAPE(UNITS),
                                      (glia_fit_options){.loss = "mse", .threads = 1}, &err);
        if (status == GLIA_OK) status = glia_trainer_backward(t, tokens[0], targets, 2, NULL, &err);
        if (status == GLIA_OK) status = glia_trainer_update(t, &err);
        if (status == GLIA_OK) status = glia_trainer_backward(t, tokens[0], targets, N, NULL, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_trainer_free(t);
        glia_model_free(m);
    }
}

TEST_MAIN(TEST_ENTRY(a_step_updates_the_used_rows_only),
          TEST_ENTRY(large_tables_of_optimisers_that_move_no_other_rows),
          TEST_ENTRY(batches_of_several_sizes), TEST_ENTRY(what_sparse_tables_cannot_do_is_refused),
          TEST_ENTRY(an_index_out_of_range_names_the_layer), TEST_ENTRY(every_allocation_may_fail))

/* test_init.c: initialisers: moments, bounds, names, and independence of the order of layers. */

#include "test.h"

#include "core/mem.h"
#include "glia/model.h"
#include "train/initializer.h"

enum { COUNT = 40000 };
static float drawn[COUNT];

static void draw(const char *text, int64_t fan_in, int64_t fan_out) {
    glia_initializer initializer;
    glia_error err = {0};
    CHECK_OK(glia__initializer_parse(text, &initializer, &err), &err);
    glia__initializer_fill(&initializer, fan_in, fan_out, (glia_random){7, glia_random_stream(text)}, drawn,
                           COUNT);
}

static void measure(double *mean, double *deviation, double *most) {
    double sum = 0, squares = 0;
    *most = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += drawn[i];
        squares += (double)drawn[i] * (double)drawn[i];
        *most = fmax(*most, fabs(drawn[i]));
    }
    *mean = sum / COUNT;
    *deviation = sqrt(squares / COUNT - *mean * *mean);
}

/* Standard deviation and bound of what is drawn, from the articles, for fan_in 300 and fan_out 100. */
TEST(moments) {
    const double in = 300, average = 200, cut = 0.87962566103423978;
    const struct {
        const char *text;
        double deviation, most;
    } cases[] = {
        {"glorot_uniform", sqrt(1 / average), sqrt(3 / average)},
        {"he_uniform", sqrt(2 / in), sqrt(6 / in)},
        {"lecun_uniform", sqrt(1 / in), sqrt(3 / in)},
        {"glorot_normal", sqrt(1 / average), 2 * sqrt(1 / average) / cut},
        {"he_normal", sqrt(2 / in), 2 * sqrt(2 / in) / cut},
        {"lecun_normal", sqrt(1 / in), 2 * sqrt(1 / in) / cut},
        {"uniform", 0.05 / sqrt(3), 0.05},
        {"uniform:2", 2 / sqrt(3), 2},
        {"normal", 0.05, 0.3},
        {"normal:3", 3, 18},
        {"truncated_normal:1", 1, 2 / cut},
        {"zeros", 0, 0},
    };
    for (size_t i = 0; i < GLIA_COUNT(cases); i++) {
        double mean, deviation, most;
        int before = test_failures;
        draw(cases[i].text, 300, 100);
        measure(&mean, &deviation, &most);
        CHECK_NEAR(mean, 0, 5 * cases[i].deviation / sqrt(COUNT));
        CHECK_NEAR(deviation, cases[i].deviation, 0.02 * cases[i].deviation);
        CHECK(most <= cases[i].most * 1.000001);
        if (strstr(cases[i].text, "uniform") || strstr(cases[i].text, "_normal"))
            CHECK(most >= cases[i].most * 0.99);
        if (test_failures != before) printf("  in %s\n", cases[i].text);
    }
    draw("ones", 1, 1);
    CHECK(drawn[0] == 1 && drawn[COUNT - 1] == 1);
    draw("constant:-0.5", 1, 1);
    CHECK(drawn[0] == -0.5f && drawn[COUNT - 1] == -0.5f);
}

TEST(bad_names) {
    glia_initializer initializer;
    glia_error err = {0};
    CHECK_ERR(glia__initializer_parse("glorot_unifrom", &initializer, &err), GLIA_INVALID_ARGUMENT, &err,
              "unknown initializer 'glorot_unifrom' (did you mean 'glorot_uniform'?)");
    CHECK_ERR(glia__initializer_parse("constant", &initializer, &err), GLIA_INVALID_ARGUMENT, &err,
              "needs a number: constant:0.1");
    CHECK_ERR(glia__initializer_parse("he_normal:3", &initializer, &err), GLIA_INVALID_ARGUMENT, &err,
              "takes no number");
    CHECK_ERR(glia__initializer_parse("uniform:-1", &initializer, &err), GLIA_INVALID_ARGUMENT, &err,
              "expects a number of at least 0, found '-1'");
    CHECK_ERR(glia__initializer_parse("uniform:x", &initializer, &err), GLIA_INVALID_ARGUMENT, &err,
              "found 'x'");
}

/* A layer's weights depend on seed and name, not on what stands around it. */
TEST(same_seed_same_weights) {
    glia_error err = {0};
    glia_model *alone = glia_model_new("a"), *among = glia_model_new("b");
    glia_value *x = glia_input(alone, "x", .shape = {20});
    glia_model_set_output(alone, glia_dense(x, .units = 30, .name = "head"));
    glia_value *y = glia_input(among, "x", .shape = {20});
    y = glia_dense(y, .units = 20, .name = "before");
    y = glia_dense(y, .units = 30, .name = "head");
    glia_model_set_output(among, y);
    CHECK_OK(glia_model_initialize(alone, 5, &err), &err);
    CHECK_OK(glia_model_initialize(among, 5, &err), &err);
    glia_tensor a = glia_model_get_param(alone, "head.weight"),
                b = glia_model_get_param(among, "head.weight");
    glia_tensor other = glia_model_get_param(among, "before.weight");
    CHECK(a.data && b.data && memcmp(a.data, b.data, glia_tensor_bytes(&a)) == 0);
    CHECK(other.data && memcmp(a.data, other.data, glia_tensor_bytes(&other)) != 0);
    CHECK_OK(glia_model_initialize(among, 6, &err), &err);
    CHECK(memcmp(a.data, b.data, glia_tensor_bytes(&a)) != 0);
    for (size_t i = 0; i < glia_model_params(among); i++)
        CHECK((uintptr_t)glia_model_param_data(among, i).data % 64 == 0);
    glia_model_free(alone);
    glia_model_free(among);
}

TEST_MAIN(TEST_ENTRY(moments), TEST_ENTRY(bad_names), TEST_ENTRY(same_seed_same_weights))

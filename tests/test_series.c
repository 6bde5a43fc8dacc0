/* Series as data: windows of a table's rows, splits in time, scaling by the training part, the seasonal-naive forecast. */
#include "test.h"

#include <math.h>

#include "data/dataset.h"
#include "failing_allocator.h"
#include "glia/model.h"
#include "glia/train.h"
#include "scratch.h"

/* Rows "day,a,b": a counts from 0, b is ten times a. */
static const char *counting(int rows) {
    static char text[4000];
    size_t used = (size_t)snprintf(text, sizeof text, "day,a,b\n");
    for (int i = 0; i < rows; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "day %d,%d,%d\n", i, i, 10 * i);
    return text;
}

static glia_status try_open(glia_dataset **d, const char *text, glia_dataset_options o, glia_error *err) {
    char source[600];
    snprintf(source, sizeof source, "series:%s", scratch_text("s.csv", text));
    return glia_dataset_open_with(d, source, o, err);
}

static glia_dataset *open_series(const char *text, glia_dataset_options o) {
    glia_dataset *d = NULL;
    glia_error err = {0};
    CHECK_OK(try_open(&d, text, o, &err), &err);
    return d;
}

/* Example i as text: what is seen, then what follows. */
static const char *window(const glia_dataset *d, int64_t i) {
    static char out[400];
    const glia_dataset_info *info = glia_dataset_get_info(d);
    float inputs[64], targets[16];
    size_t used = 0;
    glia_error err = {0};
    CHECK_OK(glia_dataset_gather(d, &i, 1, inputs, targets, &err), &err);
    for (int64_t k = 0; k < glia_shape_elems(&info->input_shape); k++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%g", k ? " " : "", (double)inputs[k]);
    used += (size_t)snprintf(out + used, sizeof out - used, " >");
    for (int64_t k = 0; k < glia_shape_elems(&info->target_shape); k++)
        used += (size_t)snprintf(out + used, sizeof out - used, " %g", (double)targets[k]);
    return out;
}

TEST(windows) {
    scratch_make();
    glia_dataset *d =
        open_series(counting(10),
                    (glia_dataset_options){.label = "b", .series = {.length = 3, .horizon = 2, .stride = 2}});
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_INT(info->count, 3);
    CHECK_INT(info->input_shape.rank, 2);
    CHECK_INT(info->input_shape.dim[0], 3);
    CHECK_INT(info->input_shape.dim[1], 2); /* the day is no number */
    CHECK_INT(info->target_shape.dim[0], 2);
    CHECK_INT(info->channel_axis, 1);
    CHECK_STR(info->feature_names[1], "b");
    CHECK_STR(window(d, 0), "0 0 1 10 2 20 > 30 40");
    CHECK_STR(window(d, 2), "4 40 5 50 6 60 > 70 80");
    glia_dataset_free(d);
    d = open_series(counting(10),
                    (glia_dataset_options){.limit = 4, .series = {.features = "a", .length = 2}});
    CHECK_INT(glia_dataset_get_info(d)->count, 4);
    CHECK_STR(window(d, 3), "3 4 > 50"); /* the label is the last column */
    glia_dataset_free(d);
    d = open_series(counting(10),
                    (glia_dataset_options){.label = "none", .series = {.features = "3, 2", .length = 10}});
    CHECK_INT(glia_dataset_get_info(d)->target, GLIA_TARGET_NONE);
    CHECK_INT(glia_dataset_get_info(d)->count, 1); /* nothing need follow */
    glia_dataset_free(d);
    scratch_remove();
}

/* What is to be predicted in the last part is no target of the rest, and the rest alone is measured. */
TEST(split_in_time) {
    scratch_make();
    glia_dataset *d = open_series(
        counting(40), (glia_dataset_options){.series = {.features = "a", .length = 4, .horizon = 3}});
    glia_dataset *rest, *part;
    glia_error err = {0};
    CHECK_INT(glia_dataset_get_info(d)->count, 34);
    CHECK_OK(glia_dataset_split(&rest, &part, d, 10, false, 1, &err), &err);
    CHECK_INT(glia_dataset_get_info(part)->count, 10); /* a forecast from each place */
    CHECK_STR(window(part, 0), "24 25 26 27 > 280 290 300");
    CHECK_INT(glia_dataset_get_info(rest)->count, 22);
    CHECK_STR(window(rest, 21), "21 22 23 24 > 250 260 270");
    CHECK_OK(glia__dataset_normalize(rest, &err), &err);
    const glia_dataset_info *info = glia_dataset_get_info(rest);
    CHECK_NEAR(info->mean[0], 12, 1e-5); /* of 0 … 24, those in the middle in more windows */
    CHECK_OK(glia_dataset_set_transform(part, 1, info->mean, info->std, &err), &err);
    float inputs[4], targets[3];
    const int64_t first = 0;
    CHECK_OK(glia_dataset_gather(part, &first, 1, inputs, targets, &err), &err);
    CHECK_NEAR(inputs[0], (24 - 12) / info->std[0], 1e-5);
    CHECK_NEAR(targets[0], 280, 0);
    glia_dataset_free(rest), glia_dataset_free(part), glia_dataset_free(d);
    scratch_remove();
}

/* Every column has a mean of its own, whatever the number of steps. */
TEST(columns_are_channels) {
    scratch_make();
    glia_dataset *d =
        open_series(counting(12), (glia_dataset_options){.normalize = GLIA_YES, .series = {.length = 11}});
    const glia_dataset_info *info = glia_dataset_get_info(d);
    CHECK_NEAR(info->mean[0], 5, 1e-6);
    CHECK_NEAR(info->mean[1], 50, 1e-5);
    CHECK_NEAR(info->std[1], 10 * (double)info->std[0], 1e-5);
    float inputs[22], targets[1];
    glia_error err = {0};
    CHECK_OK(glia_dataset_gather(d, NULL, 1, inputs, targets, &err), &err);
    CHECK_NEAR(inputs[0], -5 / info->std[0], 1e-6);
    CHECK_NEAR(inputs[0], inputs[1], 1e-6);
    glia_dataset_free(d);
    scratch_remove();
}

TEST(seasonal_naive) {
    scratch_make();
    glia_dataset *d =
        open_series(counting(20), (glia_dataset_options){.series = {.length = 3, .horizon = 5, .season = 4}});
    float naive[5];
    CHECK(!glia__dataset_naive(d, 0, naive)); /* row 3 would need row -1 */
    CHECK(glia__dataset_naive(d, 1, naive));
    for (int h = 0; h < 4; h++) CHECK_NEAR(naive[h], 10 * h, 0);
    CHECK_NEAR(naive[4], 0, 0); /* two seasons before row 8: row 4 is not known yet */
    glia_dataset_free(d);
    float numbers[8] = {0};
    glia_tensor x = glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(4, 2));
    glia_error err = {0};
    CHECK_OK(glia_dataset_wrap(&d, &x, NULL, 0, &err), &err);
    CHECK(!glia__dataset_naive(d, 3, naive));
    glia_dataset_free(d);
    scratch_remove();
}

/* A model that says 0 is wrong by the targets; the naive forecast of what counts is wrong by a season. */
TEST(figures_beside_naive) {
    scratch_make();
    glia_dataset *d =
        open_series(counting(20), (glia_dataset_options){.label = "a", .series = {.length = 2, .season = 3}});
    glia_error err = {0};
    glia_model *model = glia_model_new("zero");
    glia_value *x = glia_input(model, "series", .shape = {2, 2});
    glia_model_set_output(
        model, glia_denormalize(glia_dense(glia_flatten(x), .units = 1, .kernel_initializer = "zeros")));
    CHECK_OK(glia_model_initialize(model, 1, &err), &err);
    glia_report r = glia_evaluate(model, d, .error = &err);
    CHECK_INT(err.status, GLIA_OK);
    CHECK_NEAR(r.mae, 10.5, 1e-6); /* of 2 … 19 */
    CHECK_NEAR(r.naive_mae, 3, 1e-6);
    CHECK_NEAR(r.mae_to_naive, 11 / 3.0, 1e-6); /* of 3 … 19, which have a forecast */
    glia_tensor mean = glia_model_get_param(model, "denormalize.mean");
    *(float *)mean.data = 11;
    r = glia_evaluate(model, d, .error = &err);
    CHECK_NEAR(glia_report_figure(&r, "mae"), 4.5, 1e-5);
    glia_model_free(model);
    glia_dataset_free(d);
    scratch_remove();
}

TEST(missing_values) {
    scratch_make();
    glia_dataset *d = open_series("a\n1\n?\n\"\"\n4\n5\n",
                                  (glia_dataset_options){.missing = "previous", .series = {.length = 4}});
    CHECK_STR(window(d, 0), "1 1 1 4 > 5");
    glia_dataset_free(d);
    scratch_remove();
}

static void refused(const char *text, glia_dataset_options o, const char *message) {
    glia_dataset *d;
    glia_error err = {0};
    CHECK(try_open(&d, text, o, &err) != GLIA_OK);
    CHECK_HAS(err.message, message);
}

TEST(refusals) {
    scratch_make();
    refused(counting(5), (glia_dataset_options){.series = {.length = 5}}, "an example needs 6 (length 5 and");
    refused(counting(5), (glia_dataset_options){.series = {.length = -1}}, "length: expected 1");
    refused(counting(5), (glia_dataset_options){.series = {.features = "a,c"}}, "there is no column 'c'");
    refused(counting(5), (glia_dataset_options){.series = {.features = "a,2"}},
            "column 2 stands there twice");
    refused(counting(5), (glia_dataset_options){.series = {.features = "none"}}, "'none' is no column");
    refused(counting(5), (glia_dataset_options){.series = {.features = "day", .length = 2}},
            "expected a number");
    refused(counting(5), (glia_dataset_options){.missing = "mean"},
            "expected error or previous, found 'mean'");
    refused("a\n1\n?\n3\n", (glia_dataset_options){.series = {.length = 1}}, "`missing: previous` takes");
    refused("a,b\n?,1\n2,2\n3,3\n",
            (glia_dataset_options){.missing = "previous", .series = {.features = "a", .length = 1}},
            "the first value is missing");
    refused("a\nb\nc\n", (glia_dataset_options){.label = "none"}, "no column begins with a number");
    scratch_remove();
}

TEST(memory) {
    scratch_make();
    char source[600];
    snprintf(source, sizeof source, "series:%s", scratch_text("s.csv", counting(12)));
    FOR_EACH_FAILURE(memory) {
        glia_dataset *d = NULL;
        glia_error err = {0};
        const glia_dataset_options o = {
            .normalize = GLIA_YES, .series = {.length = 3}, .allocator = &memory.allocator};
        const glia_status status = glia_dataset_open_with(&d, source, o, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_dataset_free(d);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(windows), TEST_ENTRY(split_in_time), TEST_ENTRY(columns_are_channels),
          TEST_ENTRY(seasonal_naive), TEST_ENTRY(figures_beside_naive), TEST_ENTRY(missing_values),
          TEST_ENTRY(refusals), TEST_ENTRY(memory))

/* evaluate.c: `glia evaluate`. */
#include <math.h>
#include <stdio.h>

#include "cli.h"
#include "recipe/run.h"

enum { PART_TEST, PART_VALIDATION, PART_TRAIN };
enum { MOST_CLASSES = 40, NAME_WIDTH = 23 }; /* a longer table is for --json */

static void add_class_table(const glia_run *run, const glia_report *r, glia_text *out) {
    char name[64];
    int64_t classes = GLIA_MIN(r->classes, (int64_t)GLIA_REPORT_CLASSES);
    if (classes < 2) return;
    glia__text_printf(out, "\n%-*s %9s %9s %9s %9s\n", NAME_WIDTH, "class", "precision", "recall", "F1",
                      "examples");
    for (int64_t c = 0; c < GLIA_MIN(classes, MOST_CLASSES); c++) {
        cli_class(run, c, name, sizeof name);
        glia__text_printf(out, "%s%*s %9.4f %9.4f %9.4f %9lld\n", name, cli_pad(name, NAME_WIDTH), "",
                          r->of_class[c].precision, r->of_class[c].recall, r->of_class[c].f1,
                          (long long)r->of_class[c].support);
    }
    if (r->classes > MOST_CLASSES)
        glia__text_printf(out, "… and %lld more (--json shows %d)\n", (long long)(r->classes - MOST_CLASSES),
                          GLIA_REPORT_CLASSES);
}

static void add_figure_table(const glia_report *r, glia_text *out) {
    for (const glia_figure *m = glia__figures; m->name; m++) {
        double value = glia__figure_of(m, r);
        if (m->classification && !m->regression && !r->classes) continue;
        if (!isnan(value))
            glia__text_printf(out, "%s%*s %.4f\n", m->label, cli_pad(m->label, NAME_WIDTH), "", value);
    }
}

static void add_parts_json(const glia_metrics *metrics, glia_text *out) {
    int count;
    const glia_metrics_part *parts = glia__metrics_parts(metrics, &count);
    for (int i = 0; i < count; i++) {
        const glia_report r = glia__metrics_part_report(&parts[i]);
        glia__text_printf(out, "\"%s\":{", parts[i].name);
        cli_add_report_json(out, &r);
        glia__text_add(out, "},");
    }
}

/* Figures of each of several outputs. */
static void add_part_tables(const glia_run *run, const glia_metrics *metrics, glia_text *out) {
    int count;
    const glia_metrics_part *parts = glia__metrics_parts(metrics, &count);
    for (int i = 0; i < count; i++) {
        const glia_report r = glia__metrics_part_report(&parts[i]);
        glia__text_printf(out, "\n%s:\n", parts[i].name);
        add_figure_table(&r, out);
        add_class_table(run, &r, out);
    }
}

static void add_json(const glia_run *run, const char *name, const glia_report *r, const glia_metrics *metrics,
                     glia_text *out) {
    char class_name[64];
    glia__text_add(out, "{\"data\":");
    glia__text_add_json(out, name);
    glia__text_add(out, ",");
    add_parts_json(metrics, out);
    cli_add_report_json(out, r);
    int64_t classes = GLIA_MIN(r->classes, (int64_t)GLIA_REPORT_CLASSES);
    for (int64_t c = 0; c < classes; c++) {
        glia__text_add(out, c ? ",{\"name\":" : ",\"classes\":[{\"name\":");
        glia__text_add_json(out, cli_class(run, c, class_name, sizeof class_name));
        glia__text_printf(out, ",\"precision\":%.6f,\"recall\":%.6f,\"f1\":%.6f,\"support\":%lld}",
                          r->of_class[c].precision, r->of_class[c].recall, r->of_class[c].f1,
                          (long long)r->of_class[c].support);
    }
    glia__text_add(out, classes ? "],\"seconds\":" : ",\"seconds\":");
    glia__text_add_number(out, r->seconds);
    glia__text_add(out, "}\n");
}

static int evaluate(const cli_options *options, glia_run *run, const glia_dataset *data) {
    glia_error err = {0};
    const glia_dataset_info *info = glia_dataset_get_info(data);
    glia_metrics *metrics;
    glia_report r =
        glia_evaluate(run->model, data, .loss = glia_recipe_fit_options(run->recipe).loss,
                      .threads = (int)GLIA_MAX(options->threads, 0), .metrics = &metrics, .error = &err);
    if (err.status != GLIA_OK) return cli_fail(&err);
    glia_text out;
    char count[40];
    glia__text_init(&out, NULL);
    if (options->json == GLIA_YES) {
        add_json(run, info->name, &r, metrics, &out);
    } else {
        glia__text_printf(&out, "%s: %s examples%s, %.2f s\n", info->name,
                          cli_count(r.examples, count, sizeof count),
                          options->tta == GLIA_YES ? ", each with its mirror image" : "", r.seconds);
        add_figure_table(&r, &out);
        add_class_table(run, &r, &out);
        add_part_tables(run, metrics, &out);
    }
    glia_metrics_free(metrics);
    return cli_print(&out);
}

static int run_evaluate(const cli_options *options, char **arguments, int count) {
    (void)count;
    glia_error err = {0};
    glia_run run;
    bool wants_train = options->part == PART_TRAIN;
    bool wants_validation = options->part == PART_VALIDATION;
    if (cli_open_run(options, arguments[0], options->data[0] ? options->data : NULL, &run) != CLI_OK)
        return CLI_FAILED;

    const glia_logger *logger = cli_logger(options->quiet == GLIA_YES);
    glia_dataset *train = NULL, *validation = NULL, *test = NULL;
    glia_status status = glia_recipe_data(run.recipe, wants_train ? &train : NULL, &validation,
                                          wants_train || wants_validation ? NULL : &test, logger, &err);
    glia_dataset *data = wants_train ? train : wants_validation ? validation : test;
    if (status == GLIA_OK && !data && !wants_validation && validation) {
        fprintf(stderr, "no test part: these are figures of the validation part\n");
        data = validation;
    }
    if (status == GLIA_OK && !data)
        status = glia_error_set(&err, GLIA_NOT_FOUND,
                                "the run has no %s part; give --data SOURCE, e.g. --data csv:new.csv",
                                wants_validation ? "validation" : "test");
    int code = status == GLIA_OK ? evaluate(options, &run, data) : cli_fail(&err);
    glia_dataset_free(train);
    glia_dataset_free(validation);
    glia_dataset_free(test);
    glia_run_close(&run);
    return code;
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .arguments = "RUN",
    .summary = "Measure a trained run on its test part, or on other data",
    .details =
        "Opens the data as in training (same split, same transform) and prints loss, accuracy, precision, "
        "recall and F1,\nor the errors of a regression.",
    .examples = "glia evaluate runs/mnist_cnn-7\n"
                "glia evaluate runs/mnist_cnn-7 --part validation --json\n"
                "glia evaluate runs/iris-0 --data csv:new_flowers.csv",
    .flags =
        (const glia_field[]){
            CLI_FLAG(part, CHOICE, "test", "what to measure on: test, validation or train",
                     .choices = "test|validation|train"),
            CLI_FLAG(data, STRING, "", "another source instead of the test part", .count = 0),
            CLI_TTA,
            CLI_THREADS,
            CLI_JSON,
            CLI_QUIET,
            {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_evaluate,
};

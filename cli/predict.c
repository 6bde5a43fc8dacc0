/* predict.c: `glia predict`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "train/ctc.h"
#include "train/loss.h"
#include "train/model.h"

/* What is being predicted. */
typedef struct request {
    const cli_options *options;
    const glia_run *run;
    const char *file;
    int64_t index, count;          /* example of the file */
    const float *inputs, *outputs; /* of this example */
    int64_t width;                 /* of the outputs */
} request;

/* The `top` most probable classes, best first, to `order`; returns how many. */
static int best_classes(const float *p, int64_t classes, int64_t top, int64_t *order) {
    int count = 0;
    for (int64_t c = 0; c < classes; c++) {
        int at = count < top ? count++ : count;
        while (at > 0 && p[order[at - 1]] < p[c]) {
            if (at < top) order[at] = order[at - 1];
            at--;
        }
        if (at < top) order[at] = c;
    }
    return count;
}

enum { MOST_TOP = 100 };

static void add_name(const request *r, glia_text *out) {
    if (r->count > 1)
        glia__text_printf(out, "%s[%lld]", r->file, (long long)r->index);
    else
        glia__text_add(out, r->file);
}

/* digit.png  7  0.998   (1 0.001, 9 0.001) */
static void add_classes(const request *r, const float *p, int64_t classes, glia_text *out) {
    int64_t order[MOST_TOP] = {0};
    char name[128];
    int count = best_classes(p, classes, GLIA_MIN(r->options->top, classes), order);
    add_name(r, out);
    glia__text_printf(out, "  %s  %.3f", cli_class(r->run, order[0], name, sizeof name), (double)p[order[0]]);
    for (int i = 1; i < count; i++)
        glia__text_printf(out, "%s%s %.3f%s", i == 1 ? "   (" : ", ",
                          cli_class(r->run, order[i], name, sizeof name), (double)p[order[i]],
                          i + 1 == count ? ")" : "");
    glia__text_add(out, "\n");
}

static void add_classes_json(const request *r, const float *p, int64_t classes, glia_text *out) {
    int64_t order[MOST_TOP] = {0};
    char name[128];
    int count = best_classes(p, classes, GLIA_MIN(r->options->top, classes), order);
    for (int i = 0; i < count; i++) {
        glia__text_printf(out, "%s{\"class\":%lld,\"name\":", i ? "," : ",\"top\":[", (long long)order[i]);
        glia__text_add_json(out, cli_class(r->run, order[i], name, sizeof name));
        glia__text_add(out, ",\"probability\":");
        glia__text_add_number(out, (double)p[order[i]]);
        glia__text_add(out, "}");
    }
    glia__text_add(out, "]");
}

static void add_values(const request *r, glia_text *out) {
    add_name(r, out);
    for (int64_t i = 0; i < r->width; i++) glia__text_printf(out, "  %.6g", (double)r->outputs[i]);
    glia__text_add(out, "\n");
}

/* The most probable class of every position: [positions, classes] or, of pictures, [classes, positions]. */
static void add_positions(const request *r, glia_text *out) {
    const bool json = r->options->json == GLIA_YES;
    const int64_t positions = glia_shape_elems(&r->run->target_shape), units = r->width / positions;
    const bool first = glia_value_shape(glia_model_output(r->run->model)).rank > 3;
    char name[128];
    if (!json) add_name(r, out);
    for (int64_t i = 0; i < positions; i++) {
        const float *p = r->outputs + i * (first ? 1 : units);
        const int64_t step = first ? positions : 1;
        int64_t best = units == 1 && p[0] > 0.5f;
        for (int64_t c = 1; c < units; c++)
            if (p[c * step] > p[best * step]) best = c;
        if (json)
            glia__text_printf(out, "%s%lld", i ? "," : ",\"positions\":[", (long long)best);
        else
            glia__text_printf(out, "%s%s", i ? " " : "  ", cli_class(r->run, best, name, sizeof name));
    }
    glia__text_add(out, json ? "]}\n" : "\n");
}

/* Whether a part's numbers are scores of classes, by the loss that it was trained with. */
static bool is_class(const glia_model_part *p) {
    const glia_loss *loss = p->loss ? glia__loss_find(p->loss) : NULL;
    return loss && (loss->classes || strstr(loss->name, "cross_entropy"));
}

/* "kind: 2 0.981": the most probable class of one output. */
static void add_class_of(const glia_model *model, const glia_model_part *part, const float *x,
                         glia_text *out) {
    const bool logits = !glia__gives_probabilities(model, part->value);
    const int64_t n = part->elems;
    int64_t best = 0;
    double sum = 0;
    if (n == 1) {
        const double p = logits ? 1 / (1 + exp(-(double)x[0])) : (double)x[0];
        glia__text_printf(out, " %d %.3f", p > 0.5, p > 0.5 ? p : 1 - p);
        return;
    }
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    for (int64_t i = 0; i < n; i++) sum += exp((double)x[i] - (double)x[best]);
    glia__text_printf(out, " %lld %.3f", (long long)best, logits ? 1 / sum : (double)x[best]);
}

/* "letters: 3 1 4 (0.870)": the labels that steps say, and how probable that way is; none: "-". */
static void add_labels(const request *r, const glia_label_places *places, glia_text *out) {
    const bool json = r->options->json == GLIA_YES;
    int64_t *labels = calloc((size_t)places->steps + 1, sizeof *labels);
    double log_probability = 0;
    out->failed |= !labels;
    if (!labels) return;
    const int64_t count = glia__labels_read(places, r->inputs, r->outputs, labels, &log_probability);
    if (json) glia__text_add(out, "{\"labels\":[");
    for (int64_t i = 0; i < count; i++)
        glia__text_printf(out, "%s%lld", !json ? " " : i ? "," : "", (long long)labels[i]);
    if (!count && !json) glia__text_add(out, " -");
    glia__text_printf(out, json ? "],\"probability\":%.6g}" : " (%.3f)", exp(log_probability));
    free(labels);
}

/* Several outputs: "new.npz[0]  kind: 2 0.981  age: 31.2". */
static void add_parts(const request *r, glia_text *out) {
    const glia_model *model = r->run->model;
    const bool json = r->options->json == GLIA_YES;
    if (!json) add_name(r, out);
    for (int k = 0; k < model->n_parts; k++) {
        const glia_model_part *p = &model->parts[k];
        const float *x = r->outputs + p->at;
        glia_label_places places;
        if (!p->shown) continue;
        glia__text_printf(out, json ? ",\"%s\":" : "  %s:", p->name);
        if (glia_value_shape(p->value).rank == 3 && glia__label_places(model, p->value, &places)) {
            add_labels(r, &places, out);
            continue;
        }
        if (!json && is_class(p) && glia_value_shape(p->value).rank == 2) {
            add_class_of(model, p, x, out);
            continue;
        }
        for (int64_t i = 0; i < p->elems; i++) {
            if (json) glia__text_add(out, i ? "," : "[");
            if (json)
                glia__text_add_number(out, (double)x[i]);
            else
                glia__text_printf(out, " %.6g", (double)x[i]);
        }
        if (json) glia__text_add(out, "]");
    }
    glia__text_add(out, json ? "}\n" : "\n");
}

static void add_prediction(const request *r, glia_text *out) {
    bool json = r->options->json == GLIA_YES;
    float two[2] = {1 - r->outputs[0], r->outputs[0]}; /* one unit for two classes: P(class 1) */
    const float *p = r->width == 1 ? two : r->outputs;
    int64_t classes = r->width == 1 ? 2 : r->width;
    if (json) {
        glia__text_add(out, "{\"file\":");
        glia__text_add_json(out, r->file);
        glia__text_printf(out, ",\"index\":%lld", (long long)r->index);
    }
    if (r->run->model->n_parts) {
        add_parts(r, out);
        return;
    }
    if (r->run->classes && r->run->target_shape.rank) {
        add_positions(r, out);
        return;
    }
    if (r->run->classes && json)
        add_classes_json(r, p, classes, out);
    else if (r->run->classes)
        add_classes(r, p, classes, out);
    else if (!json)
        add_values(r, out);
    for (int64_t i = 0; json && !r->run->classes && i < r->width; i++) {
        glia__text_add(out, i ? "," : ",\"values\":[");
        glia__text_add_number(out, (double)r->outputs[i]);
    }
    if (json) glia__text_add(out, r->run->classes ? "}\n" : "]}\n");
}

/* Rows first … first+count-1 of `inputs`. */
static glia_status predict_rows(request *r, const glia_tensor *inputs, int64_t first, int64_t count,
                                glia_text *out, glia_error *err) {
    glia_tensor rows, outputs;
    glia_shape shape = glia_value_shape(glia_model_output(r->run->model));
    shape.dim[0] = count;
    GLIA_TRY(glia_tensor_rows(&rows, inputs, first, count, err));
    GLIA_TRY(glia_tensor_new(&outputs, GLIA_F32, shape, NULL, err));
    r->width = glia_shape_elems(&shape) / count;
    glia_status status = glia_predict(r->run->model, &rows, r->run->classes > 0, &outputs, err);
    for (int64_t i = 0; i < count && status == GLIA_OK; i++) {
        r->index = first + i;
        r->inputs = (const float *)rows.data + i * (glia_shape_elems(&rows.shape) / count);
        r->outputs = (const float *)outputs.data + i * r->width;
        add_prediction(r, out);
    }
    glia_tensor_free(&outputs);
    return status;
}

static int predict_file(const cli_options *options, const glia_run *run, const char *file) {
    enum { ROWS = 256 };
    glia_error err = {0};
    glia_tensor inputs;
    const glia_logger *logger = cli_logger(options->quiet == GLIA_YES);
    if (glia_run_read(run, file, options->invert == GLIA_YES, &inputs, logger, &err) != GLIA_OK)
        return cli_fail(&err);
    request r = {.options = options, .run = run, .file = file, .count = inputs.shape.dim[0]};
    int status = CLI_OK;
    for (int64_t first = 0; first < r.count && status == CLI_OK; first += ROWS) {
        glia_text out;
        glia__text_init(&out, NULL);
        glia_status s = predict_rows(&r, &inputs, first, GLIA_MIN(ROWS, r.count - first), &out, &err);
        if (s != GLIA_OK) {
            glia__text_free(&out);
            status = cli_fail(&err);
        } else {
            status = cli_print(&out);
        }
    }
    glia_tensor_free(&inputs);
    return status;
}

static int run_predict(const cli_options *options, char **arguments, int count) {
    glia_run run;
    if (cli_open_run(options, arguments[0], NULL, &run) != CLI_OK) return CLI_FAILED;
    int status = CLI_OK;
    for (int i = 1; i < count; i++) {
        int one = predict_file(options, &run, arguments[i]); /* a bad file does not stop the others */
        if (one != CLI_OK) status = one;
    }
    glia_run_close(&run);
    return status;
}

const cli_command cli_predict = {
    .name = "predict",
    .arguments = "RUN FILE...",
    .summary = "Predict examples from pictures, arrays or tables with a trained run",
    .details =
        "FILE is a picture (.png, .jpg), arrays (.npy, .npz, or IDX with or without .gz) or a table (.csv, "
        "with or "
        "without the\ntarget column). Pictures become grey or colour as the model wants and are resampled "
        "to its size. One line an\nexample: file, class, probability, and the next classes; where positions "
        "have classes, that of each.\nA run on texts takes a text itself, or a file of "
        "one a line. Of several outputs each has its name before it; where steps were compared with labels "
        "by "
        "ctc, the\nlabels are those of the best path, with its probability.",
    .examples = "glia predict runs/mnist_cnn-7 digit.png\n"
                "glia predict runs/iris-0 flowers.csv --top 1 --json\n"
                "glia predict runs/sst2-0 \"a wonderful, moving film\"",
    .flags =
        (const glia_field[]){CLI_FLAG(top, INT, "3", "how many classes to show", .min = 1, .max = MOST_TOP),
                             CLI_FLAG(invert, BOOL, "no",
                                      "swap dark and light: for dark ink on white paper, where training had "
                                      "light on dark (MNIST)",
                                      .count = 0),
                             CLI_TTA,
                             CLI_JSON,
                             CLI_QUIET,
                             {.name = NULL}},
    .min_arguments = 2,
    .max_arguments = -1,
    .run = run_predict,
};

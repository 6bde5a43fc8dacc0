/* import.c: `glia import`. */
#include <stdio.h>

#include "cli.h"
#include "recipe/import.h"

static const char *state_text(glia_import_state state) {
    static const char *const words[] = {[GLIA_IMPORT_LOADED] = "loaded",
                                        [GLIA_IMPORT_MISSING] = "missing",
                                        [GLIA_IMPORT_MISSHAPED] = "other shape",
                                        [GLIA_IMPORT_UNEXPECTED] = "unexpected",
                                        [GLIA_IMPORT_IGNORED] = "ignored"};
    return words[state];
}

/* A name and its shape in columns; blanks for none. */
static void add_column(const char *name, const glia_shape *shape, glia_text *out) {
    char text[96] = "";
    if (name) glia_shape_text(shape, text, sizeof text);
    glia__text_printf(out, "%-28s %s%*s ", name ? name : "", text, cli_pad(text, 16), "");
}

static void add_report(const char *file, const glia_import_report *r, glia_text *out) {
    for (size_t i = 0; i < r->count; i++) {
        const glia_import_entry *e = &r->entries[i];
        glia__text_printf(out, "%-12s ", state_text(e->state));
        add_column(e->ours, &e->ours_shape, out);
        add_column(e->theirs, &e->theirs_shape, out);
        while (out->length && out->data[out->length - 1] == ' ') out->data[--out->length] = 0;
        glia__text_printf(out, "%s%s\n", *e->change ? "  " : "", e->change);
    }
    glia__text_printf(
        out, "%s, names of %s: %zu loaded, %zu missing, %zu of another shape, %zu unexpected, %zu ignored\n",
        file, r->names, r->loaded, r->missing, r->misshaped, r->unexpected, r->ignored);
}

static void add_json_array(const char *key, const char *name, const glia_shape *shape, glia_text *out) {
    if (!name) return;
    glia__text_printf(out, ",\"%s\":", key);
    glia__text_add_json(out, name);
    glia__text_printf(out, ",\"%s_shape\":[", key);
    for (int d = 0; d < shape->rank; d++)
        glia__text_printf(out, "%s%lld", d ? "," : "", (long long)shape->dim[d]);
    glia__text_add(out, "]");
}

static void add_json(const char *dir, const glia_import_report *r, glia_text *out) {
    glia__text_printf(out,
                      "{\"names\":\"%s\",\"loaded\":%zu,\"missing\":%zu,\"misshaped\":%zu,\"unexpected\":%zu,"
                      "\"ignored\":%zu,\"arrays\":[",
                      r->names, r->loaded, r->missing, r->misshaped, r->unexpected, r->ignored);
    for (size_t i = 0; i < r->count; i++) {
        const glia_import_entry *e = &r->entries[i];
        glia__text_printf(out, "%s{\"state\":\"%s\"", i ? "," : "", state_text(e->state));
        add_json_array("parameter", e->ours, &e->ours_shape, out);
        add_json_array("array", e->theirs, &e->theirs_shape, out);
        glia__text_add(out, ",\"change\":");
        glia__text_add_json(out, e->change);
        glia__text_add(out, "}");
    }
    glia__text_add(out, "],\"run\":");
    if (*dir)
        glia__text_add_json(out, dir);
    else
        glia__text_add(out, "null");
    glia__text_add(out, "}\n");
}

/* The report is printed also when the import failed: it says why. */
static int print_result(const cli_options *options, const glia_recipe_import *request,
                        const glia_import_report *report, const char *dir, glia_status status,
                        const glia_error *err) {
    glia_text out;
    glia__text_init(&out, NULL);
    if (report && options->json == GLIA_YES)
        add_json(dir, report, &out);
    else if (report)
        add_report(request->weights, report, &out);
    if (status == GLIA_OK && !report && options->json == GLIA_YES) {
        glia__text_add(&out, "{\"run\":");
        glia__text_add_json(&out, dir);
        glia__text_add(&out, "}\n");
    }
    if (status == GLIA_OK && options->json != GLIA_YES) glia__text_printf(&out, "saved %s\n", dir);
    int code = cli_print(&out);
    if (status != GLIA_OK) {
        cli_fail(err);
        if (report && options->partial != GLIA_YES && (report->missing || report->misshaped))
            fprintf(stderr, "--partial leaves what does not fit as it is; --map WORD reads other names\n");
        return CLI_FAILED;
    }
    if (options->quiet != GLIA_YES)
        fprintf(stderr, "next: glia evaluate %s · glia predict %s FILE\n", dir, dir);
    return code;
}

static int run_import(const cli_options *options, char **arguments, int count) {
    glia_recipe_import request = {.model = options->weights[0] ? arguments[0] : NULL,
                                  .overrides = (const char *const *)arguments + 1,
                                  .n_overrides = (size_t)count - 1,
                                  .weights = options->weights[0] ? options->weights : arguments[0],
                                  .options = {.names = options->map, .partial = options->partial == GLIA_YES},
                                  .run = {.dir = options->out[0] ? options->out : NULL,
                                          .force = options->force == GLIA_YES,
                                          .logger = cli_logger(options->quiet == GLIA_YES)}};
    glia_error err = {0};
    glia_import_report *report;
    char dir[1024] = "";
    if (options->input[0] && !cli_parse_shape(options->input, &request.input))
        return cli_usage("import", "--input: expected a shape like 1x28x28, found '%.60s'", options->input);
    glia_status status = glia__recipe_import(&request, &report, dir, &err);
    int code = print_result(options, &request, report, dir, status, &err);
    glia_import_report_free(report);
    return code;
}

const cli_command cli_import = {
    .name = "import",
    .arguments = "--weights FILE MODEL.yaml|RUN [key.sub=value ...] | FILE.h5|FILE.keras|FILE.onnx",
    .summary = "Make a run of weights that others trained",
    .details =
        "FILE is .safetensors, .safetensors.index.json, .npz, .h5 or .keras (docs/formats.md). Arrays find "
        "their parameters\nby name, as --map says: auto (the names that fit most), glia, huggingface, keras, "
        "pytorch; or order: by the\norder and shapes of both. What Keras lays out otherwise is turned. Every "
        "array is listed: loaded, missing,\nof another shape, unexpected or ignored; without --partial "
        "anything missing is an error. A Keras file that\nis a plain sequence of layers needs no model file. "
        "An ONNX file is model and weights: its run keeps a copy "
        "of it\n(docs/onnx.md); model.onnx.output=TENSOR ends at another tensor.",
    .examples =
        "glia import --weights digits.safetensors examples/mnist_cnn.yaml --map pytorch --out runs/theirs\n"
        "glia import mnist.h5 data.source=mnist\n"
        "glia import mnist.onnx --out runs/theirs",
    .flags =
        (const glia_field[]){
            CLI_FLAG(weights, STRING, "", "the file of weights, for a model file or a run", .count = 0),
            CLI_FLAG(map, STRING, "auto", "whose names the arrays have", .count = 0),
            CLI_FLAG(partial, BOOL, "no", "parameters that the file lacks stay as they are", .count = 0),
            CLI_FLAG(out, STRING, "", "the run directory; default runs/NAME-imported", .count = 0),
            CLI_FLAG(force, BOOL, "no", "replace a run that is there", .count = 0),
            CLI_INPUT,
            CLI_JSON,
            CLI_QUIET,
            {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run_import,
};

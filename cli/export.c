/* export.c: `glia export`. */
#include <stdio.h>
#include <sys/stat.h>

#include "cli.h"
#include "recipe/export.h"

/* The options of the formats are flags too: one table a format. */
static const glia_field *format_flags(size_t i, const char **heading) {
    static const glia_field none[] = {{.name = NULL}};
    static char text[160];
    if (i >= glia__exporters_count) return NULL;
    const glia_exporter *e = glia__exporters[i];
    snprintf(text, sizeof text, "--format %s (%s): %s", e->name, e->extension, e->doc);
    *heading = text;
    return e->options ? e->options : none;
}

/* A usage error about a flag that the format does not know, or about its value. */
static int check_option(const glia_exporter *exporter, const char *name, const char *value) {
    glia_error err = {0};
    glia_arena arena;
    const glia_field *field = glia__field_find(exporter->options, name);
    if (!field) return cli_usage("export", "--%s is no option of --format %s", name, exporter->name);
    glia__arena_init(&arena, NULL);
    void *parsed = glia__arena_alloc(&arena, exporter->options_size);
    glia_status status = parsed ? glia__field_parse(field, parsed, value, &arena, &err) : GLIA_OK;
    glia__arena_free(&arena);
    return status == GLIA_OK ? CLI_OK : cli_usage("export", "--%s", err.message);
}

/* The format's own flags as "opset=18 external=0". */
static int format_options(const cli_options *options, const glia_exporter *exporter, glia_text *out) {
    for (int i = 0; i < options->n_others; i++) {
        const char *name = options->others[i].flag->name;
        int status = check_option(exporter, name, options->others[i].value);
        if (status != CLI_OK) return status;
        glia__text_printf(out, "%s=\"", name);
        for (const char *c = options->others[i].value; *c; c++)
            glia__text_printf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        glia__text_add(out, "\" ");
    }
    return CLI_OK;
}

static void add_result(const glia_export_result *r, glia_text *out) {
    char bytes[32];
    for (int i = 0; i < r->n_files; i++)
        glia__text_printf(out, "wrote %s, %s\n", r->files[i].path,
                          cli_bytes((double)r->files[i].bytes, bytes, sizeof bytes));
    for (int i = 0; i < r->n_figures; i++) {
        const double value = r->figures[i].value;
        const bool size = strcmp(r->figures[i].unit, "bytes") == 0;
        glia__text_printf(out, "%s%s ", i ? ", " : "  ", r->figures[i].name);
        if (size)
            glia__text_add(out, cli_bytes(value, bytes, sizeof bytes));
        else
            glia__text_add(out, cli_count((int64_t)value, bytes, sizeof bytes));
    }
    if (r->n_figures) glia__text_add(out, "\n");
    if (*r->check) glia__text_printf(out, "checked: %s\n", r->check);
}

static void add_result_json(const glia_export_result *r, glia_text *out) {
    glia__text_add(out, "{\"format\":");
    glia__text_add_json(out, r->format);
    glia__text_add(out, ",\"files\":[");
    for (int i = 0; i < r->n_files; i++) {
        glia__text_add(out, i ? ",{\"path\":" : "{\"path\":");
        glia__text_add_json(out, r->files[i].path);
        glia__text_printf(out, ",\"bytes\":%lld}", (long long)r->files[i].bytes);
    }
    glia__text_add(out, "],\"figures\":{");
    for (int i = 0; i < r->n_figures; i++) {
        if (i) glia__text_add(out, ",");
        glia__text_add_json(out, r->figures[i].name);
        glia__text_add(out, ":");
        glia__text_add_number(out, r->figures[i].value);
    }
    glia__text_add(out, "}");
    if (*r->check) {
        glia__text_add(out, ",\"check\":");
        glia__text_add_json(out, r->check);
        glia__text_add(out, ",\"difference\":");
        glia__text_add_number(out, r->difference);
    }
    glia__text_add(out, "}\n");
}

static int print_result(const cli_options *options, const glia_export_result *result) {
    glia_text out;
    glia__text_init(&out, NULL);
    if (options->json == GLIA_YES)
        add_result_json(result, &out);
    else
        add_result(result, &out);
    return cli_print(&out);
}

static int export_run(const cli_options *options, const char *path, const char *format,
                      const char *format_text) {
    glia_error err = {0};
    glia_run run;
    glia_export_result result;
    if (cli_open_run(options, path, NULL, &run) != CLI_OK) return CLI_FAILED;
    glia_status status = glia_run_export(&run, format, format_text, options->out, &result, &err);
    if (status == GLIA_OK && options->check == GLIA_YES)
        status = glia_run_export_check(&run, format, format_text, options->out, &result, &err);
    glia_run_close(&run);
    return status == GLIA_OK ? print_result(options, &result) : cli_fail(&err);
}

/* Before the training: whether a model can be written at all. Nothing of it stays. */
static int try_model(const cli_options *options, char **arguments, int count, const char *format,
                     const char *format_text) {
    glia_error err = {0};
    cli_model m;
    glia_export_result result;
    if (options->check != GLIA_YES)
        return cli_usage("export", "'%s' is no run; with --check a model file is tried: can it be written?",
                         arguments[0]);
    if (cli_open_model(options, arguments, count, &m) != CLI_OK) return CLI_FAILED;
    glia_status status = glia_model_initialize(m.model, 0, &err);
    if (status == GLIA_OK) status = glia__export_try(m.model, format, format_text, &result, &err);
    cli_close_model(&m);
    if (status != GLIA_OK) return cli_fail(&err);
    if (options->json == GLIA_YES) return print_result(options, &result);
    printf("%s can be written as %s: %s\n", arguments[0], format, result.check);
    return CLI_OK;
}

static int run_export(const cli_options *options, char **arguments, int count) {
    glia_error err = {0};
    const glia_exporter *exporter;
    glia_text text;
    struct stat st;
    if (!options->format[0] && !options->out[0])
        return cli_usage("export", "which format? --format WORD, or -o FILE with a known ending");
    if (glia__exporter_find(&exporter, options->format, options->out, &err) != GLIA_OK)
        return cli_usage("export", "%s", err.message);
    const bool model = stat(arguments[0], &st) == 0 && S_ISREG(st.st_mode);
    if (!model && count > 1) return cli_usage("export", "unexpected '%s' after a run", arguments[1]);
    glia__text_init(&text, NULL);
    int status = format_options(options, exporter, &text);
    if (status == CLI_OK)
        status = model ? try_model(options, arguments, count, exporter->name, text.data)
                       : export_run(options, arguments[0], exporter->name, text.data);
    glia__text_free(&text);
    return status;
}

const cli_command cli_export = {
    .name = "export",
    .arguments = "RUN | --check MODEL.yaml [key.sub=value ...]",
    .summary = "Write a trained run's model for other programs",
    .details = "The best weights of the run, for inference: dropout is left out. Files are "
               "replaced.\n--check then proves "
               "the file: ONNX is read back and predicts made-up examples as the model does, C is "
               "compiled\n(by CC, else "
               "cc) and runs its self-test, weights are compared. Of a model file it says, before any "
               "training,\nwhether "
               "it can be written; what cannot is named.",
    .examples = "glia export runs/mnist_cnn-7 --format onnx\n"
                "glia export runs/mnist_cnn-7 -o digits.onnx --preprocess --probabilities\n"
                "glia export examples/mnist_cnn.yaml --format c --check\n"
                "glia export runs/mnist_cnn-7 --format safetensors -o digits.safetensors --json",
    .flags =
        (const glia_field[]){
            CLI_FLAG(format, STRING, "", "what to write; default: by the ending of --out", .count = 0),
            CLI_FLAG(out, STRING, "", "file; default: the model's name and the ending", .count = 0),
            CLI_TTA,
            CLI_FLAG(check, BOOL, "no", "compare what was written with the model", .count = 0),
            CLI_INPUT,
            CLI_JSON,
            {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run_export,
    .other_flags = format_flags,
};

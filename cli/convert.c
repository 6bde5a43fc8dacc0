/* convert.c: `glia convert`. */
#include <stdio.h>
#include <sys/stat.h>

#include "cli.h"
#include "io/export.h"
#include "io/weights.h"
#include "recipe/import.h"

static glia_status convert(const char *from, const char *to, size_t *count, double *bytes, glia_error *err) {
    glia_weights *weights;
    GLIA_TRY(glia_weights_open(&weights, from, NULL, err));
    size_t n = glia_weights_count(weights);
    glia_named_tensor *tensors = glia__calloc(NULL, n, sizeof *tensors);
    glia_status status =
        tensors ? GLIA_OK : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory converting %.300s", from);
    for (size_t i = 0; i < n && tensors; i++) {
        tensors[i] = (glia_named_tensor){glia_weights_name(weights, i), glia_weights_tensor(weights, i)};
        *bytes += (double)glia_tensor_bytes(&tensors[i].tensor);
    }
    *count = n;
    if (status == GLIA_OK) status = glia_weights_write(to, tensors, n, NULL, 0, err);
    glia__free(NULL, tensors, n * sizeof *tensors);
    glia_weights_close(weights);
    return status;
}

static int convert_weights(const char *from, const char *to) {
    glia_error err = {0};
    glia_text out;
    size_t arrays = 0;
    double bytes = 0;
    char size[32];
    if (convert(from, to, &arrays, &bytes, &err) != GLIA_OK) return cli_fail(&err);
    glia__text_init(&out, NULL);
    glia__text_printf(&out, "%s: %zu arrays, %s\n", to, arrays, cli_bytes(bytes, size, sizeof size));
    return cli_print(&out);
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A run, or a file that says what its model is. */
static glia_status open_model(const char *from, glia_run *run, glia_error *err) {
    glia_import_report *report;
    if (is_folder(from)) return glia_run_open(run, from, NULL, err);
    const glia_recipe_import request = {.weights = from};
    glia_status status = glia__recipe_import_open(&request, run, &report, err);
    glia_import_report_free(report);
    return status;
}

static int convert_model(const char *from, const char *to) {
    glia_error err = {0};
    glia_run run;
    glia_export_result result;
    glia_text out;
    char size[32];
    if (open_model(from, &run, &err) != GLIA_OK) return cli_fail(&err);
    glia_status status = glia_run_export(&run, NULL, NULL, to, &result, &err);
    glia_run_close(&run);
    if (status != GLIA_OK) return cli_fail(&err);
    glia__text_init(&out, NULL);
    for (int i = 0; i < result.n_files; i++)
        glia__text_printf(&out, "%s: %s\n", result.files[i].path,
                          cli_bytes((double)result.files[i].bytes, size, sizeof size));
    return cli_print(&out);
}

/* All endings that a model or weights can be written with. */
static int unknown_ending(const char *to) {
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < glia__exporters_count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                 glia__exporters[i]->extension);
    for (size_t i = 0; i < glia__weights_formats_count; i++) {
        const glia_weights_format *f = glia__weights_formats[i];
        for (size_t k = 0; f->write && k < GLIA_COUNT(f->endings) && f->endings[k] && used < sizeof list; k++)
            if (!strstr(list, f->endings[k]))
                used += (size_t)snprintf(list + used, sizeof list - used, ", %s", f->endings[k]);
    }
    return cli_usage("convert", "'%s' ends like no format; expected one of %s", to, list);
}

/* Files of weights go to files of weights as they are; everything else is a model, which is built and exported. */
static int run_convert(const cli_options *options, char **arguments, int count) {
    (void)options, (void)count;
    const char *from = arguments[0], *to = arguments[1];
    const glia_weights_format *format = glia__weights_format_of(to);
    const bool weights = format && format->write && glia__weights_format_of(from);
    const glia_exporter *exporter;
    char best[1200];
    if (!weights && glia__exporter_find(&exporter, NULL, to, &(glia_error){0}) == GLIA_OK)
        return convert_model(from, to);
    if (!format || !format->write) return unknown_ending(to);
    snprintf(best, sizeof best, is_folder(from) ? "%s/best.safetensors" : "%s", from);
    return convert_weights(best, to);
}

const cli_command cli_convert = {
    .name = "convert",
    .arguments = "FROM TO",
    .summary = "Write a model or weights in another format, by the endings of both",
    .details = "Weights to weights: names, shapes and numbers stay as they are. To a format of glia export, "
               "FROM is a run, "
               "an ONNX\nfile, or a Keras file that says what its model is. docs/formats.md says what each "
               "format keeps and "
               "loses.",
    .examples =
        "glia convert model.safetensors model.npz\nglia convert model.safetensors.index.json "
        "whole.safetensors\nglia convert model.onnx weights.safetensors\nglia convert model.onnx model.c",
    .flags = (const glia_field[]){{.name = NULL}},
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run_convert,
};

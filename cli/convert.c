/* convert.c: `glia convert`. */
#include <stdio.h>

#include "cli.h"

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

static int run_convert(const cli_options *options, char **arguments, int count) {
    (void)options, (void)count;
    glia_error err = {0};
    glia_text out;
    size_t arrays = 0;
    double bytes = 0;
    char size[32];
    if (convert(arguments[0], arguments[1], &arrays, &bytes, &err) != GLIA_OK) return cli_fail(&err);
    glia__text_init(&out, NULL);
    glia__text_printf(&out, "%s: %zu arrays, %s\n", arguments[1], arrays,
                      cli_bytes(bytes, size, sizeof size));
    return cli_print(&out);
}

const cli_command cli_convert = {
    .name = "convert",
    .arguments = "FROM TO",
    .summary = "Write a file of weights in another format, by the endings of both",
    .details =
        "Names, shapes and numbers stay as they are; docs/formats.md says what each format keeps and loses.",
    .examples = "glia convert model.safetensors model.npz\nglia convert model.safetensors.index.json "
                "whole.safetensors",
    .flags = (const glia_field[]){{.name = NULL}},
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run_convert,
};

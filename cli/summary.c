/* summary.c: `glia summary`. */
#include <stdio.h>

#include "cli.h"
#include "io/weights.h"
#include "recipe/import.h"
#include "recipe/recipe.h"
#include "train/loss.h"

typedef struct totals {
    double flops;
    glia_program_info one, batch;
} totals;

/* What running (not training) the model takes, from the planner. */
static glia_status plan(glia_model *model, int64_t batch, glia_program_info *info, glia_error *err) {
    glia_program *program;
    glia_value *output = glia_model_output(model);
    GLIA_TRY(glia_program_new(&program, glia_model_graph(model), &output, 1,
                              (glia_program_options){.dims = {batch}, .plan_only = GLIA_YES}, err));
    *info = glia_program_get_info(program);
    glia_program_free(program);
    return GLIA_OK;
}

static const char *example_shape(glia_shape shape, char *out, size_t capacity) {
    glia_shape one = {.rank = GLIA_MAX(shape.rank - 1, 0)};
    for (int i = 0; i < one.rank; i++) one.dim[i] = shape.dim[i + 1];
    return glia_shape_text(&one, out, capacity);
}

/* printf counts bytes; × takes two and one column. */
static int width(const char *text, int columns) {
    for (const char *c = text; *c; c++) columns += ((unsigned char)*c & 0xc0) == 0x80;
    return columns;
}

static void add_table(glia_model *model, const totals *t, int64_t batch, glia_text *out) {
    char shape[96], count[40], a[40], b[40];
    int names = 16;
    for (size_t i = 0; i < glia_model_layers(model); i++)
        names = GLIA_MAX(names, (int)strlen(glia_model_layer(model, i).name));
    glia__text_printf(out, "%-*s %-16s %-16s %12s %12s\n", names, "layer", "kind", "output", "parameters",
                      "MFLOP");
    for (int i = 0; glia_model_input(model, i); i++) {
        const glia_value *input = glia_model_input(model, i);
        example_shape(glia_value_shape(input), shape, sizeof shape);
        glia__text_printf(out, "%-*s %-16s %s\n", names,
                          glia_model_input(model, 1) ? glia_value_name(input) : "input", "", shape);
    }
    for (size_t i = 0; i < glia_model_layers(model); i++) {
        glia_layer_info layer = glia_model_layer(model, i);
        example_shape(layer.output_shape, shape, sizeof shape);
        glia__text_printf(out, "%-*s %-16s %-*s %12s %12.4g\n", names, layer.name, layer.kind,
                          width(shape, 16), shape, cli_count(layer.params, count, sizeof count),
                          layer.flops / 1e6);
    }
    glia__text_printf(out, "\n%s parameters (%s) · %.4g MFLOP an example forward\n",
                      cli_count(glia_model_param_count(model), count, sizeof count),
                      cli_bytes((double)glia_model_param_count(model) * 4, a, sizeof a), t->flops / 1e6);
    glia__text_printf(out, "memory to run: %s for one example, %s for a batch of %lld\n",
                      cli_bytes((double)t->one.block_bytes, a, sizeof a),
                      cli_bytes((double)t->batch.block_bytes, b, sizeof b), (long long)batch);
}

static void add_json(glia_model *model, const totals *t, int64_t batch, glia_text *out) {
    glia__text_add(out, "{\"layers\":[");
    for (size_t i = 0; i < glia_model_layers(model); i++) {
        glia_layer_info layer = glia_model_layer(model, i);
        glia__text_add(out, i ? ",{\"name\":" : "{\"name\":");
        glia__text_add_json(out, layer.name);
        glia__text_add(out, ",\"kind\":");
        glia__text_add_json(out, layer.kind);
        glia__text_add(out, ",\"output\":[");
        for (int d = 1; d < layer.output_shape.rank; d++)
            glia__text_printf(out, "%s%lld", d > 1 ? "," : "", (long long)layer.output_shape.dim[d]);
        glia__text_printf(out, "],\"parameters\":%lld,\"flops\":%.0f}", (long long)layer.params, layer.flops);
    }
    glia__text_printf(
        out, "],\"parameters\":%lld,\"flops\":%.0f,\"memory\":%zu,\"batch\":%lld,\"memory_of_batch\":%zu}\n",
        (long long)glia_model_param_count(model), t->flops, t->one.block_bytes, (long long)batch,
        t->batch.block_bytes);
}

/* `trains`: the recipe says how; else what it says of the loss is nobody's choice. */
static int print_summary(const cli_options *options, const glia_recipe *recipe, glia_model *model,
                         bool trains) {
    char warning[400];
    glia_error err = {0};
    totals t = {.flops = 0};
    int64_t batch = options->batch ? options->batch : glia_recipe_fit_options(recipe).batch_size;
    if (plan(model, 1, &t.one, &err) != GLIA_OK || plan(model, batch, &t.batch, &err) != GLIA_OK)
        return cli_fail(&err);
    if (trains && glia__loss_warning(model, glia_recipe_fit_options(recipe).loss, warning, sizeof warning))
        fprintf(stderr, "warning: %s\n", warning);
    for (size_t i = 0; i < glia_model_layers(model); i++) t.flops += glia_model_layer(model, i).flops;
    glia_text out;
    glia__text_init(&out, NULL);
    if (options->json == GLIA_YES)
        add_json(model, &t, batch, &out);
    else
        add_table(model, &t, batch, &out);
    return cli_print(&out);
}

/* --- ONNX files ------------------------------------------------------------------------------------------ */

static void add_inputs(const glia_onnx *file, glia_text *out) {
    char shape[128];
    const char *name;
    for (size_t i = 0; (name = glia_onnx_input(file, i)); i++) {
        glia_error err = {0};
        glia_dtype dtype;
        glia_shape dims;
        if (glia_onnx_input_type(file, i, &dtype, &dims, &err) == GLIA_OK)
            glia__text_printf(out, "input   %s, %s %s\n", name, glia_dtype_name(dtype),
                              glia_shape_text(&dims, shape, sizeof shape));
        else
            glia__text_printf(out, "input   %s\n", err.message);
    }
    for (size_t i = 0; (name = glia_onnx_output(file, i)); i++) glia__text_printf(out, "output  %s\n", name);
}

/* "nodes   2 Conv, 3 Relu", in the order in which they come first. */
static void add_operators(const glia_onnx *file, glia_text *out) {
    const char *first, *other;
    glia__text_add(out, "nodes   ");
    for (size_t i = 0; (first = glia_onnx_operator(file, i)); i++) {
        size_t count = 0, before = 0;
        while (before < i && strcmp(glia_onnx_operator(file, before), first) != 0) before++;
        if (before < i) continue;
        for (size_t k = i; (other = glia_onnx_operator(file, k)); k++) count += strcmp(other, first) == 0;
        glia__text_printf(out, "%s%zu %s", i ? ", " : "", count, first);
    }
    glia__text_add(out, "\n");
}

static void add_metadata(const glia_onnx *file, glia_text *out) {
    const char *key;
    for (size_t i = 0; (key = glia_onnx_metadata_key(file, i)); i++) {
        const char *value = glia_onnx_metadata(file, key);
        const int shown = (int)strcspn(value, "\n");
        glia__text_printf(out, "%s: %.*s%s\n", key, GLIA_MIN(shown, 100), value,
                          shown > 100 || value[shown] ? " …" : "");
    }
}

/* What the file says of itself, before the table of layers; *several: it has more than one output. */
static int overview_onnx(const char *path, bool *several) {
    glia_error err = {0};
    glia_onnx *file;
    glia_text out;
    if (glia_onnx_open(&file, path, NULL, &err) != GLIA_OK) return cli_fail(&err);
    const char *producer = glia_onnx_producer(file);
    glia__text_init(&out, NULL);
    glia__text_printf(&out, "%s: ONNX, opset %lld%s%s\n", path, (long long)glia_onnx_opset(file),
                      *producer ? ", by " : "", producer);
    add_inputs(file, &out);
    add_operators(file, &out);
    add_metadata(file, &out);
    glia__text_add(&out, "\n");
    *several = glia_onnx_output(file, 1) != NULL;
    glia_onnx_close(file);
    return cli_print(&out);
}

static bool names_output(char **arguments, int count) {
    for (int i = 1; i < count; i++)
        if (strncmp(arguments[i], "model.onnx.output=", 18) == 0) return true;
    return false;
}

/* --- files of weights ----------------------------------------------------------------------------------- */

static void add_arrays(const glia_weights *file, const char *path, glia_text *out) {
    char shape[96], count[40], size[40];
    int64_t numbers = 0;
    double bytes = 0;
    int names = 16;
    for (size_t i = 0; i < glia_weights_count(file); i++)
        names = GLIA_MAX(names, (int)strlen(glia_weights_name(file, i)));
    for (size_t i = 0; i < glia_weights_count(file); i++) {
        const char *name = glia_weights_name(file, i);
        glia_tensor t = glia_weights_tensor(file, i);
        int64_t elems = glia_shape_elems(&t.shape);
        glia_shape_text(&t.shape, shape, sizeof shape);
        glia__text_printf(out, "%s%*s %-5s %-*s %12s\n", name, cli_pad(name, names), "",
                          glia_dtype_name(t.dtype), width(shape, 20), shape,
                          cli_count(elems, count, sizeof count));
        numbers += elems;
        bytes += (double)glia_tensor_bytes(&t);
    }
    glia__text_printf(out, "\n%zu arrays, %s numbers, %s\n", glia_weights_count(file),
                      cli_count(numbers, count, sizeof count), cli_bytes(bytes, size, sizeof size));
    if (glia_weights_metadata(file, "model_config"))
        glia__text_printf(out, "with their model: glia plan %s, glia import %s\n", path, path);
}

static void add_arrays_json(const glia_weights *file, glia_text *out) {
    glia__text_add(out, "{\"arrays\":[");
    for (size_t i = 0; i < glia_weights_count(file); i++) {
        glia_tensor t = glia_weights_tensor(file, i);
        glia__text_add(out, i ? ",{\"name\":" : "{\"name\":");
        glia__text_add_json(out, glia_weights_name(file, i));
        glia__text_printf(out, ",\"dtype\":\"%s\",\"shape\":[", glia_dtype_name(t.dtype));
        for (int d = 0; d < t.shape.rank; d++)
            glia__text_printf(out, "%s%lld", d ? "," : "", (long long)t.shape.dim[d]);
        glia__text_add(out, "]}");
    }
    glia__text_add(out, "]}\n");
}

static int summarize_file(const cli_options *options, const char *path) {
    glia_error err = {0};
    glia_weights *file;
    glia_text out;
    if (glia_weights_open(&file, path, NULL, &err) != GLIA_OK) return cli_fail(&err);
    glia__text_init(&out, NULL);
    if (options->json == GLIA_YES)
        add_arrays_json(file, &out);
    else
        add_arrays(file, path, &out);
    glia_weights_close(file);
    return cli_print(&out);
}

static int run_summary(const cli_options *options, char **arguments, int count) {
    cli_model m;
    bool several = false;
    if (glia__names_onnx(arguments[0]) && options->json != GLIA_YES) {
        if (overview_onnx(arguments[0], &several) != CLI_OK) return CLI_FAILED;
        if (several && !names_output(arguments, count)) {
            puts("several outputs: model.onnx.output=NAME shows the work up to one");
            return CLI_OK;
        }
    }
    if (count == 1 && !glia__names_onnx(arguments[0]) && glia__weights_format_of(arguments[0]))
        return summarize_file(options, arguments[0]);
    if (cli_open_model(options, arguments, count, &m) != CLI_OK) return CLI_FAILED;
    int code = print_summary(options, m.recipe, m.model, !glia__names_onnx(arguments[0]));
    cli_close_model(&m);
    return code;
}

const cli_command cli_summary = {
    .name = "summary",
    .arguments = "MODEL.yaml|RUN [key.sub=value ...] | FILE",
    .summary = "Show the layers of a network, their shapes, parameters, work and memory",
    .details = "The shape of the input comes from the run, from the data, or from --input. Of a FILE of "
               "weights (.safetensors, .npz,\n.h5, …) its arrays are listed, of an ONNX file first what it "
               "says of itself.",
    .examples = "glia summary runs/mnist_cnn-7\n"
                "glia summary examples/mnist_cnn.yaml --input 1x28x28 model.conv2d.filters=64",
    .flags =
        (const glia_field[]){CLI_INPUT,
                             CLI_FLAG(batch, INT, "0", "examples at once, for the memory; 0: as in training",
                                      .min = 0, .max = 1 << 24),
                             CLI_JSON,
                             CLI_QUIET,
                             {.name = NULL}},
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run_summary,
};

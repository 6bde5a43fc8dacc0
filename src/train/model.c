/* model.c: a model's life: inputs, output, parameters in one block, weights to and from disk. */

#include "train/model.h"

#include <stdio.h>

#include "glia/io.h"
#include "onnx/proto.h"

glia_model *glia_model_new(const char *name) {
    return glia_model_new_with(name, NULL);
}

glia_model *glia_model_new_with(const char *name, const glia_allocator *allocator) {
    glia_model *model = glia__calloc(allocator, 1, sizeof *model);
    if (!model) return NULL;
    model->allocator = allocator;
    glia__arena_init(&model->arena, allocator);
    model->graph = glia_graph_new(allocator);
    model->name = glia__arena_strdup(&model->arena, name ? name : "model");
    if (!model->graph || !model->name) {
        glia_model_free(model);
        return NULL;
    }
    model->graph->owner = model;
    return model;
}

void glia_model_free(glia_model *model) {
    if (!model) return;
    const glia_allocator *a = model->allocator;
    glia_graph_free(model->graph);
    glia__free(a, model->block, model->block_bytes);
    glia__free(a, model->params, model->capacity_params * sizeof *model->params);
    for (size_t i = 0; i < model->n_files; i++) glia_onnx_close(model->files[i]);
    glia__free(a, model->files, model->n_files * sizeof *model->files);
    glia__free(a, model->layers, model->capacity_layers * sizeof *model->layers);
    glia__free(a, model->carried.list, model->carried.count * sizeof *model->carried.list);
    glia__arena_free(&model->arena);
    glia__free(a, model, sizeof *model);
}

glia_graph *glia_model_graph(glia_model *model) {
    return model ? model->graph : NULL;
}

const char *glia_model_name(const glia_model *model) {
    return model ? model->name : "";
}

glia_status glia_model_status(const glia_model *model, glia_error *err) {
    if (!model) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory: there is no model");
    return glia_graph_status(model->graph, err);
}

glia_status glia__model_ready(const glia_model *model, glia_error *err) {
    GLIA_TRY(glia_model_status(model, err));
    if (model->n_inputs == 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "model '%s' has no input; call glia_input",
                              model->name);
    if (!model->output)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "model '%s' has no output; call glia_model_set_output with its last value",
                              model->name);
    return GLIA_OK;
}

void glia_model_set_output(glia_model *model, glia_value *output) {
    if (!model || !output) return; /* a NULL output has left its error in the graph */
    if (glia_value_graph(output) != model->graph)
        (void)glia_graph_fail(model->graph, GLIA_INVALID_ARGUMENT, model->name,
                              "the output of model '%s' belongs to another model", model->name);
    else
        model->output = output;
}

glia_value *glia_model_output(const glia_model *model) {
    return model ? model->output : NULL;
}

glia_value *glia_model_input(const glia_model *model, int index) {
    return model && index >= 0 && index < model->n_inputs ? model->inputs[index] : NULL;
}

glia_value *glia_input_with(glia_model *model, const char *name, glia_input_options options) {
    if (!model) return NULL;
    glia_shape shape = {.rank = 1, .dim = {GLIA_DIM_BATCH}};
    if (!name) name = "input";
    if (model->n_inputs == GLIA_MODEL_INPUTS)
        return glia_graph_fail(model->graph, GLIA_UNSUPPORTED, name,
                               "input '%s': a model has at most %d inputs", name, GLIA_MODEL_INPUTS);
    for (int i = 0; i < GLIA_MAX_RANK && options.shape[i] != 0; i++) {
        if (shape.rank == GLIA_MAX_RANK)
            return glia_graph_fail(model->graph, GLIA_BAD_SHAPE, name,
                                   "input '%s': an example has at most %d dimensions", name,
                                   GLIA_MAX_RANK - 1);
        if (options.shape[i] < -GLIA_DIM_SYMBOLS || options.shape[i] == GLIA_DIM_BATCH)
            return glia_graph_fail(model->graph, GLIA_BAD_SHAPE, name,
                                   "input '%s': dimension %d of an example is %lld; expected at least 1",
                                   name, i + 1, (long long)options.shape[i]);
        shape.dim[shape.rank++] = options.shape[i];
    }
    glia_value *value = glia_graph_input(model->graph, name, options.dtype, shape);
    if (value) model->inputs[model->n_inputs++] = value;
    return value;
}

/* The parameter of that name, or NULL. */
static glia_param *find_param(const glia_model *model, const char *name) {
    for (size_t i = 0; i < model->n_params; i++)
        if (strcmp(glia_value_name(model->params[i].value), name) == 0) return &model->params[i];
    return NULL;
}

/* --- parameters ---------------------------------------------------------------------------------------- */

static int64_t padded(const glia_param *p) {
    return (p->elems + 15) / 16 * 16;
}

static bool reserve_param(glia_model *model) {
    if (model->n_params < model->capacity_params) return true;
    size_t wanted = model->capacity_params ? 2 * model->capacity_params : 16;
    void *grown =
        glia__grow(model->allocator, model->params, model->capacity_params, wanted, sizeof *model->params);
    if (!grown) return false;
    model->params = grown;
    model->capacity_params = wanted;
    return true;
}

static glia_value *shared_param(glia_model *model, const char *name, const char *of, glia_shape shape) {
    char want[96], have[96];
    const glia_param *p = find_param(model, of);
    glia_shape there = p ? glia_value_shape(p->value) : shape;
    if (p && glia_shape_equal(&there, &shape)) return p->value;
    if (!p)
        return glia_graph_fail(model->graph, GLIA_BAD_SHAPE, NULL,
                               "'%s' cannot share '%s': there is no such parameter", name, of);
    return glia_graph_fail(
        model->graph, GLIA_BAD_SHAPE, NULL, "'%s' of shape %s cannot share '%s' of shape %s", name,
        glia_shape_text(&shape, want, sizeof want), of, glia_shape_text(&there, have, sizeof have));
}

static glia_value *add_param(glia_model *model, const char *name, glia_shape shape, const char *initializer,
                             glia_param param) {
    const int64_t most = INT64_C(1) << 40; /* numbers in a model: 4 TiB */
    glia_graph *graph = model->graph;
    glia_error err = {0};
    char full[256], other[256], text[128];
    param.elems = glia_shape_elems(&shape);
    param.offset = -1;
    snprintf(full, sizeof full, "%s%s%s", graph->scope, *graph->scope ? "." : "", name);
    if (glia_graph_status(graph, NULL) != GLIA_OK) return NULL;
    if (glia__scope_shared(model, full, other, sizeof other)) return shared_param(model, full, other, shape);
    if (glia__model_frozen(model)) param.trained = false;
    param.rate = model->scope ? model->scope->rate : 1;
    if (param.elems < 0 || param.elems > most - model->block_elems)
        return glia_graph_fail(graph, GLIA_BAD_SHAPE, NULL,
                               "parameter '%s' of shape %s is too large: a model holds at most 2^40 numbers",
                               full, glia_shape_text(&shape, text, sizeof text));
    if (glia__initializer_parse(initializer, &param.initializer, &err) != GLIA_OK)
        return glia_graph_fail(graph, err.status, NULL, "parameter '%s': %s", full, err.message);
    if (!reserve_param(model)) return glia_graph_fail(graph, GLIA_OUT_OF_MEMORY, NULL, "out of memory");
    param.value = glia_graph_param(graph, full, GLIA_F32, shape);
    if (!param.value) return NULL;
    model->block_elems += padded(&param);
    model->params[model->n_params++] = param;
    return param.value;
}

glia_value *glia_model_param(glia_model *model, const char *name, glia_shape shape, const char *initializer,
                             int64_t fan_in, int64_t fan_out) {
    if (!model) return NULL;
    return add_param(model, name, shape, initializer,
                     (glia_param){.trained = true, .fan_in = fan_in, .fan_out = fan_out});
}

glia_value *glia_model_state(glia_model *model, const char *name, glia_shape shape, const char *initializer) {
    if (!model) return NULL;
    return add_param(model, name, shape, initializer, (glia_param){.trained = false});
}

glia_value *glia__model_param_given(glia_model *model, const char *name, const glia_tensor *data,
                                    const glia_onnx *file, bool trained) {
    return add_param(model, name, data->shape, "zeros",
                     (glia_param){.trained = trained, .given = data->data, .file = file});
}

void glia__model_set_sparse(glia_model *model, const glia_value *param) {
    for (size_t i = 0; i < model->n_params; i++)
        if (model->params[i].value == param) model->params[i].sparse = true;
}

const glia_param *glia__model_sparse(const glia_model *model) {
    for (size_t i = 0; i < model->n_params; i++)
        if (model->params[i].sparse && model->params[i].trained) return &model->params[i];
    return NULL;
}

bool glia__model_keep_file(glia_model *model, glia_onnx *file) {
    void *grown =
        glia__grow(model->allocator, model->files, model->n_files, model->n_files + 1, sizeof *model->files);
    if (!grown) return false;
    model->files = grown;
    model->files[model->n_files++] = file;
    return true;
}

void glia_model_set_update(glia_model *model, const glia_value *state, glia_value *update) {
    if (!model || !state || !update) return; /* NULL values have left their error in the graph */
    if (glia__model_frozen(model)) return;
    glia_shape have = glia_value_shape(state), want = glia_value_shape(update);
    const char *name = glia_value_name(state);
    for (size_t i = 0; i < model->n_params; i++) {
        glia_param *p = &model->params[i];
        if (p->value != state || p->trained) continue;
        if (p->update) return; /* shared: it follows the first layer that has it */
        if (glia_value_graph(update) == model->graph && glia_value_dtype(update) == GLIA_F32 &&
            glia_shape_equal(&have, &want))
            p->update = update;
        else
            (void)glia_graph_fail(model->graph, GLIA_BAD_SHAPE, NULL,
                                  "the update of '%s' must be of its type and model", name);
        return;
    }
    (void)glia_graph_fail(model->graph, GLIA_INVALID_ARGUMENT, NULL, "'%s' is no state of model '%s'", name,
                          model->name);
}

bool glia__model_has_weights(const glia_model *model) {
    return model->block && model->block_bytes == (size_t)model->block_elems * sizeof(float);
}

glia_status glia__model_with_weights(const glia_model *model, glia_error *err) {
    GLIA_TRY(glia__model_ready(model, err));
    if (glia__model_has_weights(model)) return GLIA_OK;
    return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                          "model '%s' has no weights yet; train it, load weights or initialise it",
                          model->name);
}

/* Gives every parameter its place in the block: the trained ones first. */
static void lay_out(glia_model *model) {
    int64_t offset = 0;
    for (int state = 0; state < 2; state++) {
        for (size_t i = 0; i < model->n_params; i++) {
            glia_param *p = &model->params[i];
            if (p->trained == (bool)state) continue;
            p->offset = offset;
            offset += padded(p);
        }
        if (!state) model->trained_elems = offset;
    }
}

glia_status glia__model_allocate(glia_model *model, glia_error *err) {
    size_t bytes = (size_t)model->block_elems * sizeof(float);
    if (glia__model_has_weights(model)) return GLIA_OK;
    float *block = glia__alloc_pages(model->allocator, bytes);
    if (!block)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY,
                              "out of memory: the %lld parameters of '%s' need %.1f MB",
                              (long long)glia_model_param_count(model), model->name, (double)bytes / 1e6);
    memset(block, 0, bytes);
    glia__free(model->allocator, model->block, model->block_bytes);
    model->block = block;
    model->block_bytes = bytes;
    lay_out(model);
    return GLIA_OK;
}

glia_status glia_model_initialize(glia_model *model, uint64_t seed, glia_error *err) {
    GLIA_TRY(glia_model_status(model, err));
    GLIA_TRY(glia__model_allocate(model, err));
    for (size_t i = 0; i < model->n_params; i++) {
        const glia_param *p = &model->params[i];
        glia_random random = {seed, glia_random_stream(glia_value_name(p->value))};
        if (p->given) {
            glia__onnx_data_copy(p->file, p->given, (size_t)p->elems * sizeof(float),
                                 model->block + p->offset);
            continue;
        }
        glia__initializer_fill(&p->initializer, p->fan_in, p->fan_out, random, model->block + p->offset,
                               p->elems);
    }
    return GLIA_OK;
}

bool glia_model_param_trained(const glia_model *model, size_t index) {
    return model && index < model->n_params && model->params[index].trained;
}

int64_t glia_model_param_count(const glia_model *model) {
    int64_t count = 0;
    for (size_t i = 0; model && i < model->n_params; i++) count += model->params[i].elems;
    return count;
}

size_t glia_model_params(const glia_model *model) {
    return model ? model->n_params : 0;
}

glia_value *glia_model_param_value(const glia_model *model, size_t index) {
    return model && index < model->n_params ? model->params[index].value : NULL;
}

glia_tensor glia_model_param_data(const glia_model *model, size_t index) {
    if (!model || index >= model->n_params) return (glia_tensor){0};
    const glia_param *p = &model->params[index];
    return glia_tensor_wrap(p->offset >= 0 ? model->block + p->offset : NULL, GLIA_F32,
                            glia_value_shape(p->value));
}

glia_tensor glia_model_get_param(const glia_model *model, const char *name) {
    const glia_param *p = model && name ? find_param(model, name) : NULL;
    return p ? glia_model_param_data(model, (size_t)(p - model->params)) : (glia_tensor){0};
}

/* --- weights on disk ----------------------------------------------------------------------------------- */

glia_status glia_model_save_weights(const glia_model *model, const char *path, glia_error *err) {
    GLIA_TRY(glia_model_status(model, err));
    if (!model->block)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "model '%s' has no weights yet; initialise it first", model->name);
    size_t bytes = model->n_params * sizeof(glia_named_tensor);
    glia_named_tensor *tensors = glia__alloc(model->allocator, bytes);
    if (!tensors) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < model->n_params; i++)
        tensors[i] =
            (glia_named_tensor){glia_value_name(model->params[i].value), glia_model_param_data(model, i)};
    glia_key_value metadata = {"model", model->name};
    glia_status status = glia_safetensors_write(path, tensors, model->n_params, &metadata, 1, err);
    glia__free(model->allocator, tensors, bytes);
    return status;
}

/* The first tensor of the file that is none of the model's, to `out`; how many there are is returned. */
static size_t find_left_over(const glia_model *model, const glia_safetensors *file, const char **out) {
    size_t left_over = 0;
    for (size_t i = 0; i < glia_safetensors_count(file); i++) {
        const char *name = glia_safetensors_name(file, i);
        /* A checkpoint's moments are no weights, and neither is what stateful layers go on with. */
        bool known = strncmp(name, "optimizer.", 10) == 0 || strncmp(name, "carried.", 8) == 0;
        for (size_t k = 0; k < model->n_params && !known; k++)
            known = strcmp(glia_value_name(model->params[k].value), name) == 0;
        if (!known && left_over++ == 0) *out = name;
    }
    return left_over;
}

/* Checks that the file holds exactly the model's parameters; the message names what does not fit. */
static glia_status check_names(const glia_model *model, const glia_safetensors *file, const char *path,
                               glia_error *err) {
    char want[128], have[128];
    const char *missing = NULL, *extra = NULL;
    size_t n_missing = 0;
    for (size_t i = 0; i < model->n_params; i++) {
        const char *name = glia_value_name(model->params[i].value);
        glia_shape shape = glia_value_shape(model->params[i].value);
        glia_tensor tensor;
        if (glia_safetensors_get(file, name, &tensor, NULL) != GLIA_OK) {
            if (n_missing++ == 0) missing = name;
            continue;
        }
        if (!glia_shape_equal(&shape, &tensor.shape) || tensor.dtype != GLIA_F32)
            return glia_error_set(
                err, GLIA_BAD_SHAPE, "%s is not of this model: '%s' is %s %s there, the model needs f32 %s",
                path, name, glia_dtype_name(tensor.dtype), glia_shape_text(&tensor.shape, have, sizeof have),
                glia_shape_text(&shape, want, sizeof want));
    }
    size_t n_extra = find_left_over(model, file, &extra);
    if (n_missing && n_extra)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "%s is not of this model: %zu parameters are missing ('%s'), %zu are left over ('%s')", path,
            n_missing, missing, n_extra, extra);
    if (n_missing)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "%s is not of this model: %zu parameters are missing ('%s')", path, n_missing,
                              missing);
    if (n_extra)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "%s is not of this model: %zu parameters are left over ('%s')", path, n_extra,
                              extra);
    return GLIA_OK;
}

glia_status glia__model_read_block(const glia_model *model, const glia_safetensors *file, const char *path,
                                   float *block, glia_error *err) {
    GLIA_TRY(check_names(model, file, path, err));
    for (size_t i = 0; i < model->n_params; i++) {
        const glia_param *p = &model->params[i];
        glia_tensor tensor;
        GLIA_TRY(glia_safetensors_get(file, glia_value_name(p->value), &tensor, err));
        memcpy(block + p->offset, tensor.data, (size_t)p->elems * sizeof(float));
    }
    return GLIA_OK;
}

glia_status glia_model_load_weights(glia_model *model, const char *path, glia_error *err) {
    glia_safetensors *file;
    GLIA_TRY(glia_model_status(model, err));
    GLIA_TRY(glia_safetensors_open(&file, path, model->allocator, err));
    glia_status status = check_names(model, file, path, err); /* before anything changes */
    if (status == GLIA_OK) status = glia__model_allocate(model, err);
    if (status == GLIA_OK) status = glia__model_read_block(model, file, path, model->block, err);
    glia_safetensors_close(file);
    return status;
}

size_t glia_model_layers(const glia_model *model) {
    return model ? model->n_layers : 0;
}

glia_layer_info glia_model_layer(const glia_model *model, size_t index) {
    return model && index < model->n_layers ? model->layers[index] : (glia_layer_info){0};
}

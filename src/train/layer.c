/* layer.c: what all layers share: finding them by name, naming, checking, listing; and the generic builder.
 */

#include "train/layer.h"

#include <stdio.h>

#include "train/model.h"

glia_model *glia__model_of(const glia_value *value) {
    return value ? glia_value_graph(value)->owner : NULL;
}

/* --- finding: GLIA_LAYER blocks, and ops */

static const glia_layer_def *find_block(const char *name) {
    for (size_t i = 0; i < glia__layers_count; i++)
        if (strcmp(glia__layers[i]->name, name) == 0) return glia__layers[i];
    return NULL;
}

static glia_value *build_op(const glia_layer_build *b, const void *options) {
    const glia_op *op = b->def->op;
    if ((op->traits & GLIA_TRAIT_TRAINING_ONLY) && glia__model_frozen(b->model)) return b->inputs[0];
    return glia_graph_apply(b->graph, op->name, b->inputs, b->n_inputs, options);
}

bool glia__layer_def_at(size_t index, glia_layer_def *out) {
    if (index < glia__layers_count) {
        *out = *glia__layers[index];
        return true;
    }
    index -= glia__layers_count;
    for (size_t i = 0; i < glia__ops_count; i++) {
        const glia_op *op = glia__ops[i];
        if ((op->traits & GLIA_TRAIT_INTERNAL) || find_block(op->name) || index-- > 0) continue;
        *out = (glia_layer_def){.name = op->name,
                                .doc = op->doc,
                                .min_inputs = op->min_inputs,
                                .max_inputs = op->max_inputs,
                                .fields = op->attrs,
                                .options_size = op->attrs_size,
                                .build = build_op,
                                .keeps_steps =
                                    (op->traits & (GLIA_TRAIT_ACTIVATION | GLIA_TRAIT_ELEMENTWISE)) != 0,
                                .op = op};
        return true;
    }
    return false;
}

bool glia__layer_def_find(const char *name, glia_layer_def *out) {
    for (size_t i = 0; name && glia__layer_def_at(i, out); i++)
        if (strcmp(out->name, name) == 0) return true;
    return false;
}

const char *glia__layer_nearest(const char *name) {
    enum { MOST = 400 };
    const char *names[MOST];
    size_t count = 0;
    glia_layer_def def;
    while (count < MOST && glia__layer_def_at(count, &def)) names[count++] = def.name;
    return glia__nearest_word(name, names, count);
}

/* --- for the build functions --------------------------------------------------------------------------- */

glia_value *glia__layer_fail(const glia_layer_build *b, glia_status status, const char *format, ...) {
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return glia_graph_fail(b->graph, status, b->name, "%s '%s'%s%s", b->def->name, b->name,
                           message[0] == ':' ? "" : " ", message);
}

const char *glia__example_text(const glia_value *x, char *out, size_t capacity) {
    glia_shape shape = glia_value_shape(x), example = {.rank = shape.rank > 0 ? shape.rank - 1 : 0};
    for (int i = 0; i < example.rank; i++) example.dim[i] = shape.dim[i + 1];
    if (example.rank == 0) {
        snprintf(out, capacity, "a single number");
        return out;
    }
    return glia_shape_text(&example, out, capacity);
}

static const char *nearest_activation(const char *name) {
    enum { MOST = 64 };
    const char *names[MOST];
    size_t count = 0;
    for (size_t i = 0; i < glia__ops_count && count < MOST; i++)
        if (glia__ops[i]->traits & GLIA_TRAIT_ACTIVATION) names[count++] = glia__ops[i]->name;
    return glia__nearest_word(name, names, count);
}

glia_value *glia__layer_activate(const glia_layer_build *b, glia_value *x, const char *name) {
    if (!x || !name || !*name || strcmp(name, "linear") == 0) return x;
    const glia_op *op = glia__op_find(name);
    if (op && (op->traits & GLIA_TRAIT_ACTIVATION)) return glia_graph_apply(b->graph, name, &x, 1, NULL);
    const char *nearest = nearest_activation(name);
    return glia__layer_fail(b, GLIA_INVALID_ARGUMENT, "has an unknown activation '%s'%s%s%s", name,
                            nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}

/* --- applying ------------------------------------------------------------------------------------------ */

/* The whole name of a layer made now. */
static const char *whole_name(glia_model *model, const char *name) {
    const char *scope = model->graph->scope;
    return *scope ? glia__arena_printf(&model->arena, "%s.%s", scope, name)
                  : glia__arena_strdup(&model->arena, name);
}

/* "dense", "dense_1", … : the first that is free. NULL when out of memory. */
static const char *default_name(glia_model *model, const char *kind) {
    const char *name = whole_name(model, kind);
    char numbered[128];
    for (int i = 1; name && glia__applied_find(model, name); i++) {
        snprintf(numbered, sizeof numbered, "%s_%d", kind, i);
        name = whole_name(model, numbered);
    }
    return name;
}

/* A layer's name goes into file and node names. */
static bool good_name(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > 60 || *name == '.' || name[length - 1] == '.' || strstr(name, ".."))
        return false;
    for (const char *c = name; *c; c++)
        if (*c == '\'' || (unsigned char)*c <= ' ') return false;
    return true;
}

static bool reserve_layer(glia_model *model) {
    if (model->n_layers < model->capacity_layers) return true;
    size_t wanted = model->capacity_layers ? 2 * model->capacity_layers : 16;
    void *grown =
        glia__grow(model->allocator, model->layers, model->capacity_layers, wanted, sizeof *model->layers);
    if (!grown) return false;
    model->layers = grown;
    model->capacity_layers = wanted;
    return true;
}

/* Floating-point operations for one example of the nodes from `first` on. */
static double count_flops(const glia_graph *graph, size_t first) {
    double flops = 0;
    for (size_t i = first; i < graph->n_nodes; i++) {
        const glia_node *node = graph->nodes[i];
        glia_type types[GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS], *out = types + GLIA_MAX_INPUTS;
        for (int k = 0; k < node->n_inputs; k++)
            types[k] = node->inputs[k] ? node->inputs[k]->type : (glia_type){.shape.rank = -1};
        for (int k = 0; k < node->n_outputs; k++) out[k] = node->outputs[k].type;
        for (int k = 0; k < GLIA_MAX_INPUTS + GLIA_MAX_OUTPUTS; k++) {
            bool used = k < node->n_inputs || (k >= GLIA_MAX_INPUTS && k - GLIA_MAX_INPUTS < node->n_outputs);
            for (int d = 0; used && d < types[k].shape.rank; d++)
                if (types[k].shape.dim[d] < 0) types[k].shape.dim[d] = 1;
        }
        if (node->op->flops)
            flops += node->op->flops(types, out, node->attrs);
        else if (!(node->op->traits & (GLIA_TRAIT_ALIAS | GLIA_TRAIT_TRAINING_ONLY)))
            flops += (double)glia_shape_elems(&out[0].shape);
    }
    return flops;
}

/* What there was before a layer, and what the layers inside it have. */
typedef struct layer_start {
    size_t nodes, layers;
    int64_t params;
    const glia_scope *scope;
    bool transparent; /* the layers in it lie in its surroundings */
} layer_start;

/* The layer's options and definition outlive the call: others may share its weights. */
static bool note_layer(glia_model *model, const glia_layer_build *b, const layer_start *start,
                       const void *options) {
    const char *names = start->transparent ? start->scope ? start->scope->names : "" : b->name;
    glia_applied applied = {b->name, names, glia__arena_copy(&model->arena, b->def, sizeof *b->def), options,
                            model->applied};
    const glia_applied *copy = applied.def ? glia__arena_copy(&model->arena, &applied, sizeof applied) : NULL;
    if (copy)
        model->applied = copy;
    else
        (void)glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
    return copy != NULL;
}

/* What an op found wrong in a layer, as the layer's own error: "cumsum 'total': axis 5 is out of range …". */
static void name_error(const glia_layer_build *b) {
    glia_error *error = &b->graph->error;
    char quoted[100], message[sizeof error->message];
    snprintf(quoted, sizeof quoted, "'%.90s'", b->name);
    const bool own = strncmp(error->node, b->name, sizeof error->node - 1) == 0;
    if (!own || error->status == GLIA_OUT_OF_MEMORY || strstr(error->message, quoted)) return;
    const size_t kind = strlen(b->def->name);
    const bool begins = strncmp(error->message, b->def->name, kind) == 0;
    snprintf(message, sizeof message, "%s", error->message + (begins ? kind : 0));
    snprintf(error->message, sizeof error->message, "%s %s%s%.*s", b->def->name, quoted, begins ? "" : ": ",
             (int)(sizeof error->message - kind - sizeof quoted - 4), message);
}

/* A layer made of layers is listed with what it has besides them, where it has something. */
static glia_value *list_layer(glia_model *model, const glia_layer_build *b, layer_start start,
                              glia_value *result) {
    if (!result && glia_graph_status(b->graph, NULL) == GLIA_OK)
        return glia__layer_fail(b, GLIA_INTERNAL, "failed without saying why");
    if (!result) name_error(b);
    if (!result) return NULL;
    glia_layer_info info = {
        .name = b->name,
        .kind = b->def->name,
        .output_shape = glia_value_shape(result),
        .params = glia_model_param_count(model) - start.params,
        .flops = count_flops(b->graph, start.nodes),
    };
    for (size_t i = start.layers; i < model->n_layers; i++) {
        info.params -= model->layers[i].params;
        info.flops -= model->layers[i].flops;
    }
    if (model->n_layers > start.layers && !info.params && info.flops < 1) return result;
    if (!reserve_layer(model)) return glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
    model->layers[model->n_layers++] = info;
    return result;
}

static void wrong_count(const glia_layer_build *b) {
    const glia_layer_def *def = b->def;
    bool few = b->n_inputs < def->min_inputs, exact = def->min_inputs == def->max_inputs;
    int bound = few ? def->min_inputs : def->max_inputs;
    (void)glia__layer_fail(b, GLIA_INVALID_ARGUMENT, "takes %s%d input%s, got %d",
                           exact ? ""
                           : few ? "at least "
                                 : "at most ",
                           bound, bound == 1 ? "" : "s", b->n_inputs);
}

/* Checks name and inputs and fills `b`; false when the graph holds an error. */
static bool begin_layer(glia_model *model, const glia_layer_def *def, const char *name,
                        glia_value *const *inputs, int count, glia_layer_build *b) {
    glia_graph *graph = model->graph;
    const char *given = name;
    if (glia_graph_status(graph, NULL) != GLIA_OK) return false;
    name = given && *given ? whole_name(model, given) : default_name(model, def->name);
    if (!name) {
        (void)glia_graph_fail(graph, GLIA_OUT_OF_MEMORY, def->name, "out of memory");
        return false;
    }
    *b = (glia_layer_build){model, graph, inputs, count, name, def};
    if (given && *given && !good_name(given))
        (void)glia__layer_fail(
            b, GLIA_INVALID_ARGUMENT,
            "needs a name of 1 to 60 characters without quotes and spaces, and dots only inside");
    else if (glia__applied_find(model, name))
        (void)glia__layer_fail(b, GLIA_INVALID_ARGUMENT,
                               "has a name that another layer has; names are unique");
    else if (count < def->min_inputs || count > def->max_inputs)
        wrong_count(b);
    for (int i = 0; i < count && glia_graph_status(graph, NULL) == GLIA_OK; i++)
        if (!inputs[i])
            (void)glia__layer_fail(b, GLIA_INVALID_ARGUMENT, "has no input %d: the value is NULL", i + 1);
        else if (glia_value_graph(inputs[i]) != graph)
            (void)glia__layer_fail(b, GLIA_INVALID_ARGUMENT, "has an input of another model: '%s'",
                                   glia_value_name(inputs[i]));
    return glia_graph_status(graph, NULL) == GLIA_OK;
}

/* Strings of the caller's options need not outlive the call, and defaults are filled in a copy. */
static const void *resolve(const glia_layer_build *b, const glia_layer_def *def, const void *options,
                           bool resolved) {
    glia_error err = {0};
    if (!def->options_size) return options;
    void *copy = glia__arena_copy(&b->model->arena, options, def->options_size);
    if (!copy) return glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
    if (!resolved) glia__fields_fill(def->fields, copy);
    if (glia__fields_check(def->fields, copy, &err) != GLIA_OK)
        return glia__layer_fail(b, err.status, ": %s", err.message);
    return copy;
}

/* --- padding ----------------------------------------------------------------------------------------------- */

glia_value *glia__layer_lengths(const glia_layer_build *b, const glia_value *x) {
    const glia_padded *p = b->model->padded;
    while (p && p->value != x) p = p->before;
    return p ? p->lengths : NULL;
}

void glia__layer_set_lengths(const glia_layer_build *b, const glia_value *x, glia_value *lengths) {
    const glia_padded padded = {x, lengths, b->model->padded};
    const glia_padded *copy = glia__arena_copy(&b->model->arena, &padded, sizeof padded);
    if (copy)
        b->model->padded = copy;
    else
        (void)glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
}

/* What was padding in the first input is padding in the result. */
static void keep_lengths(const glia_layer_build *b, const glia_value *result) {
    glia_value *lengths = b->n_inputs && b->def->keeps_steps ? glia__layer_lengths(b, b->inputs[0]) : NULL;
    if (lengths && result && result != b->inputs[0] && glia_value_shape(result).rank > 2)
        glia__layer_set_lengths(b, result, lengths);
}

/* --- several results ---------------------------------------------------------------------------------------- */

void glia__layer_set_result(const glia_layer_build *b, const char *name, glia_value *value) {
    const glia_result result = {b->name, name, value, b->model->results};
    const glia_result *copy = value ? glia__arena_copy(&b->model->arena, &result, sizeof result) : NULL;
    if (copy)
        b->model->results = copy;
    else if (value)
        (void)glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
}

/* --- states between batches --------------------------------------------------------------------------------- */

glia_value *glia__layer_state_source(const glia_layer_build *b, const char *name, int64_t numbers) {
    const char *full = glia__arena_printf(&b->model->arena, "%s.%s", b->name, name);
    if (!full) return glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
    return glia_graph_input(b->graph, full, GLIA_F32,
                            GLIA_SHAPE(glia_value_shape(b->inputs[0]).dim[0], numbers));
}

void glia__layer_carry(const glia_layer_build *b, glia_value *first, glia_value *last) {
    glia_memories *all = &b->model->carried;
    glia_memory *list =
        glia__grow(b->model->allocator, all->list, all->count, all->count + 1, sizeof *all->list);
    if (!list) {
        (void)glia_graph_fail(b->graph, GLIA_OUT_OF_MEMORY, b->name, "out of memory");
        return;
    }
    all->list = list;
    all->list[all->count++] = (glia_memory){.before = first, .after = last};
}

static glia_value *apply(glia_model *model, const glia_layer_def *def, const char *name,
                         glia_value *const *inputs, int count, const void *options, bool resolved,
                         const glia_applied *shared) {
    glia_layer_build b;
    layer_start start = {model->graph->n_nodes, model->n_layers, glia_model_param_count(model), model->scope,
                         def->network && !(name && *name) && !shared};
    if (!begin_layer(model, def, name, inputs, count, &b)) return NULL;
    start.transparent = start.transparent && strcmp(b.name, def->name) == 0;
    const void *full = resolve(&b, def, options, resolved);
    if (!full && def->options_size) return NULL;
    const char *local = b.name + (*model->graph->scope ? strlen(model->graph->scope) + 1 : 0);
    if (!note_layer(model, &b, &start, full) ||
        !glia__scope_open(model, start.transparent ? NULL : local, NULL, shared ? b.name : NULL,
                          shared ? shared->names : NULL))
        return NULL;
    glia_value *result = list_layer(model, &b, start, def->build(&b, full));
    keep_lengths(&b, result);
    glia__scope_back(model, start.scope);
    return result;
}

glia_value *glia__layer_apply(glia_model *model, const glia_layer_def *def, const char *name,
                              glia_value *const *inputs, int count, const void *options, bool resolved) {
    for (int i = 0; i < count && !model; i++) model = glia__model_of(inputs[i]);
    return model ? apply(model, def, name, inputs, count, options, resolved, NULL) : NULL;
}

glia_value *glia__layer_share(glia_model *model, const glia_applied *of, const char *name,
                              glia_value *const *inputs, int count) {
    return apply(model, of->def, name, inputs, count, of->options, true, of);
}

/* "10" is short for "units=10". */
static const char *expand(glia_model *model, const glia_layer_def *def, const char *options) {
    if (!options || !def->shorthand || !*options || strchr(options, '=')) return options;
    return glia__arena_printf(&model->arena, "%s=%s", def->shorthand, options);
}

glia_value *glia_layer(glia_model *model, const char *kind, const char *name, glia_value *const *inputs,
                       int count, const char *options) {
    for (int i = 0; i < count && !model; i++) model = glia__model_of(inputs[i]);
    if (!model) return NULL;
    glia_layer_def def;
    if (!kind) kind = "";
    if (!glia__layer_def_find(kind, &def)) {
        const char *nearest = glia__layer_nearest(kind);
        return glia_graph_fail(model->graph, GLIA_INVALID_ARGUMENT, name, "unknown layer '%s'%s%s%s", kind,
                               nearest ? " (did you mean '" : "", nearest ? nearest : "",
                               nearest ? "'?)" : "");
    }
    const char *text = expand(model, &def, options);
    void *object = glia__arena_alloc(&model->arena, def.options_size);
    glia_error err = {0};
    if (!object || (options && !text))
        return glia_graph_fail(model->graph, GLIA_OUT_OF_MEMORY, name, "out of memory");
    if (glia__fields_parse(def.fields, object, text, &model->arena, &err) != GLIA_OK)
        return glia_graph_fail(model->graph, err.status, name, "%s%s%s%s: %s", kind, name ? " '" : "",
                               name ? name : "", name ? "'" : "", err.message);
    return glia__layer_apply(model, &def, name, inputs, count, object, true);
}

glia_value *glia_apply(glia_value *x, const char *kind, const char *options) {
    return glia_layer(NULL, kind, NULL, &x, 1, options);
}

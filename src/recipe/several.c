/* several.c: `inputs`, `outputs` and `losses`: models that see several arrays, say several things and are judged by each. */
#include <stdio.h>

#include "graph/op.h"
#include "recipe/recipe.h"
#include "train/model.h"

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
}

static glia_status check_count(const glia_yaml *node, const char *what, glia_error *err) {
    char found[120];
    if (node->kind != GLIA_YAML_MAP && node->kind != GLIA_YAML_LIST)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "%s: expected %s, found %s", what,
                                    strcmp(what, "outputs") == 0 ? "a list of names of layers"
                                                                 : "names with their settings",
                                    glia__yaml_found(node, found, sizeof found));
    if (node->count <= GLIA_RECIPE_PARTS) return GLIA_OK;
    return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "%s: at most %d", what, GLIA_RECIPE_PARTS);
}

/* --- inputs ------------------------------------------------------------------------------------------------ */

static const glia_field input_fields[] = {
    {.name = "shape",
     .kind = GLIA_FIELD_DIMS,
     .offset = offsetof(glia_recipe_input, shape),
     .min = 1,
     .max = 1 << 30},
    {.name = "dtype",
     .kind = GLIA_FIELD_CHOICE,
     .offset = offsetof(glia_recipe_input, dtype),
     .initial = "f32",
     .choices = "f32|i64|i32"},
    {.name = "scale",
     .kind = GLIA_FIELD_FLOAT,
     .offset = offsetof(glia_recipe_input, scale),
     .min = -1e30,
     .max = 1e30},
    {.name = "normalize", .kind = GLIA_FIELD_BOOL, .offset = offsetof(glia_recipe_input, normalize)},
    {.name = "axis",
     .kind = GLIA_FIELD_INT,
     .offset = offsetof(glia_recipe_input, axis),
     .min = -GLIA_MAX_RANK,
     .max = GLIA_MAX_RANK},
    {.name = NULL}};
enum { F32 = 0 /* index of dtype */, N_PLAIN_FIELDS = 2 /* the others are about f32 */ };

bool glia__recipe_is_input(const glia_recipe *recipe, const char *name) {
    for (int i = 0; i < recipe->n_inputs; i++)
        if (strcmp(recipe->inputs[i].name, name) == 0) return true;
    return false;
}

static glia_status check_name(const glia_yaml *node, glia_error *err) {
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (*node->key && strlen(node->key) <= 48 && !node->key[strspn(node->key, letters)]) return GLIA_OK;
    return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                "inputs: expected a name of up to 48 letters, digits, _ and -, found '%.60s'",
                                node->key);
}

/* Whole numbers are tokens, classes, lengths. */
static glia_status check_whole(const glia_yaml *input, glia_error *err) {
    for (const glia_field *f = input_fields + N_PLAIN_FIELDS; f->name; f++) {
        const glia_yaml *node = glia__yaml_get(input, f->name);
        if (node)
            return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                        "inputs: '%s' is of whole numbers, which are taken as they are; "
                                        "%s is for dtype f32",
                                        input->key, f->name);
    }
    return GLIA_OK;
}

glia_status glia__recipe_read_inputs(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err) {
    (void)field;
    if (recipe->n_inputs) return GLIA_OK; /* the model has read them already */
    GLIA_TRY(glia__recipe_expect_map(node, "inputs", err));
    GLIA_TRY(check_count(node, "inputs", err));
    for (const glia_yaml *n = node->first; n; n = n->next) {
        glia_recipe_input *input = &recipe->inputs[recipe->n_inputs];
        *input = (glia_recipe_input){.name = n->key, .at = n};
        GLIA_TRY(check_name(n, err));
        if (n->kind == GLIA_YAML_MAP)
            GLIA_TRY(glia__recipe_fields(n, input_fields, input, "setting of an input", NULL, &recipe->arena,
                                         err));
        else
            GLIA_TRY(glia__recipe_field(n, &input_fields[0], input, &recipe->arena, err));
        if (input->dtype != F32) GLIA_TRY(check_whole(n, err));
        recipe->n_inputs++;
    }
    return GLIA_OK;
}

/* What an input does not say itself, `data` says for all that are f32. */
static void complete_inputs(glia_recipe *recipe) {
    for (int i = 0; i < recipe->n_inputs; i++) {
        glia_recipe_input *in = &recipe->inputs[i];
        if (in->scale == 0) in->scale = recipe->data.scale != 0 && in->dtype == F32 ? recipe->data.scale : 1;
        if (in->normalize == GLIA_DEFAULT)
            in->normalize = recipe->data.normalize == GLIA_YES && in->dtype == F32 ? GLIA_YES : GLIA_NO;
    }
}

void glia__recipe_print_inputs(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out) {
    if (recipe->n_inputs) glia__text_printf(out, "%*s%s:\n", indent, "", field->name);
    for (int i = 0; i < recipe->n_inputs; i++) {
        glia__text_printf(out, "%*s%s: {", indent + 2, "", recipe->inputs[i].name);
        const char *comma = "";
        for (const glia_field *f = input_fields; f->name; f++) {
            if (f == input_fields && !recipe->inputs[i].shape.rank) continue; /* one number */
            if (f >= input_fields + N_PLAIN_FIELDS && recipe->inputs[i].dtype != F32) break;
            glia__text_add(out, comma);
            glia__recipe_print_field(f, &recipe->inputs[i], out);
            comma = ", ";
        }
        glia__text_add(out, "}\n");
    }
}

/* Scaled, or about 0, in the model itself: who has it need not know how. */
static glia_value *as_seen(const glia_recipe_input *in, glia_model *model, glia_value *input) {
    char name[80], axis[32];
    if (in->normalize != GLIA_YES) return in->scale != 1 ? glia__scaled(input, in->scale) : input;
    snprintf(name, sizeof name, "%s.normalize", in->name); /* no layer of the file can be called so */
    snprintf(axis, sizeof axis, "axis=%lld", (long long)in->axis);
    return glia_layer(model, "normalize", name, &input, 1, axis);
}

void glia__recipe_add_inputs(const glia_recipe *recipe, glia_model *model, glia_value **values) {
    static const glia_dtype dtypes[] = {GLIA_F32, GLIA_I64, GLIA_I32};
    for (int i = 0; i < recipe->n_inputs; i++) {
        const glia_recipe_input *in = &recipe->inputs[i];
        glia_input_options o = {.dtype = dtypes[in->dtype]};
        for (int d = 0; d < in->shape.rank; d++) o.shape[d] = in->shape.dim[d];
        values[i] = glia_input_with(model, in->name, o);
    }
    for (int i = 0; i < recipe->n_inputs && glia_model_status(model, NULL) == GLIA_OK; i++) {
        values[i] = as_seen(&recipe->inputs[i], model, values[i]);
        glia__recipe_place_error(recipe->inputs[i].at, recipe->inputs[i].name, model);
    }
}

/* --- losses ------------------------------------------------------------------------------------------------ */

static const glia_field loss_fields[] = {{.name = "weight",
                                          .kind = GLIA_FIELD_FLOAT,
                                          .offset = offsetof(glia_recipe_loss, weight),
                                          .initial = "1",
                                          .min = 1e-12,
                                          .max = 1e12},
                                         {.name = "target",
                                          .kind = GLIA_FIELD_STRING,
                                          .offset = offsetof(glia_recipe_loss, target),
                                          .initial = ""},
                                         {.name = NULL}};

static bool is_mean(const char *loss) {
    return strcmp(loss, "mean") == 0;
}

/* `kind: softmax_cross_entropy` or `kind: {loss: …, weight: 0.5, target: classes}`. */
static glia_status read_one(glia_recipe *recipe, const glia_yaml *node, glia_recipe_loss *out,
                            glia_error *err) {
    static const char *const skip[] = {"loss", NULL};
    const glia_yaml *loss = node->kind == GLIA_YAML_MAP ? glia__yaml_get(node, "loss") : node;
    *out = (glia_recipe_loss){.layer = node->key, .at = node};
    glia__fields_init(loss_fields, out);
    if (node->kind == GLIA_YAML_MAP)
        GLIA_TRY(glia__recipe_fields(node, loss_fields, out, "setting of a loss", skip, &recipe->arena, err));
    if (!loss)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "losses: '%.60s' needs `loss: NAME`",
                                    node->key);
    if (loss->kind == GLIA_YAML_TEXT && is_mean(loss->text))
        out->loss = "mean";
    else
        GLIA_TRY(glia__recipe_read_loss(recipe, loss, "loss", &out->loss, err));
    if (strcmp(out->loss, "auto") == 0)
        return glia__yaml_error(loss, err, GLIA_INVALID_ARGUMENT,
                                "losses: expected the name of a loss, found 'auto'");
    if (is_mean(out->loss) && *out->target)
        return glia__yaml_error(glia__yaml_get(node, "target"), err, GLIA_INVALID_ARGUMENT,
                                "losses: mean compares with no target; leave it out");
    if (!*out->target) out->target = is_mean(out->loss) ? NULL : out->layer;
    return GLIA_OK;
}

glia_status glia__recipe_read_losses(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                     glia_error *err) {
    GLIA_TRY(glia__recipe_expect_map(node, field->name, err));
    GLIA_TRY(check_count(node, field->name, err));
    for (const glia_yaml *n = node->first; n; n = n->next)
        GLIA_TRY(read_one(recipe, n, &recipe->losses[recipe->n_losses++], err));
    return GLIA_OK;
}

void glia__recipe_print_losses(const glia_recipe *recipe, const glia_field *field, int indent,
                               glia_text *out) {
    if (recipe->n_losses) glia__text_printf(out, "%*s%s:\n", indent, "", field->name);
    for (int i = 0; i < recipe->n_losses; i++) {
        const glia_recipe_loss *l = &recipe->losses[i];
        glia__text_printf(out, "%*s%s:\n", indent + 2, "", l->layer);
        glia__recipe_print_loss(recipe, l->loss, "loss", indent + 4, out);
        glia__text_printf(out, "%*sweight: %.9g\n", indent + 4, "", l->weight);
        if (l->target) glia__text_printf(out, "%*starget: %s\n", indent + 4, "", l->target);
    }
}

/* --- outputs ----------------------------------------------------------------------------------------------- */

glia_status glia__recipe_read_outputs(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                      glia_error *err) {
    char found[120];
    if (node->kind != GLIA_YAML_TEXT) GLIA_TRY(check_count(node, field->name, err));
    for (const glia_yaml *n = node->kind == GLIA_YAML_TEXT ? node : node->first; n; n = n->next) {
        if (n->kind != GLIA_YAML_TEXT)
            return glia__yaml_error(n, err, GLIA_INVALID_ARGUMENT,
                                    "outputs: expected the name of a layer, found %s",
                                    glia__yaml_found(n, found, sizeof found));
        recipe->outputs_at[recipe->n_outputs] = n;
        recipe->outputs[recipe->n_outputs++] = n->text;
        if (n == node) break;
    }
    return GLIA_OK;
}

void glia__recipe_print_outputs(const glia_recipe *recipe, const glia_field *field, int indent,
                                glia_text *out) {
    if (!recipe->n_outputs) return;
    glia__text_printf(out, "%*s%s: [", indent, "", field->name);
    for (int i = 0; i < recipe->n_outputs; i++)
        glia__text_printf(out, "%s%s", i ? ", " : "", recipe->outputs[i]);
    glia__text_add(out, "]\n");
}

/* --- together ---------------------------------------------------------------------------------------------- */

static glia_status check_layer(glia_recipe *recipe, const glia_yaml *at, const char *what, const char *name,
                               glia_error *err) {
    const char *words[64];
    size_t count = 0;
    glia_recipe_layer *layer = glia__recipe_find_layer(&recipe->model, name);
    if (layer) layer->used = true;
    if (layer) return GLIA_OK;
    for (int i = recipe->model.n_layers; i-- > 0 && count < GLIA_COUNT(words);)
        words[count++] = recipe->model.layers[i].name;
    glia_yaml place = *at;
    if (at->kind == GLIA_YAML_TEXT && strcmp(what, "output") == 0) place.key = NULL;
    char text[80];
    snprintf(text, sizeof text, "layer for the %s", what);
    return glia__recipe_unknown(&place, text, name, words, count, err);
}

/* "a,b", each once. */
static glia_status join_names(glia_recipe *recipe, bool targets, const char **out, glia_error *err) {
    const int count = targets ? recipe->n_losses : recipe->n_inputs;
    glia_text text;
    glia__text_init(&text, recipe->arena.allocator);
    for (int i = 0; i < count; i++) {
        const char *name = targets ? recipe->losses[i].target : recipe->inputs[i].name;
        bool there = !name;
        for (int k = 0; k < i && !there; k++)
            there = targets && recipe->losses[k].target && strcmp(recipe->losses[k].target, name) == 0;
        if (!there) glia__text_printf(&text, "%s%s", text.length ? "," : "", name);
    }
    *out = text.failed ? NULL : glia__arena_strdup(&recipe->arena, text.data ? text.data : "");
    glia__text_free(&text);
    return *out ? GLIA_OK : out_of_memory(err);
}

/* The layer itself; where it is a loss by its kind, the layer that it looks at first. */
static const char *wanted_of(const glia_recipe *recipe, const char *name) {
    const glia_recipe_layer *layer = glia__recipe_find_layer(&recipe->model, name);
    if (!layer || !layer->def->loss) return name;
    const glia_recipe_layer *first = glia__recipe_find_layer(&recipe->model, layer->inputs[0]);
    return first ? first->name : name;
}

/* Without a word the layers that are compared with something are given; else what the losses are about. */
static void choose_outputs(glia_recipe *recipe) {
    for (int pass = 0; pass < 2 && !recipe->n_outputs; pass++)
        for (int i = 0; i < recipe->n_losses; i++)
            if (pass || recipe->losses[i].target) {
                recipe->outputs_at[recipe->n_outputs] = recipe->losses[i].at;
                recipe->outputs[recipe->n_outputs++] = wanted_of(recipe, recipe->losses[i].layer);
            }
}

glia_status glia__recipe_check_several(glia_recipe *recipe, glia_error *err) {
    const glia_yaml *inputs = glia__yaml_get(recipe->root, "inputs"),
                    *losses = glia__yaml_get(recipe->root, "losses"),
                    *outputs = glia__yaml_get(recipe->root, "outputs"),
                    *loss = glia__yaml_get(recipe->root, "loss");
    if (!recipe->n_inputs && !recipe->n_losses && !recipe->n_outputs) return GLIA_OK;
    if (!recipe->n_inputs || !recipe->n_losses)
        return glia__yaml_key_error(
            recipe->n_losses   ? losses
            : recipe->n_inputs ? inputs
                               : outputs,
            err, GLIA_INVALID_ARGUMENT,
            "`inputs` and `losses` come together: the data's arrays by name, and what is "
            "minimised; a model of one input and one loss needs neither");
    if (loss)
        return glia__yaml_key_error(loss, err, GLIA_INVALID_ARGUMENT,
                                    "loss: there are `losses` as well; keep one of both");
    complete_inputs(recipe);
    choose_outputs(recipe);
    for (int i = 0; i < recipe->n_losses; i++)
        GLIA_TRY(check_layer(recipe, recipe->losses[i].at, "loss", recipe->losses[i].layer, err));
    for (int i = 0; i < recipe->n_outputs; i++)
        GLIA_TRY(check_layer(recipe, recipe->outputs_at[i], "output", recipe->outputs[i], err));
    GLIA_TRY(join_names(recipe, false, &recipe->input_names, err));
    return join_names(recipe, true, &recipe->target_names, err);
}

glia_status glia__recipe_check_arrays(const glia_recipe *recipe, const glia_dataset_info *info,
                                      glia_error *err) {
    char here[96], there[96];
    if (!recipe->n_inputs) return GLIA_OK;
    if (info->n_input_arrays != recipe->n_inputs)
        return glia__yaml_key_error(recipe->inputs[0].at, err, GLIA_UNSUPPORTED,
                                    "inputs by name are arrays of an archive; expected data of `npz: FILE`");
    for (int i = 0; i < recipe->n_inputs; i++) {
        const glia_recipe_input *in = &recipe->inputs[i];
        const glia_shape *found = &info->input_arrays[i].shape;
        if (glia_shape_elems(&in->shape) == glia_shape_elems(found)) continue;
        return glia__yaml_key_error(
            in->at, err, GLIA_BAD_SHAPE,
            "input '%s' is %s here, but the array of that name holds examples of %s", in->name,
            in->shape.rank ? glia_shape_text(&in->shape, here, sizeof here) : "one number",
            found->rank ? glia_shape_text(found, there, sizeof there) : "one number");
    }
    return GLIA_OK;
}

/* A layer may be an output, have a loss, or both. */
glia_status glia__recipe_set_parts(const glia_recipe *recipe, glia_model *model, glia_value *const *layers,
                                   glia_error *err) {
    glia_model_part parts[2 * GLIA_RECIPE_PARTS];
    int count = 0;
    for (int i = 0; i < recipe->n_outputs; i++) {
        const glia_recipe_layer *layer = glia__recipe_find_layer(&recipe->model, recipe->outputs[i]);
        parts[count++] = (glia_model_part){
            .name = layer->name, .value = layers[layer - recipe->model.layers], .shown = true};
    }
    for (int i = 0; i < recipe->n_losses; i++) {
        const glia_recipe_loss *l = &recipe->losses[i];
        const glia_recipe_layer *layer = glia__recipe_find_layer(&recipe->model, l->layer);
        int at = 0;
        while (at < recipe->n_outputs && (strcmp(parts[at].name, l->layer) != 0 || parts[at].weight != 0))
            at++;
        if (at == recipe->n_outputs) {
            at = count++;
            parts[at] = (glia_model_part){.name = layer->name, .value = layers[layer - recipe->model.layers]};
        }
        parts[at].loss = l->target ? l->loss : NULL;
        parts[at].target = l->target;
        parts[at].weight = l->weight;
    }
    return glia__model_set_parts(model, parts, count, err);
}

/* loss.c: reading what loss is wanted, choosing one for a model and its data, and noticing classic mistakes. */

#include "train/loss.h"

#include <stdio.h>

#include "train/model.h"

const glia_loss *glia__loss_find(const char *text) {
    const size_t length = text ? strcspn(text, " ") : 0;
    for (size_t i = 0; i < glia__losses_count; i++) {
        const char *name = glia__losses[i]->name;
        if (strlen(name) == length && strncmp(name, text, length) == 0) return glia__losses[i];
    }
    return NULL;
}

glia_target glia__target_of(const glia_dataset_info *info) {
    return (glia_target){info->target,   info->target_shape,  info->classes,        info->ignores,
                         info->weighted, info->target_arrays, info->n_target_arrays};
}

/* --- the last layer, for messages ------------------------------------------------------------------------- */

/* The layer whose node the model's output is, or NULL. */
static const glia_layer_info *last_layer(const glia_model *model) {
    const char *name = glia_value_name(model->output);
    for (size_t i = model->n_layers; i-- > 0;) {
        size_t length = strlen(model->layers[i].name);
        if (strncmp(name, model->layers[i].name, length) == 0 && (name[length] == '.' || !name[length]))
            return &model->layers[i];
    }
    return NULL;
}

/* "the last layer, dense 'head'," */
static const char *last_layer_text(const glia_model *model, char *out, size_t capacity) {
    const glia_layer_info *layer = last_layer(model);
    if (layer)
        snprintf(out, capacity, "the last layer, %s '%s',", layer->kind, layer->name);
    else
        snprintf(out, capacity, "the model's output");
    return out;
}

/* The op at the end, seen through those that only change the shape. */
static const char *last_op(const glia_model *model, const glia_value *value) {
    if (value == model->output && model->averaged) value = model->averaged;
    while (value->node && (value->node->op->traits & (GLIA_TRAIT_ALIAS | GLIA_TRAIT_TRAINING_ONLY)))
        value = value->node->inputs[0];
    return glia_value_op(value);
}

static bool has_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; at && length && (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return false;
}

bool glia__gives_probabilities(const glia_model *model, const glia_value *value) {
    const char *op = last_op(model, value);
    for (size_t i = 0; i < glia__losses_count; i++)
        if (has_word(glia__losses[i]->wrong, op)) return true;
    return false;
}

bool glia__model_gives_probabilities(const glia_model *model) {
    return glia__gives_probabilities(model, model->output);
}

const char *glia__loss_warning(const glia_model *model, const char *name, char *out, size_t capacity) {
    const glia_loss *loss = glia__loss_find(name ? name : "softmax_cross_entropy");
    const char *op = model && model->output ? last_op(model, model->output) : "", *remedy = NULL;
    char layer[160], text[160];
    if (!loss || (name && !*name)) return NULL;
    last_layer_text(model, layer, sizeof layer);
    for (size_t i = 0; i < glia__losses_count; i++)
        if (glia__losses[i]->missing && strcmp(glia__losses[i]->missing, op) == 0)
            remedy = glia__losses[i]->name;
    if (has_word(loss->wrong, op)) {
        const glia_layer_info *last = last_layer(model);
        bool alone = last && strcmp(last->kind, op) == 0;
        snprintf(text, sizeof text, alone ? "remove the layer %s" : "remove activation: %s",
                 alone ? last->name : op);
        snprintf(out, capacity, "%s ends in %s, but %s expects logits: %s; %s%s%s", layer, op, loss->name,
                 loss->hint, text, remedy ? ", or write loss: " : "", remedy ? remedy : "");
        return out;
    }
    if (loss->missing && strcmp(loss->missing, op) != 0 && strcmp(op, "sigmoid") != 0) {
        snprintf(out, capacity,
                 "%s does not end in %s, but %s expects probabilities; add activation: %s, or write loss: "
                 "softmax_cross_entropy",
                 layer, loss->missing, loss->name, loss->missing);
        return out;
    }
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------------------- */

static glia_status unknown_loss(const char *name, glia_error *err) {
    enum { MOST = 64 };
    const char *names[MOST];
    size_t count = GLIA_MIN(glia__losses_count, (size_t)MOST);
    for (size_t i = 0; i < count; i++) names[i] = glia__losses[i]->name;
    const char *nearest = glia__nearest_word(name, names, count);
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown loss '%s'%s%s%s", name,
                          nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}

/* "1,2,0.5" to numbers of at least 0. */
static glia_status parse_weights(glia_loss_choice *out, const char *text, glia_arena *arena,
                                 glia_error *err) {
    int64_t most = 1;
    for (const char *c = text; *c; c++) most += *c == ',';
    out->class_weights = glia__arena_alloc(arena, (size_t)most * sizeof *out->class_weights);
    if (!out->class_weights) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (const char *at = text; out->n_class_weights < most; at += strcspn(at, ",") + 1) {
        char word[40];
        double number;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        if (!glia__parse_double(word, &number) || !(number >= 0 && number <= 1e30))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "class_weights: expected numbers of at least 0 with commas between them, "
                                  "found '%.60s'",
                                  text);
        out->class_weights[out->n_class_weights++] = (float)number;
    }
    return GLIA_OK;
}

/* The name and what differs from its defaults. */
static glia_status print_choice(glia_loss_choice *out, glia_arena *arena, glia_error *err) {
    glia_text text, settings;
    glia__text_init(&text, arena->allocator);
    glia__text_init(&settings, arena->allocator);
    glia__fields_print(out->loss->fields, out->options, false, &settings);
    glia__text_printf(&text, settings.length ? "%s %s" : "%s%s", out->loss->name, settings.data);
    out->text = text.failed || settings.failed ? NULL : glia__arena_strdup(arena, text.data);
    glia__text_free(&text);
    glia__text_free(&settings);
    return out->text ? GLIA_OK : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
}

glia_status glia__loss_parse(glia_loss_choice *out, const char *text, glia_arena *arena, glia_error *err) {
    glia_error inner = {0};
    *out = (glia_loss_choice){.loss = glia__loss_find(text), .ignored = GLIA_IGNORED};
    if (!out->loss) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(text, " "), text);
        return unknown_loss(name, err);
    }
    out->options = glia__arena_alloc(arena, out->loss->options_size + 1);
    if (!out->options) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_status status =
        glia__fields_parse(out->loss->fields, out->options, text + strlen(out->loss->name), arena, &inner);
    if (status == GLIA_OK && out->loss->classes) {
        const glia_class_loss_options *o = out->options;
        out->ignored = o->ignore_index;
        if (*o->class_weights) status = parse_weights(out, o->class_weights, arena, &inner);
    }
    if (status != GLIA_OK) return glia_error_set(err, status, "loss %s: %s", out->loss->name, inner.message);
    return print_choice(out, arena, err);
}

/* --- choosing --------------------------------------------------------------------------------------------- */

/* One number an example. */
static int64_t example_elems(glia_shape shape) {
    int64_t elems = 1;
    for (int i = 1; i < shape.rank; i++) elems *= shape.dim[i];
    return elems;
}

/* Whether the output without dimension `axis` (0: with all) has the shape of the targets. */
static bool is_class_axis(const glia_shape *output, int axis, const glia_shape *target) {
    int at = 0;
    if (axis >= output->rank || target->rank != output->rank - (axis > 0) - 1) return false;
    for (int d = 1; d < output->rank; d++)
        if (d != axis && output->dim[d] != target->dim[at++]) return false;
    return true;
}

/* Pictures have their channels first, sequences the units last; that tells where both would fit. */
bool glia__class_layout(glia_class_layout *layout, const glia_value *output, const glia_shape *target) {
    const glia_shape shape = glia_value_shape(output);
    const int axes[] = {shape.rank > 3 ? 1 : shape.rank - 1, shape.rank > 3 ? shape.rank - 1 : 1, 0};
    for (int i = 0; i < (int)GLIA_COUNT(axes); i++) {
        if ((axes[i] < 1 && i < 2) || !is_class_axis(&shape, axes[i], target)) continue;
        *layout = (glia_class_layout){.axis = axes[i],
                                      .units = axes[i] ? shape.dim[axes[i]] : 1,
                                      .positions = glia_shape_elems(target),
                                      .classes_first = axes[i] && axes[i] < shape.rank - 1};
        return true;
    }
    return false;
}

/* What of the choice does not go with so many classes, or with positions that are ignored. */
static glia_status check_options(const glia_loss_choice *choice, const glia_target *target, int64_t classes,
                                 glia_error *err) {
    if (choice->class_weights && choice->n_class_weights != classes)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "loss %s: class_weights has %lld numbers, but there are %lld classes",
                              choice->loss->name, (long long)choice->n_class_weights, (long long)classes);
    if (target->ignores && choice->loss->whole)
        return glia_error_set(err, GLIA_UNSUPPORTED,
                              "loss %s counts every position, but some targets are to be ignored (%d); use "
                              "softmax_cross_entropy",
                              choice->loss->name, GLIA_IGNORED);
    return GLIA_OK;
}

static glia_status check_classes(const glia_model *model, const glia_loss_choice *choice,
                                 const glia_target *target, glia_error *err) {
    char layer[160], text[96], positions[96];
    glia_class_layout layout;
    last_layer_text(model, layer, sizeof layer);
    if (!glia__class_layout(&layout, model->output, &target->shape))
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            target->shape.rank
                ? "%s gives %s per example, but the targets are classes of %s positions; end with "
                  "one number a class for each of them"
                : "%s gives %s per example, but the targets are classes; end with a dense layer of "
                  "one unit a class",
            layer, glia__example_text(model->output, text, sizeof text),
            glia_shape_text(&target->shape, positions, sizeof positions));
    const int64_t units = layout.units, classes = target->classes;
    if (choice->loss->twice)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "loss %s needs numbers as targets, but the data has classes; use "
                              "softmax_cross_entropy",
                              choice->loss->name);
    GLIA_TRY(check_options(choice, target, units, err));
    if (!choice->loss->classes && units == 1 && (classes == 0 || classes == 2)) return GLIA_OK;
    if (classes == 0 || units == classes) return GLIA_OK;
    return glia_error_set(
        err, GLIA_BAD_SHAPE, "%s gives %lld number%s, but the data has %lld classes; end with dense: %lld",
        layer, (long long)units, units == 1 ? "" : "s", (long long)classes, (long long)classes);
}

static glia_status check_values(const glia_model *model, const glia_loss *loss, const glia_target *target,
                                glia_error *err) {
    char layer[160], have[96], want[96];
    if (loss->classes)
        return glia_error_set(err, GLIA_BAD_SHAPE,
                              "loss %s needs classes as targets, but the data has numbers; use mse",
                              loss->name);
    const glia_shape output = glia_value_shape(model->output);
    const int64_t numbers = example_elems(output), wanted = glia_shape_elems(&target->shape);
    if (loss->twice && output.rank == 2 && numbers == 2 * wanted) return GLIA_OK;
    if (loss->twice)
        return glia_error_set(
            err, GLIA_BAD_SHAPE,
            "%s gives %s per example, but loss %s needs two numbers for each of the %lld targets: "
            "means, then %s; end with dense: %lld",
            last_layer_text(model, layer, sizeof layer), glia__example_text(model->output, have, sizeof have),
            loss->name, (long long)wanted, loss->twice, (long long)(2 * wanted));
    if (numbers == wanted) return GLIA_OK;
    return glia_error_set(
        err, GLIA_BAD_SHAPE, "%s gives %s per example, but the data's targets are %s",
        last_layer_text(model, layer, sizeof layer), glia__example_text(model->output, have, sizeof have),
        target->shape.rank ? glia_shape_text(&target->shape, want, sizeof want) : "a single number");
}

glia_status glia__loss_choose(glia_loss_choice *out, const glia_model *model, const char *text,
                              const glia_target *target, glia_arena *arena, glia_error *err) {
    GLIA_TRY(glia__model_ready(model, err));
    if (target->kind == GLIA_TARGET_NONE)
        return glia_error_set(err, GLIA_BAD_DATA, "the data has no targets to learn from");
    if (!text || !*text) {
        glia_class_layout layout = {.units = 0};
        bool one = glia__class_layout(&layout, model->output, &target->shape) && layout.units == 1 &&
                   target->classes <= 2;
        text = target->kind == GLIA_TARGET_VALUES ? "mse"
               : one                              ? "sigmoid_cross_entropy"
                                                  : "softmax_cross_entropy";
    }
    GLIA_TRY(glia__loss_parse(out, text, arena, err));
    if (target->kind == GLIA_TARGET_CLASS) return check_classes(model, out, target, err);
    return check_values(model, out->loss, target, err);
}

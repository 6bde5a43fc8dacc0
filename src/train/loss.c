/* loss.c: choosing a loss for a model and its data, noticing classic mistakes, and adding the loss and its
 * gradients to the model's graph. */

#include "train/loss.h"

#include <stdio.h>

#include "glia/ops.h"
#include "graph/op.h"
#include "train/model.h"

const glia_loss *glia__loss_find(const char *name) {
    for (size_t i = 0; name && i < glia__losses_count; i++)
        if (strcmp(glia__losses[i]->name, name) == 0) return glia__losses[i];
    return NULL;
}

glia_target glia__target_of(const glia_dataset_info *info) {
    return (glia_target){info->target, info->target_shape, info->classes, info->ignores};
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
static const char *last_op(const glia_model *model) {
    const glia_value *value = model->output;
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

bool glia__model_gives_probabilities(const glia_model *model) {
    const char *op = last_op(model);
    for (size_t i = 0; i < glia__losses_count; i++)
        if (has_word(glia__losses[i]->wrong, op)) return true;
    return false;
}

const char *glia__loss_warning(const glia_model *model, const char *name, char *out, size_t capacity) {
    const glia_loss *loss = glia__loss_find(name ? name : "softmax_cross_entropy");
    const char *op = model && model->output ? last_op(model) : "", *remedy = NULL;
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

/* --- choosing --------------------------------------------------------------------------------------------- */

static glia_status unknown_loss(const char *name, glia_error *err) {
    enum { MOST = 64 };
    const char *names[MOST];
    size_t count = GLIA_MIN(glia__losses_count, (size_t)MOST);
    for (size_t i = 0; i < count; i++) names[i] = glia__losses[i]->name;
    const char *nearest = glia__nearest_word(name, names, count);
    return glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown loss '%s'%s%s%s", name,
                          nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "");
}

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

static glia_status check_classes(const glia_model *model, const glia_loss *loss, const glia_target *target,
                                 glia_error *err) {
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
    if (target->ignores && !loss->classes)
        return glia_error_set(err, GLIA_UNSUPPORTED,
                              "loss %s counts every position, but some targets are to be ignored (%d); use "
                              "softmax_cross_entropy",
                              loss->name, GLIA_IGNORED);
    if (!loss->classes && units == 1 && (classes == 0 || classes == 2)) return GLIA_OK;
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
    if (example_elems(glia_value_shape(model->output)) == glia_shape_elems(&target->shape)) return GLIA_OK;
    return glia_error_set(
        err, GLIA_BAD_SHAPE, "%s gives %s per example, but the data's targets are %s",
        last_layer_text(model, layer, sizeof layer), glia__example_text(model->output, have, sizeof have),
        target->shape.rank ? glia_shape_text(&target->shape, want, sizeof want) : "a single number");
}

glia_status glia__loss_choose(const glia_loss **out, const glia_model *model, const char *name,
                              const glia_target *target, glia_error *err) {
    GLIA_TRY(glia__model_ready(model, err));
    if (target->kind == GLIA_TARGET_NONE)
        return glia_error_set(err, GLIA_BAD_DATA, "the data has no targets to learn from");
    if (!name || !*name) {
        glia_class_layout layout = {.units = 0};
        bool one = glia__class_layout(&layout, model->output, &target->shape) && layout.units == 1 &&
                   target->classes <= 2;
        name = target->kind == GLIA_TARGET_VALUES ? "mse"
               : one                              ? "sigmoid_cross_entropy"
                                                  : "softmax_cross_entropy";
    }
    *out = glia__loss_find(name);
    if (!*out) return unknown_loss(name, err);
    if (target->kind == GLIA_TARGET_CLASS) return check_classes(model, *out, target, err);
    return check_values(model, *out, target, err);
}

/* --- the head --------------------------------------------------------------------------------------------- */

static bool same_target(const glia_target *a, const glia_target *b) {
    return a->kind == b->kind && a->ignores == b->ignores && glia_shape_equal(&a->shape, &b->shape);
}

/* The output with its classes last: [N, …, C]. */
static glia_value *classes_last(glia_value *output, const glia_class_layout *layout) {
    glia_transpose_attrs a = {.perm = glia_value_shape(output)};
    const int rank = a.perm.rank;
    if (!layout->axis) return glia_op_unsqueeze(output, (glia_squeeze_attrs){{1, {-1}}});
    if (!layout->classes_first) return output;
    for (int d = 0; d < rank; d++) a.perm.dim[d] = d == 0 ? 0 : d == rank - 1 ? 1 : d + 1;
    return glia_op_transpose(output, a);
}

/* The graph's input for targets, and `*seen`: how the loss sees them. */
static glia_value *add_target(glia_model *model, const glia_loss_head *head, glia_value **seen) {
    char name[32];
    const glia_target *target = &head->target_type;
    glia_shape shape = glia_value_shape(model->output), positions = {.rank = target->shape.rank + 1};
    snprintf(name, sizeof name, model->n_targets ? "target_%d" : "target", model->n_targets + 1);
    model->n_targets++;
    if (target->kind == GLIA_TARGET_VALUES) /* the same numbers in the predictions' shape */
        return *seen = glia_graph_input(model->graph, name, GLIA_F32, shape);
    positions.dim[0] = GLIA_DIM_BATCH;
    for (int d = 0; d < target->shape.rank; d++) positions.dim[d + 1] = target->shape.dim[d];
    glia_value *value = glia_graph_input(model->graph, name, GLIA_I64, positions);
    if (head->loss->classes)
        *seen = value;
    else if (head->layout.units == 1)
        *seen = glia_op_unsqueeze(glia_op_cast(value, GLIA_F32), (glia_squeeze_attrs){{1, {-1}}});
    else
        *seen = glia_op_one_hot(value, (glia_one_hot_attrs){.depth = head->layout.units});
    return value;
}

/* The mean over the positions that are not to be ignored; 0 when all are. */
static glia_value *mean_of_known(const glia_loss *loss, glia_value *prediction, glia_value *target) {
    glia_value *known = glia_op_not_equal(target, glia__number(target, GLIA_IGNORED));
    glia_value *weight = glia_op_cast(known, GLIA_F32);
    glia_value *total = glia_op_sum(weight, (glia_reduce_attrs){.keep_dims = GLIA_NO});
    glia_value *share = glia_op_div(weight, glia_op_maximum(total, glia__number(total, 1)));
    glia_value *each = loss->build(prediction, glia_op_where(known, target, glia__number(target, 0)), true);
    return glia_op_sum(glia_op_mul(each, share), (glia_reduce_attrs){.keep_dims = GLIA_NO});
}

double glia__loss_weight(const glia_loss_head *head, const void *targets, int64_t count) {
    if (head->target_type.kind != GLIA_TARGET_CLASS) return (double)count;
    int64_t known = count * head->layout.positions;
    for (int64_t i = 0; head->target_type.ignores && i < count * head->layout.positions; i++)
        known -= ((const int64_t *)targets)[i] == GLIA_IGNORED;
    return (double)known;
}

/* The graph's error as ours; the graph forgets it, since its nodes so far are as they were. */
static glia_status take_error(glia_model *model, glia_error *err) {
    glia_status status = glia_graph_status(model->graph, err);
    glia_error_clear(&model->graph->error);
    return status;
}

static glia_status make_head(glia_loss_head **out, glia_model *model, const glia_loss *loss,
                             const glia_target *target, glia_error *err) {
    glia_loss_head *head = glia__arena_alloc(&model->arena, sizeof *head);
    glia_value *seen = NULL;
    if (!head) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia_graph_set_scope(model->graph, "loss");
    *head = (glia_loss_head){.loss = loss, .prediction = model->output, .target_type = *target};
    glia_value *prediction = model->output;
    if (target->kind == GLIA_TARGET_CLASS && glia__class_layout(&head->layout, prediction, &target->shape))
        prediction = classes_last(prediction, &head->layout);
    head->target = add_target(model, head, &seen);
    head->value =
        target->ignores ? mean_of_known(loss, prediction, seen) : loss->build(prediction, seen, false);
    glia_graph_set_scope(model->graph, "");
    GLIA_TRY(take_error(model, err));
    head->next = model->heads;
    *out = model->heads = head;
    return GLIA_OK;
}

glia_status glia__loss_head(glia_loss_head **out, glia_model *model, const char *name,
                            const glia_target *target, glia_error *err) {
    const glia_loss *loss;
    GLIA_TRY(glia__loss_choose(&loss, model, name, target, err));
    for (*out = model->heads; *out; *out = (*out)->next)
        if ((*out)->loss == loss && (*out)->prediction == model->output &&
            same_target(&(*out)->target_type, target))
            return GLIA_OK;
    return make_head(out, model, loss, target, err);
}

glia_status glia__loss_gradients(glia_model *model, glia_loss_head *head, glia_error *err) {
    if (head->gradients) return GLIA_OK;
    size_t count = GLIA_MAX(model->n_params, (size_t)1);
    glia_value **wrt = glia__arena_alloc(&model->arena, count * sizeof *wrt);
    glia_value **found = glia__arena_alloc(&model->arena, count * sizeof *found);
    glia_value **gradients = glia__arena_alloc(&model->arena, count * sizeof *gradients);
    if (!wrt || !found || !gradients) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    int n_wrt = 0;
    for (size_t i = 0; i < model->n_params; i++)
        if (model->params[i].trained) wrt[n_wrt++] = model->params[i].value;
    glia_status status = glia_graph_gradients(model->graph, head->value, wrt, n_wrt, found, err);
    n_wrt = 0;
    for (size_t i = 0; i < model->n_params; i++)
        gradients[i] = model->params[i].trained ? found[n_wrt++] : NULL;
    if (status != GLIA_OK) {
        glia_error_clear(&model->graph->error);
        return status;
    }
    head->gradients = gradients;
    return GLIA_OK;
}

/* loss_head.c: adds a loss and its gradients to a model's graph: what it sees of predictions and targets, and the mean over
 * what counts. */

#include "glia/ops.h"
#include "graph/op.h"
#include "train/loss.h"
#include "train/model.h"

#include <stdio.h>

static bool same_target(const glia_target *a, const glia_target *b) {
    return a->kind == b->kind && a->ignores == b->ignores && a->weighted == b->weighted &&
           glia_shape_equal(&a->shape, &b->shape);
}

/* --- targets ---------------------------------------------------------------------------------------------- */

/* The output with its classes last: [N, …, C]. */
static glia_value *classes_last(glia_value *output, const glia_class_layout *layout) {
    glia_transpose_attrs a = {.perm = glia_value_shape(output)};
    const int rank = a.perm.rank;
    if (!layout->axis) return glia_op_unsqueeze(output, (glia_squeeze_attrs){{1, {-1}}});
    if (!layout->classes_first) return output;
    for (int d = 0; d < rank; d++) a.perm.dim[d] = d == 0 ? 0 : d == rank - 1 ? 1 : d + 1;
    return glia_op_transpose(output, a);
}

/* The graph's input for targets: class numbers, or numbers in the predictions' shape. */
static glia_value *add_target(glia_model *model, const glia_loss_head *head) {
    char name[32];
    const glia_shape of_example = head->target_type.shape;
    glia_shape shape = glia_value_shape(model->output);
    const bool classes = head->target_type.kind == GLIA_TARGET_CLASS;
    snprintf(name, sizeof name, model->n_targets ? "target_%d" : "target", model->n_targets + 1);
    model->n_targets++;
    if (head->choice.loss->twice) shape.dim[shape.rank - 1] /= 2;
    if (classes) shape.rank = of_example.rank + 1;
    for (int d = 0; classes && d < of_example.rank; d++) shape.dim[d + 1] = of_example.dim[d];
    return glia_graph_input(model->graph, name, classes ? GLIA_I64 : GLIA_F32, shape);
}

/* The graph's input for the weights of examples; its number is that of the targets added last. */
static glia_value *add_weights(glia_model *model) {
    char name[32];
    snprintf(name, sizeof name, model->n_targets > 1 ? "weights_%d" : "weights", model->n_targets);
    return glia_graph_input(model->graph, name, GLIA_F32, GLIA_SHAPE(GLIA_DIM_BATCH));
}

/* Class numbers as the loss wants them. */
static glia_value *as_seen(const glia_loss_head *head, glia_value *target) {
    if (head->target_type.kind != GLIA_TARGET_CLASS || head->choice.loss->classes) return target;
    if (head->layout.units == 1)
        return glia_op_unsqueeze(glia_op_cast(target, GLIA_F32), (glia_squeeze_attrs){{1, {-1}}});
    return glia_op_one_hot(target, (glia_one_hot_attrs){.depth = head->layout.units});
}

/* --- the mean over what counts ---------------------------------------------------------------------------- */

static const glia_reduce_attrs all = {.keep_dims = GLIA_NO};

/* Whether some targets count less than others. */
static bool is_weighed(const glia_loss_head *head) {
    return head->weights || head->target_type.ignores || head->choice.ignored != GLIA_IGNORED ||
           head->choice.class_weights;
}

/* Of the positions of one example. */
static double labels_weight(const glia_loss_head *head, const int64_t *labels) {
    const float *weights = head->choice.class_weights;
    double sum = 0;
    for (int64_t i = 0; i < head->layout.positions; i++)
        if (labels[i] != GLIA_IGNORED && labels[i] != head->choice.ignored) {
            const bool known =
                labels[i] >= 0 && labels[i] < head->layout.units; /* else the run will say so */
            sum += weights && known ? (double)weights[labels[i]] : 1;
        }
    return sum;
}

double glia__loss_weight(const glia_loss_head *head, const void *targets, const float *weights,
                         int64_t count) {
    const bool classes = head->target_type.kind == GLIA_TARGET_CLASS;
    if (head->n_parts) return (double)count;
    if (!is_weighed(head)) return (double)(classes ? count * head->layout.positions : count);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t *labels = classes ? (const int64_t *)targets + i * head->layout.positions : NULL;
        sum += (head->weights ? (double)weights[i] : 1) * (labels ? labels_weight(head, labels) : 1);
    }
    return sum;
}

static glia_value *is_not(glia_value *target, int64_t label) {
    return glia_op_not_equal(target, glia__number(target, (double)label));
}

/* [N, …] → the shape of `like`, by the mean over what follows. */
static glia_value *mean_down_to(glia_value *x, glia_value *like) {
    glia_reduce_attrs a = {.keep_dims = GLIA_NO};
    const int rank = glia_value_shape(x).rank;
    for (int d = glia_value_shape(like).rank; d < rank; d++) a.axes.dim[a.axes.rank++] = d;
    return a.axes.rank ? glia_op_mean(x, a) : x;
}

/* [N] in the shape of `like`: [N, …]. */
static glia_value *over_positions(glia_value *weights, glia_value *like) {
    glia_reshape_attrs a = {.shape = {.rank = glia_value_shape(like).rank}};
    for (int d = 1; d < a.shape.rank; d++) a.shape.dim[d] = 1;
    return glia_op_reshape(weights, a);
}

/* 1 for class numbers that count, 0 for others, which become 0 in *labels. */
static glia_value *known_positions(const glia_loss_head *head, glia_value *target, glia_value **labels) {
    glia_value *known = is_not(target, GLIA_IGNORED);
    if (head->choice.ignored != GLIA_IGNORED)
        known = glia_op_logical_and(known, is_not(target, head->choice.ignored));
    *labels = glia_op_where(known, target, glia__number(target, 0));
    return glia_op_cast(known, GLIA_F32);
}

/* Σ weight·loss / Σ weight over what counts; 0 when nothing does. Class weights are in the losses already. */
static glia_value *weighed_mean(const glia_loss_head *head, glia_loss_build b) {
    const double least = 1e-30;
    glia_value *counts = head->weights, *weight;
    if (head->target_type.kind == GLIA_TARGET_CLASS) {
        counts = known_positions(head, b.target, &b.target);
        if (head->weights) counts = glia_op_mul(counts, over_positions(head->weights, counts));
    }
    weight = counts;
    if (b.class_weights)
        weight =
            glia_op_mul(counts, glia_op_gather(b.class_weights, b.target, (glia_gather_attrs){.axis = 0}));
    glia_value *total = glia_op_sum(weight, all);
    glia_value *share = glia_op_div(counts, glia_op_maximum(total, glia__number(total, least)));
    b.each = true;
    b.target = as_seen(head, b.target);
    glia_value *each = mean_down_to(head->choice.loss->build(&b), share);
    return glia_op_sum(glia_op_mul(each, share), all);
}

static glia_value *loss_value(const glia_loss_head *head, glia_loss_build b) {
    if (is_weighed(head)) return weighed_mean(head, b);
    b.target = as_seen(head, b.target);
    glia_value *value = head->choice.loss->build(&b);
    return glia_value_shape(value).rank ? glia_op_mean(value, all) : value;
}

/* --- the head --------------------------------------------------------------------------------------------- */

/* The graph's error as ours; the graph forgets it, since its nodes so far are as they were. */
static glia_status take_error(glia_model *model, glia_error *err) {
    glia_status status = glia_graph_status(model->graph, err);
    glia_error_clear(&model->graph->error);
    return status;
}

static glia_value *class_weights_of(glia_model *model, const glia_loss_choice *choice) {
    if (!choice->class_weights) return NULL;
    const glia_tensor weights =
        glia_tensor_wrap(choice->class_weights, GLIA_F32, GLIA_SHAPE(choice->n_class_weights));
    return glia_graph_const(model->graph, &weights);
}

static glia_status make_head(glia_loss_head **out, glia_model *model, const char *text,
                             const glia_target *target, glia_error *err) {
    glia_loss_head *head = glia__arena_alloc(&model->arena, sizeof *head);
    if (!head) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *head = (glia_loss_head){.prediction = model->output, .target_type = *target};
    GLIA_TRY(glia__loss_choose(&head->choice, model, text, target, &model->arena, err));
    head->loss = head->choice.loss;
    glia_graph_set_scope(model->graph, "loss");
    glia_loss_build b = {.prediction = model->output,
                         .options = head->choice.options,
                         .class_weights = class_weights_of(model, &head->choice)};
    if (target->kind == GLIA_TARGET_CLASS && glia__class_layout(&head->layout, b.prediction, &target->shape))
        b.prediction = classes_last(b.prediction, &head->layout);
    b.target = head->target = add_target(model, head);
    if (target->weighted) head->weights = add_weights(model);
    head->value = loss_value(head, b);
    glia_graph_set_scope(model->graph, "");
    GLIA_TRY(take_error(model, err));
    head->next = model->heads;
    *out = model->heads = head;
    return GLIA_OK;
}

/* The text may be said in several ways, so it is read before it is looked for. */
glia_status glia__loss_head(glia_loss_head **out, glia_model *model, const char *text,
                            const glia_target *target, glia_error *err) {
    glia_loss_choice choice;
    glia_arena arena;
    if (model && model->n_parts) return glia__loss_parts(out, model, target, err);
    glia__arena_init(&arena, model ? model->allocator : NULL);
    glia_status status = glia__loss_choose(&choice, model, text, target, &arena, err);
    for (*out = status == GLIA_OK ? model->heads : NULL; *out; *out = (*out)->next)
        if (strcmp((*out)->choice.text, choice.text) == 0 && (*out)->prediction == model->output &&
            same_target(&(*out)->target_type, target))
            break;
    if (status == GLIA_OK && !*out) status = make_head(out, model, choice.text, target, err);
    glia__arena_free(&arena);
    return status;
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

/* parts.c: models with several outputs and losses: the outputs lie one behind the other in one, the losses are added up. */

#include "glia/ops.h"
#include "graph/op.h"
#include "train/loss.h"
#include "train/model.h"

/* --- the output ------------------------------------------------------------------------------------------- */

static int64_t elems_of(const glia_value *value) {
    const glia_shape shape = glia_value_shape(value);
    int64_t elems = 1;
    for (int d = 1; d < shape.rank; d++) elems *= shape.dim[d];
    return elems;
}

/* [N, …] → [N, all]. */
static glia_value *as_row(const glia_model_part *p) {
    const int rank = glia_value_shape(p->value).rank;
    return rank == 2  ? p->value
           : rank < 2 ? glia_op_unsqueeze(p->value, (glia_squeeze_attrs){{1, {-1}}})
                      : glia_op_flatten(p->value, (glia_flatten_attrs){.axis = 1});
}

glia_status glia__model_set_parts(glia_model *model, const glia_model_part *parts, int count,
                                  glia_error *err) {
    glia_value *rows[GLIA_MODEL_INPUTS];
    int shown = 0;
    int64_t at = 0;
    if (count > GLIA_MODEL_INPUTS)
        return glia_error_set(err, GLIA_UNSUPPORTED, "a model has at most %d outputs and losses",
                              GLIA_MODEL_INPUTS);
    model->parts = glia__arena_copy(&model->arena, parts, (size_t)count * sizeof *parts);
    if (!model->parts) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    model->n_parts = count;
    glia_graph_set_scope(model->graph, "outputs");
    for (int i = 0; i < count; i++) {
        glia_model_part *p = &model->parts[i];
        p->elems = elems_of(p->value);
        p->at = p->shown ? at : -1;
        if (!p->shown) continue;
        at += p->elems;
        rows[shown++] = as_row(p);
        if (p->value->node && !p->value->file_name) p->value->file_name = p->name; /* as exporters call it */
    }
    glia_value *output = shown == 1 ? rows[0] : glia_op_concat(rows, shown, (glia_concat_attrs){.axis = 1});
    glia_graph_set_scope(model->graph, "");
    if (output) glia_model_set_output(model, output);
    return glia_model_status(model, err);
}

glia_status glia__model_needs_input(const glia_model *model, int i, bool *out, glia_error *err) {
    const glia_graph *graph = model->graph;
    const size_t bytes = (graph->n_nodes + 1) * sizeof(bool);
    bool *needed = glia__alloc(model->allocator, bytes);
    if (!needed) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    memset(needed, 0, bytes);
    glia__graph_mark(graph, &model->output, 1, needed);
    *out = model->output == model->inputs[i];
    for (size_t n = 0; n < graph->n_nodes && !*out; n++)
        for (int k = 0; needed[n] && k < graph->nodes[n]->n_inputs; k++)
            *out |= graph->nodes[n]->inputs[k] == model->inputs[i];
    glia__free(model->allocator, needed, bytes);
    return GLIA_OK;
}

/* --- the losses ------------------------------------------------------------------------------------------- */

static bool same_arrays(const glia_target *a, const glia_target *b) {
    bool same = a->n_arrays == b->n_arrays;
    for (int i = 0; same && i < a->n_arrays; i++)
        same = strcmp(a->arrays[i].name, b->arrays[i].name) == 0 &&
               a->arrays[i].whole == b->arrays[i].whole &&
               glia_shape_equal(&a->arrays[i].shape, &b->arrays[i].shape);
    return same;
}

/* The array of a part's targets; *at becomes its place among the numbers of an example. */
static const glia_array_info *find_target(const glia_target *target, const char *name, int64_t *at) {
    *at = 0;
    for (int i = 0; i < target->n_arrays; i++) {
        if (strcmp(target->arrays[i].name, name) == 0) return &target->arrays[i];
        *at += glia_shape_elems(&target->arrays[i].shape);
    }
    return NULL;
}

/* The loss of one part, made at its value as if that were the model's output. */
static glia_status part_head(glia_loss_part *out, glia_model *model, const glia_model_part *p,
                             const glia_target *target, glia_error *err) {
    const glia_array_info *array = find_target(target, p->target, &out->target_at);
    if (!array)
        return glia_error_set(err, GLIA_NOT_FOUND, "the loss of '%s' needs an array '%s' of targets", p->name,
                              p->target);
    const glia_loss *loss = glia__loss_find(p->loss);
    const glia_target of_part = {.kind = array->whole ? GLIA_TARGET_CLASS : GLIA_TARGET_VALUES,
                                 .shape = array->shape,
                                 .ignores = array->whole && array->shape.rank > 0 && !(loss && loss->whole)};
    glia_value *output = model->output;
    glia_model_part *parts = model->parts;
    const int n_parts = model->n_parts;
    glia_loss_head *head;
    glia_error inner = {0};
    model->output = p->value;
    model->parts = NULL;
    model->n_parts = 0;
    const glia_status status = glia__loss_head(&head, model, p->loss, &of_part, &inner);
    model->output = output;
    model->parts = parts;
    model->n_parts = n_parts;
    if (status != GLIA_OK) return glia_error_set(err, status, "loss of '%s': %s", p->name, inner.message);
    out->head = head;
    out->target_elems = glia_shape_elems(&array->shape);
    return GLIA_OK;
}

static glia_value *loss_of(const glia_model_part *p, const glia_loss_part *part) {
    return part->head ? part->head->value : glia_op_mean(p->value, (glia_reduce_attrs){.keep_dims = GLIA_NO});
}

static glia_status make_parts(glia_loss_head *head, glia_model *model, glia_error *err) {
    for (int i = 0; i < model->n_parts; i++) {
        const glia_model_part *p = &model->parts[i];
        glia_loss_part *part = &head->parts[head->n_parts];
        if (p->weight == 0) continue;
        *part = (glia_loss_part){.name = p->name, .layer = p->value, .prediction_at = p->at};
        if (p->target) GLIA_TRY(part_head(part, model, p, &head->target_type, err));
        glia_graph_set_scope(model->graph, "loss");
        part->value = loss_of(p, part);
        glia_value *value = part->value ? glia__scaled(part->value, p->weight) : NULL;
        head->value = head->value ? glia_op_add(head->value, value) : value;
        glia_graph_set_scope(model->graph, "");
        head->n_parts++;
        GLIA_TRY(glia_graph_status(model->graph, err));
    }
    return GLIA_OK;
}

/* The data set may be gone before the model. */
static bool keep_arrays(glia_model *model, glia_target *target) {
    const size_t n = (size_t)target->n_arrays;
    glia_array_info *copy = glia__arena_alloc(&model->arena, (n + 1) * sizeof *copy);
    for (size_t i = 0; i < n && copy; i++) {
        copy[i] = target->arrays[i];
        if (!(copy[i].name = glia__arena_strdup(&model->arena, copy[i].name))) return false;
    }
    target->arrays = copy;
    return copy != NULL;
}

/* "kind=softmax_cross_entropy*1 age=mse*0.1": what a training that goes on must have, too. */
static const char *describe(glia_model *model) {
    glia_text text;
    glia__text_init(&text, model->allocator);
    for (int i = 0; i < model->n_parts; i++)
        glia__text_printf(&text, "%s%s=%s*%.9g", i ? " " : "", model->parts[i].name,
                          model->parts[i].loss ? model->parts[i].loss : "", model->parts[i].weight);
    const char *copy = text.failed ? NULL : glia__arena_strdup(&model->arena, text.data);
    glia__text_free(&text);
    return copy;
}

glia_status glia__loss_parts(glia_loss_head **out, glia_model *model, const glia_target *target,
                             glia_error *err) {
    static const glia_loss several = {.name = "several",
                                      .doc = "the weighted sum of the losses of several outputs"};
    for (*out = model->heads; *out; *out = (*out)->next)
        if ((*out)->parts && same_arrays(&(*out)->target_type, target)) return GLIA_OK;
    GLIA_TRY(glia__model_ready(model, err));
    if (target->kind != GLIA_TARGET_VALUES)
        return glia_error_set(err, GLIA_BAD_DATA, "a model of several losses needs data of named arrays");
    glia_loss_head *head = glia__arena_alloc(&model->arena, sizeof *head);
    if (!head) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    *head = (glia_loss_head){.loss = &several, .prediction = model->output, .target_type = *target};
    head->choice = (glia_loss_choice){.loss = &several, .text = describe(model), .ignored = GLIA_IGNORED};
    head->parts = glia__arena_alloc(&model->arena, (size_t)model->n_parts * sizeof *head->parts);
    if (!head->parts || !head->choice.text || !keep_arrays(model, &head->target_type))
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    GLIA_TRY(make_parts(head, model, err));
    head->next = model->heads;
    *out = model->heads = head;
    return GLIA_OK;
}

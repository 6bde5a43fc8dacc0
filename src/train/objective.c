/* objective.c: several inputs, outputs and losses: their weighted sum as one program, on arrays by name. */
#include "glia/objective.h"

#include <math.h>
#include <stdio.h>

#include "glia/ops.h"
#include "glia/program.h"
#include "train/loss.h"
#include "train/model.h"
#include "train/optimizer.h"

enum { MOST_LOSSES = 16 };

/* weight·loss of an output. */
typedef struct part {
    const char *name;
    glia_loss_head *head;
    double weight;
} part;

struct glia_objective {
    const glia_allocator *allocator;
    glia_model *model;
    const glia_optimizer *optimizer;
    glia_objective_options options;
    part parts[MOST_LOSSES];
    int n_parts;
    glia_value *total;         /* NULL before the first run */
    glia_value **gradients;    /* by every parameter; NULL for state */
    float *found, *moments[2]; /* as the model's block: gradients, then new values of state */
    size_t block_bytes;
    struct {
        glia_program *program;
        int64_t count;
    } programs[2]; /* outside of training, and in it */
    const glia_program *last;
    int64_t step;
};

/* Gradients are whole here. */
static glia_status refuse_sparse(const glia_model *model, glia_error *err) {
    const glia_param *p = glia__model_sparse(model);
    if (!p) return GLIA_OK;
    return glia_error_set(err, GLIA_UNSUPPORTED,
                          "'%s' is sparse, which several losses together do not support; set sparse to no",
                          glia_value_name(p->value));
}

glia_status glia_objective_new(glia_objective **out, glia_model *model, glia_objective_options options,
                               glia_error *err) {
    *out = NULL;
    GLIA_TRY(glia_model_status(model, err));
    if (model->carried.count)
        return glia_error_set(
            err, GLIA_UNSUPPORTED,
            "model '%s' has stateful layers, whose states an objective does not keep; give them as "
            "inputs, and keep what glia_layer_result gives",
            model->name);
    glia_objective *o = glia__calloc(model->allocator, 1, sizeof *o);
    if (!o) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    o->allocator = model->allocator;
    o->model = model;
    o->options = options;
    glia_status status = refuse_sparse(model, err);
    if (status == GLIA_OK) status = glia__optimizer_resolve(&o->options.optimizer, &o->optimizer, err);
    if (status == GLIA_OK && !glia__model_has_weights(model))
        status = glia_model_initialize(model, options.seed, err);
    if (status == GLIA_OK)
        *out = o;
    else
        glia_objective_free(o);
    return status;
}

void glia_objective_free(glia_objective *o) {
    if (!o) return;
    for (int i = 0; i < 2; i++) glia_program_free(o->programs[i].program);
    glia__free(o->allocator, o->found, o->block_bytes);
    for (int i = 0; i < 2; i++) glia__free(o->allocator, o->moments[i], o->block_bytes);
    glia__free(o->allocator, o, sizeof *o);
}

/* --- the sum ---------------------------------------------------------------------------------------------- */

static const part *find_part(const glia_objective *o, const char *name) {
    for (int i = 0; name && i < o->n_parts; i++)
        if (strcmp(o->parts[i].name, name) == 0) return &o->parts[i];
    return NULL;
}

static bool is_input(const glia_model *model, const char *name) {
    for (int i = 0; i < model->n_inputs; i++)
        if (strcmp(glia_value_name(model->inputs[i]), name) == 0) return true;
    return false;
}

/* Losses are made at the model's output: for a moment it is this one. */
static glia_status make_head(glia_objective *o, glia_value *output,
                             const glia_objective_loss_options *options, glia_loss_head **head,
                             glia_error *err) {
    glia_model *model = o->model;
    glia_value *before = model->output;
    glia_target target = {.kind = options->classes ? GLIA_TARGET_CLASS : GLIA_TARGET_VALUES,
                          .shape = options->targets,
                          .classes = options->classes};
    if (!options->classes) {
        const glia_shape shape = glia_value_shape(output);
        target.shape = glia_shape_of(shape.dim + 1, (size_t)(shape.rank - 1));
    }
    glia_model_set_output(model, output);
    glia_status status = glia_model_status(model, err);
    if (status == GLIA_OK) status = glia__loss_head(head, model, options->loss, &target, err);
    model->output = before ? before : output;
    return status;
}

glia_status glia_objective_add(glia_objective *o, glia_value *output, const char *name,
                               glia_objective_loss_options options, glia_error *err) {
    part p = {.weight = options.weight != 0 ? options.weight : 1};
    if (!name || !*name)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "a loss needs a name, that of its targets");
    if (!output)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "loss '%s' has no output: the value is NULL", name);
    if (o->total || o->n_parts == MOST_LOSSES)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "loss '%s': %s", name,
                              o->total ? "losses are added before the first step" : "there are 16 already");
    if (find_part(o, name) || is_input(o->model, name))
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "loss '%s': an input or another loss has that name",
                              name);
    if (!isfinite(p.weight) || options.classes < 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "loss '%s': weight and classes must be finite and not negative", name);
    p.name = glia__arena_strdup(&o->model->arena, name);
    if (!p.name) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    GLIA_TRY(make_head(o, output, &options, &p.head, err));
    o->parts[o->n_parts++] = p;
    return GLIA_OK;
}

static glia_status allocate(glia_objective *o, glia_error *err) {
    float **blocks[] = {&o->found, &o->moments[0], &o->moments[1]};
    o->block_bytes = (size_t)o->model->block_elems * sizeof(float);
    for (int i = 0; i < 1 + o->optimizer->n_moments; i++) {
        *blocks[i] = glia__alloc_pages(o->allocator, o->block_bytes);
        if (!*blocks[i])
            return glia_error_set(err, GLIA_OUT_OF_MEMORY,
                                  "out of memory: gradients and moments need %.1f MB",
                                  (double)o->block_bytes * (1 + o->optimizer->n_moments) / 1e6);
        memset(*blocks[i], 0, o->block_bytes);
    }
    return GLIA_OK;
}

/* The sum and its gradients, by every parameter that is trained. */
static glia_status make_total(glia_objective *o, glia_error *err) {
    glia_model *model = o->model;
    glia_graph *graph = model->graph;
    glia_value *total = NULL;
    if (o->total) return GLIA_OK;
    if (!o->n_parts) return glia_error_set(err, GLIA_INVALID_ARGUMENT, "there is no loss; add one");
    if (!o->found) GLIA_TRY(allocate(o, err));
    for (int i = 0; i < o->n_parts; i++) {
        glia_value *value = o->parts[i].head->value;
        value = glia_op_mul(value, glia__number(value, o->parts[i].weight));
        total = total ? glia_op_add(total, value) : value;
    }
    GLIA_TRY(glia_graph_status(graph, err));
    const size_t bytes = GLIA_MAX(model->n_params, (size_t)1) * sizeof(glia_value *);
    glia_value **wrt = glia__arena_alloc(&model->arena, bytes),
               **by = glia__arena_alloc(&model->arena, bytes);
    o->gradients = glia__arena_alloc(&model->arena, bytes);
    if (!wrt || !by || !o->gradients) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    int n = 0;
    for (size_t i = 0; i < model->n_params; i++)
        if (model->params[i].trained) wrt[n++] = model->params[i].value;
    GLIA_TRY(glia_graph_gradients(graph, total, wrt, n, by, err));
    n = 0;
    for (size_t i = 0; i < model->n_params; i++) o->gradients[i] = model->params[i].trained ? by[n++] : NULL;
    o->total = total;
    return GLIA_OK;
}

/* --- programs --------------------------------------------------------------------------------------------- */

/* What a step computes for a parameter: its gradient, or for state its new value (NULL: none). */
static glia_value *computed_for(const glia_objective *o, size_t param) {
    return o->gradients[param] ? o->gradients[param] : o->model->params[param].update;
}

static glia_status make_program(glia_objective *o, bool training, int64_t count, glia_program **out,
                                glia_error *err) {
    const size_t most = (1 + 2 * (size_t)MOST_LOSSES + o->model->n_params) * sizeof(glia_value *);
    glia_value **outputs = glia__alloc(o->allocator, most);
    int n = 0;
    if (!outputs) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    outputs[n++] = o->total;
    for (int i = 0; i < o->n_parts; i++) {
        glia_value *wanted[] = {o->parts[i].head->value, o->parts[i].head->prediction};
        for (int k = 0; k < 2; k++) {
            int at = 0;
            while (at < n && outputs[at] != wanted[k]) at++;
            if (at == n) outputs[n++] = wanted[k]; /* two losses may be of one output */
        }
    }
    const int own = n;
    for (size_t i = 0; i < o->model->n_params && training; i++)
        if (computed_for(o, i)) outputs[n++] = computed_for(o, i);
    glia_program_options options = {.dims = {count},
                                    .threads = o->options.threads,
                                    .precision = o->options.precision,
                                    .training = training ? GLIA_YES : GLIA_NO,
                                    .seed = o->options.seed,
                                    .bound_outputs = n - own,
                                    .allocator = o->allocator};
    glia_status status = glia_program_new(out, o->model->graph, outputs, n, options, err);
    glia__free(o->allocator, outputs, most);
    return status;
}

/* The one for `count` examples; another batch size takes its place. */
static glia_status get_program(glia_objective *o, bool training, int64_t count, glia_error *err) {
    if (o->programs[training].program && o->programs[training].count == count) return GLIA_OK;
    if (o->last == o->programs[training].program) o->last = NULL;
    glia_program_free(o->programs[training].program);
    o->programs[training].program = NULL;
    o->programs[training].count = count;
    GLIA_TRY(make_program(o, training, count, &o->programs[training].program, err));
    for (size_t i = 0; i < o->model->n_params && training; i++)
        if (computed_for(o, i))
            GLIA_TRY(glia_program_bind(o->programs[training].program, computed_for(o, i),
                                       o->found + o->model->params[i].offset, err));
    return GLIA_OK;
}

/* --- arrays ----------------------------------------------------------------------------------------------- */

static const glia_tensor *find_array(const glia_named_tensor *arrays, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (arrays[i].name && strcmp(arrays[i].name, name) == 0) return &arrays[i].tensor;
    return NULL;
}

/* The array for an input of the graph, which must have its type, and `examples` of them. */
static glia_status bind_array(glia_program *program, const glia_value *input, const char *name,
                              const glia_tensor *array, int64_t examples, glia_error *err) {
    char have[96], want[96];
    glia_shape shape = glia_value_shape(input);
    if (!array)
        return glia_error_set(err, GLIA_NOT_FOUND, "there is no array called '%s' in the batch", name);
    shape.dim[0] = examples;
    if (!glia_shape_equal(&shape, &array->shape) || array->dtype != glia_value_dtype(input) || !array->data)
        return glia_error_set(err, GLIA_BAD_SHAPE, "array '%s': expected %s %s, found %s %s", name,
                              glia_dtype_name(glia_value_dtype(input)),
                              glia_shape_text(&shape, want, sizeof want), glia_dtype_name(array->dtype),
                              glia_shape_text(&array->shape, have, sizeof have));
    return glia_program_bind(program, input, array->data, err);
}

static glia_status bind_arrays(glia_objective *o, glia_program *program, const glia_named_tensor *arrays,
                               size_t count, int64_t examples, glia_error *err) {
    for (int i = 0; i < o->model->n_inputs; i++) {
        const char *name = glia_value_name(o->model->inputs[i]);
        GLIA_TRY(
            bind_array(program, o->model->inputs[i], name, find_array(arrays, count, name), examples, err));
    }
    for (int i = 0; i < o->n_parts; i++) {
        const part *p = &o->parts[i];
        GLIA_TRY(
            bind_array(program, p->head->target, p->name, find_array(arrays, count, p->name), examples, err));
    }
    for (size_t i = 0; i < count; i++)
        if (!arrays[i].name || (!find_part(o, arrays[i].name) && !is_input(o->model, arrays[i].name)))
            return glia_error_set(err, GLIA_INVALID_ARGUMENT, "array '%s' is of no input and of no loss",
                                  arrays[i].name ? arrays[i].name : "");
    for (size_t i = 0; i < o->model->n_params; i++) {
        const glia_param *p = &o->model->params[i];
        GLIA_TRY(glia_program_bind(program, p->value, o->model->block + p->offset, err));
    }
    return GLIA_OK;
}

static glia_status run(glia_objective *o, bool training, const glia_named_tensor *arrays, size_t count,
                       double *loss, glia_error *err) {
    GLIA_TRY(glia_model_status(o->model, err));
    GLIA_TRY(make_total(o, err));
    const char *first = glia_value_name(glia_model_input(o->model, 0));
    const glia_tensor *array = find_array(arrays, count, first);
    const int64_t examples = array && array->shape.rank ? array->shape.dim[0] : 0;
    if (examples < 1)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the batch has no examples of '%s'", first);
    GLIA_TRY(get_program(o, training, examples, err));
    glia_program *program = o->programs[training].program;
    GLIA_TRY(bind_arrays(o, program, arrays, count, examples, err));
    GLIA_TRY(glia_program_run(program, (uint64_t)o->step + 1, err));
    o->last = program;
    const glia_tensor value = glia_program_output(program, o->total);
    *loss = glia_tensor_get(&value, 0);
    return GLIA_OK;
}

/* --- steps ------------------------------------------------------------------------------------------------ */

/* Stretches of parameters that have the same rate. */
static void update(glia_objective *o, double norm) {
    glia_optimizer_options settings = o->options.optimizer;
    const glia_model *model = o->model;
    glia_optimizer_step step = {.options = &settings,
                                .params = model->block,
                                .gradients = o->found,
                                .moments = {o->moments[0], o->moments[1]},
                                .number = ++o->step,
                                .gradient_scale = glia__clip_scale(&settings, norm)};
    for (size_t i = 0; i < model->n_params; i++) {
        const glia_param *p = &model->params[i];
        if (p->update)
            memcpy(model->block + p->offset, o->found + p->offset, (size_t)p->elems * sizeof(float));
        if (!p->trained) continue;
        settings.learning_rate = o->options.optimizer.learning_rate * p->rate;
        step.begin = p->offset;
        step.end = p->offset + p->elems;
        glia__optimizer_run(o->optimizer, step, o->options.threads);
    }
}

glia_status glia_objective_step(glia_objective *o, const glia_named_tensor *arrays, size_t count,
                                double *loss, glia_error *err) {
    double found = 0;
    GLIA_TRY(run(o, true, arrays, count, &found, err));
    if (loss) *loss = found;
    const double norm = glia__norm(o->found, o->model->trained_elems, o->options.threads);
    if (!isfinite(found) || !isfinite(norm))
        return glia_error_set(
            err, GLIA_NOT_FINITE,
            "step %lld: the %s became NaN or infinite; lower the learning rate, set clip_norm, or "
            "look for bad values in the data",
            (long long)o->step + 1, isfinite(found) ? "gradient" : "loss");
    update(o, norm);
    return GLIA_OK;
}

glia_status glia_objective_evaluate(glia_objective *o, const glia_named_tensor *arrays, size_t count,
                                    double *loss, glia_error *err) {
    double found = 0;
    GLIA_TRY(run(o, false, arrays, count, &found, err));
    if (loss) *loss = found;
    return GLIA_OK;
}

double glia_objective_loss(const glia_objective *o, const char *name) {
    const part *p = find_part(o, name);
    if (!p || !o->last) return NAN;
    const glia_tensor value = glia_program_output(o->last, p->head->value);
    return glia_tensor_get(&value, 0);
}

glia_tensor glia_objective_output(const glia_objective *o, const char *name) {
    const part *p = find_part(o, name);
    return p && o->last ? glia_program_output(o->last, p->head->prediction) : (glia_tensor){0};
}

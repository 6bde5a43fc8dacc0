/* jobs.c: the five kinds of jobs, on any model file.
 *
 *   epoch     glia_fit on the training data of the file, shuffled; a run is an epoch, the first does not count
 *   evaluate  glia_evaluate on its test data
 *   forward   the program of the model alone, on one batch of made-up inputs
 *   step      forward, backward and update by a trainer, on one batch of made-up inputs
 *   generate  glia_generate after a made-up prompt, always the most probable token; a run is a token after the first
 *
 * Everything follows from the seed. With `save`, what a peer needs to do the same work is written to a file: initial
 * weights, and the examples with their order, the made-up batch or the prompt. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

typedef struct task {
    bench_job *job;
    glia_recipe *recipe;
    glia_model *model;
    glia_fit_options fit;
    volatile sig_atomic_t stop;
    double loss_sum; /* of the batches of the epoch so far */
} task;

double bench_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void must(glia_status status, const glia_error *err) {
    if (status == GLIA_OK) return;
    char text[900];
    fprintf(stderr, "glia_bench: %s\n", glia_error_text(err, text, sizeof text));
    exit(1);
}

static void add_loss(bench_job *job, double loss) {
    if (job->n_losses < BENCH_LOSSES) job->losses[job->n_losses++] = loss;
}

static void add_seconds(bench_job *job, double seconds) {
    if (job->n_seconds < job->repeats) job->seconds[job->n_seconds++] = seconds;
}

/* --- the model, and the work in it ------------------------------------------------------------------------ */

static void build(task *t, glia_shape input) {
    glia_error err = {0};
    must(glia_recipe_model(t->recipe, input, 0, &t->model, NULL, &err), &err);
    must(glia_model_initialize(t->model, t->fit.seed, &err), &err);
}

/* Work by the book, whoever does it and however: comparable between engines. FLOPs: forward, those of the layers;
 * backward, twice as many where there are weights (but no gradient of the input before the first of them). Bytes, for
 * the intensity: each layer reads its input and weights and writes its result; backward moves twice as much, and the
 * update passes over weights, gradients and two moments. Layers are taken to be a chain. */
static void count_work(const task *t, bool training) {
    double flops = 0, bytes = 0, before = 1, params = 0;
    double batches = ceil((double)t->job->examples / (double)t->job->batch);
    glia_shape input = glia_value_shape(glia_model_input(t->model, 0));
    for (int i = 1; i < input.rank; i++) before *= (double)input.dim[i];
    for (size_t i = 0; i < glia_model_layers(t->model); i++) {
        glia_layer_info layer = glia_model_layer(t->model, i);
        double after = 1, backward = layer.params && params > 0 ? 2 : 1;
        for (int d = 1; d < layer.output_shape.rank; d++) after *= (double)layer.output_shape.dim[d];
        params += (double)layer.params;
        if (layer.flops > 0) bytes += 4 * (before + after);
        flops += layer.flops * (training ? 1 + backward : 1);
        before = after;
    }
    t->job->flops = flops * (double)t->job->examples;
    t->job->bytes =
        bytes * (double)t->job->examples * (training ? 3 : 1) + 4 * params * batches * (training ? 10 : 1);
}

/* --- what the peer needs ---------------------------------------------------------------------------------- */

static void save(const task *t, const glia_named_tensor *more, size_t n_more) {
    glia_error err = {0};
    size_t params = glia_model_params(t->model), count = 0;
    glia_named_tensor *tensors = calloc(params + n_more, sizeof *tensors);
    if (!tensors) exit(1);
    for (size_t i = 0; i < params; i++)
        tensors[count++] = (glia_named_tensor){glia_value_name(glia_model_param_value(t->model, i)),
                                               glia_model_param_data(t->model, i)};
    for (size_t i = 0; i < n_more; i++) tensors[count++] = more[i];
    must(glia_safetensors_write(t->job->save, tensors, count, NULL, 0, &err), &err);
    free(tensors);
}

/* A tensor of all examples; `shape` is that of one. */
static glia_named_tensor all_examples(const task *t, const char *name, glia_dtype dtype, glia_shape shape) {
    glia_error err = {0};
    glia_named_tensor all = {.name = name};
    for (int i = shape.rank++; i > 0; i--) shape.dim[i] = shape.dim[i - 1];
    shape.dim[0] = t->job->examples;
    must(glia_tensor_new(&all.tensor, dtype, shape, NULL, &err), &err);
    return all;
}

/* The examples as the network gets them, each at its place, and the order in which the first epoch of glia_fit sees them. */
static void save_examples(const task *t, const glia_dataset *data, bool shuffled) {
    glia_error err = {0};
    glia_loader *loader;
    glia_batch batch;
    const glia_shape shape = glia_dataset_get_info(data)->input_shape, one = {0};
    if (glia_dataset_get_info(data)->target != GLIA_TARGET_CLASS)
        must(glia_error_set(&err, GLIA_UNSUPPORTED, "%s: only classes are measured", t->job->model), &err);
    glia_loader_options options = {.batch_size = t->job->batch,
                                   .shuffle = shuffled ? GLIA_YES : GLIA_NO,
                                   .seed = t->fit.seed,
                                   .prefetch = GLIA_NO};
    glia_named_tensor all[] = {all_examples(t, "examples", GLIA_F32, shape),
                               all_examples(t, "labels", GLIA_I64, one),
                               all_examples(t, "order", GLIA_I64, one)};
    const int64_t elems = glia_shape_elems(&shape);
    must(glia_loader_new(&loader, data, options, &err), &err);
    must(glia_loader_start(loader, 0, &err), &err);
    for (int64_t *order = all[2].tensor.data;; order += batch.count) {
        must(glia_loader_next(loader, &batch, &err), &err);
        if (!batch.count) break;
        for (int64_t i = 0; i < batch.count; i++) {
            const int64_t at = order[i] = batch.order[i];
            memcpy((float *)all[0].tensor.data + at * elems, batch.inputs + i * elems,
                   sizeof(float) * (size_t)elems);
            ((int64_t *)all[1].tensor.data)[at] = ((const int64_t *)batch.targets)[i];
        }
    }
    save(t, all, 3);
    glia_loader_free(loader);
    for (int i = 0; i < 3; i++) glia_tensor_free(&all[i].tensor);
}

/* --- epoch, evaluate -------------------------------------------------------------------------------------- */

/* glia_fit tells the mean loss of the epoch so far: what the last batch added to the sum is its own. */
static void take_loss(void *ctx, const glia_progress *p) {
    task *t = ctx;
    if (p->epoch > 1 || p->batch > BENCH_LOSSES) return;
    double sum = p->loss * (double)p->batch;
    add_loss(t->job, sum - t->loss_sum);
    t->loss_sum = sum;
    if (t->job->n_losses == BENCH_LOSSES && t->job->repeats == 0) t->stop = 1;
}

static int take_epoch(void *ctx, const glia_epoch *e) {
    task *t = ctx;
    if (e->epoch > 1) add_seconds(t->job, e->seconds);
    return 0;
}

static glia_dataset *open_data(task *t, bool test) {
    glia_error err = {0};
    glia_dataset *data = NULL;
    must(glia_recipe_data(t->recipe, test ? NULL : &data, NULL, test ? &data : NULL, NULL, &err), &err);
    if (!data) must(glia_error_set(&err, GLIA_NOT_FOUND, "%s: there is no test data", t->job->model), &err);
    t->job->examples = glia_dataset_get_info(data)->count;
    build(t, glia_dataset_get_info(data)->input_shape);
    return data;
}

static void run_epoch(task *t) {
    glia_error err = {0};
    glia_dataset *train = open_data(t, false);
    if (t->job->save) save_examples(t, train, true);
    t->fit.epochs = 1 + t->job->repeats;
    t->fit.on_batch = take_loss;
    t->fit.on_epoch = take_epoch;
    t->fit.ctx = t;
    t->fit.stop = &t->stop;
    t->fit.error = &err;
    glia_status status = glia_fit_with(t->model, train, t->fit);
    if (!t->stop) must(status, &err);
    count_work(t, true);
    glia_dataset_free(train);
}

static void run_evaluate(task *t) {
    glia_error err = {0};
    glia_dataset *test = open_data(t, true);
    if (t->job->save) save_examples(t, test, false);
    for (int64_t i = 0; i <= t->job->repeats; i++) {
        glia_report report =
            glia_evaluate(t->model, test, .loss = t->fit.loss, .batch_size = t->job->batch,
                          .threads = t->fit.threads, .precision = t->fit.precision, .error = &err);
        must(err.status, &err);
        if (i) add_seconds(t->job, report.seconds);
        if (i == 0) add_loss(t->job, report.loss), add_loss(t->job, report.accuracy);
    }
    count_work(t, false);
    glia_dataset_free(test);
}

/* --- forward, step ---------------------------------------------------------------------------------------- */

/* A batch of normal numbers and of classes; where the model tells classes of positions, of tokens and of the next ones. */
typedef struct made_up {
    glia_tensor inputs, targets;
} made_up;

static bool takes_tokens(const task *t) {
    return glia_value_shape(glia_model_output(t->model)).rank == 3;
}

static made_up make_up(task *t) {
    glia_error err = {0};
    made_up m;
    glia_shape shape = {.rank = t->job->input.rank + 1, .dim = {t->job->batch}};
    glia_random random = {t->fit.seed, glia_random_stream("bench")};
    for (int i = 1; i < shape.rank; i++) shape.dim[i] = t->job->input.dim[i - 1];
    t->job->examples = t->job->batch;
    build(t, t->job->input);
    glia_shape output = glia_value_shape(glia_model_output(t->model));
    const uint64_t classes = (uint64_t)output.dim[output.rank - 1];
    const bool tokens = takes_tokens(t);
    must(glia_tensor_new(&m.inputs, GLIA_F32, shape, NULL, &err), &err);
    must(glia_tensor_new(&m.targets, GLIA_I64, tokens ? shape : GLIA_SHAPE(t->job->batch), NULL, &err), &err);
    const int64_t n = glia_shape_elems(&shape), n_targets = glia_shape_elems(&m.targets.shape);
    for (int64_t i = 0; i < n; i++)
        ((float *)m.inputs.data)[i] = tokens ? (float)glia_random_below(random, (uint64_t)i, classes)
                                             : (float)glia_random_normal(random, (uint64_t)i);
    for (int64_t i = 0; i < n_targets; i++)
        ((int64_t *)m.targets.data)[i] = (int64_t)glia_random_below(random, (uint64_t)(n + i), classes);
    if (t->job->save) save(t, (glia_named_tensor[]){{"inputs", m.inputs}, {"targets", m.targets}}, 2);
    return m;
}

static void free_made_up(made_up *m) {
    glia_tensor_free(&m->inputs);
    glia_tensor_free(&m->targets);
}

/* Mean over the targets of log Σ exp(logits) − logit of the target. */
static double cross_entropy(glia_tensor logits, const int64_t *targets) {
    const int64_t n = logits.shape.dim[logits.shape.rank - 1], rows = glia_shape_elems(&logits.shape) / n;
    double loss = 0;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += exp(glia_tensor_get(&logits, r * n + i));
        loss += log(sum) - glia_tensor_get(&logits, r * n + targets[r]);
    }
    return loss / (double)rows;
}

/* Root of the mean square: of logits it tells more than a loss to which each adds little. */
static double magnitude(glia_tensor x) {
    const int64_t n = glia_shape_elems(&x.shape);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += glia_tensor_get(&x, i) * glia_tensor_get(&x, i);
    return sqrt(sum / (double)n);
}

static void run_forward(task *t) {
    glia_error err = {0};
    glia_program *program;
    made_up m = make_up(t);
    glia_value *output = glia_model_output(t->model);
    glia_program_options options = {.dims = {t->job->batch},
                                    .threads = t->fit.threads,
                                    .precision = t->fit.precision,
                                    .fixed_params = GLIA_YES};
    must(glia_program_new(&program, glia_model_graph(t->model), &output, 1, options, &err), &err);
    must(glia_program_bind(program, glia_model_input(t->model, 0), m.inputs.data, &err), &err);
    for (size_t i = 0; i < glia_model_params(t->model); i++)
        must(glia_program_bind(program, glia_model_param_value(t->model, i),
                               glia_model_param_data(t->model, i).data, &err),
             &err);
    for (int64_t i = 0; i < 2 + t->job->repeats; i++) {
        double start = bench_now();
        must(glia_program_run(program, 0, &err), &err);
        if (i > 1) add_seconds(t->job, bench_now() - start);
        if (i) continue;
        add_loss(t->job, cross_entropy(glia_program_output(program, output), m.targets.data));
        add_loss(t->job, magnitude(glia_program_output(program, output)));
    }
    count_work(t, false);
    glia_program_free(program);
    free_made_up(&m);
}

static void run_step(task *t) {
    glia_error err = {0};
    glia_trainer *trainer;
    made_up m = make_up(t);
    const glia_shape positions = takes_tokens(t) ? t->job->input : (glia_shape){0};
    must(glia_trainer_new(&trainer, t->model, GLIA_TARGET_CLASS, positions, t->fit, &err), &err);
    for (int64_t i = 0; i < 3 + t->job->repeats; i++) {
        double loss, start = bench_now();
        must(glia_trainer_backward(trainer, m.inputs.data, m.targets.data, t->job->batch, &loss, &err), &err);
        must(glia_trainer_update(trainer, &err), &err);
        if (i > 2) add_seconds(t->job, bench_now() - start);
        add_loss(t->job, loss);
    }
    count_work(t, true);
    glia_trainer_free(trainer);
    free_made_up(&m);
}

/* --- generate --------------------------------------------------------------------------------------------- */

enum { PROMPT = 32, TOKENS = 64 };

/* As they begin, the weights of a language model make it repeat the last token. Larger ones, but for the tokens' own, make it
 * look at all that was before. */
static void sharpen(const task *t) {
    for (size_t i = 1; i < glia_model_params(t->model); i++) {
        const glia_tensor w = glia_model_param_data(t->model, i);
        const int64_t n = w.shape.rank > 1 ? glia_shape_elems(&w.shape) : 0;
        for (int64_t k = 0; k < n; k++) ((float *)w.data)[k] *= 4;
    }
}

/* When the first token came, and the last. */
typedef struct spoken {
    task *t;
    int count;
    double first, last;
} spoken;

static bool take_token(void *ctx, int64_t token) {
    spoken *s = ctx;
    s->last = bench_now();
    if (s->count++ == 0) s->first = s->last;
    add_loss(s->t->job, (double)token);
    return true;
}

/* A token reads every weight but those of the positions, once: two FLOPs each. */
static void count_token(const task *t) {
    double weights = 0;
    for (size_t i = 0; i < glia_model_params(t->model); i++) {
        const glia_shape shape = glia_value_shape(glia_model_param_value(t->model, i));
        weights += (double)glia_shape_elems(&shape);
    }
    t->job->flops = 2 * weights;
    t->job->bytes = 4 * weights;
}

static void run_generate(task *t) {
    glia_error err = {0};
    int64_t prompt[PROMPT];
    build(t, t->job->input);
    sharpen(t);
    const glia_shape output = glia_value_shape(glia_model_output(t->model));
    const glia_random random = {t->fit.seed, glia_random_stream("bench")};
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = (int64_t)glia_random_below(random, (uint64_t)i, (uint64_t)output.dim[output.rank - 1]);
    if (t->job->save)
        save(t, (glia_named_tensor[]){{"prompt", glia_tensor_wrap(prompt, GLIA_I64, GLIA_SHAPE(1, PROMPT))}},
             1);
    t->job->examples = 1;
    for (int64_t i = 0; i <= t->job->repeats; i++) {
        spoken s = {.t = t};
        must(glia_generate(t->model, prompt, PROMPT, .tokens = TOKENS, .top_k = 1, .threads = t->fit.threads,
                           .precision = t->fit.precision, .on_token = take_token, .ctx = &s, .error = &err),
             &err);
        if (i) add_seconds(t->job, (s.last - s.first) / (TOKENS - 1));
    }
    count_token(t);
}

void bench_run(bench_job *job) {
    static const struct {
        const char *what;
        void (*run)(task *t);
    } kinds[] = {{"epoch", run_epoch},
                 {"evaluate", run_evaluate},
                 {"forward", run_forward},
                 {"step", run_step},
                 {"generate", run_generate}};
    glia_error err = {0};
    task t = {.job = job};
    must(glia_recipe_load(&t.recipe, job->model, job->overrides, job->n_overrides, NULL, &err), &err);
    t.fit = glia_recipe_fit_options(t.recipe);
    job->batch = t.fit.batch_size;
    job->seed = t.fit.seed;
    size_t i = 0, n = sizeof kinds / sizeof *kinds;
    while (i < n && strcmp(kinds[i].what, job->what) != 0) i++;
    if (i == n)
        must(glia_error_set(&err, GLIA_INVALID_ARGUMENT,
                            "expected epoch, evaluate, forward, step or generate, found '%s'", job->what),
             &err);
    kinds[i].run(&t);
    glia_model_free(t.model);
    glia_recipe_free(t.recipe);
}

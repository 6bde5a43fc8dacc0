/* generate.c: draws token after token from what a language model expects next. */

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/log.h"
#include "glia/generate.h"
#include "glia/random.h"
#include "train/runner.h"
#include "train/stepper.h"

/* A model at work on a text: what it sees of it, and room to choose in. */
typedef struct speaker {
    glia_stepper stepper; /* goes on with what it remembers */
    bool steps;           /* it can; else `runner` sees the whole window for every token */
    int64_t unread;       /* of the last tokens: those that it has not seen yet */
    glia_runner runner;
    int64_t context, vocabulary;
    float *seen; /* the last tokens, as the model's input takes them */
    int64_t count;
    double *weights; /* of each token: how often it is drawn */
    double *largest; /* as many of them */
    const glia_allocator *allocator;
} speaker;

static glia_status check_model(const glia_model *model, speaker *s, glia_error *err) {
    char in[96], out[96];
    GLIA_TRY(glia__model_with_weights(model, err));
    const glia_shape input = glia_value_shape(model->inputs[0]), output = glia_value_shape(model->output);
    if (model->n_inputs == 1 && input.rank == 2 && output.rank == 3 && output.dim[1] == input.dim[1]) {
        s->context = input.dim[1];
        s->vocabulary = output.dim[2];
        return GLIA_OK;
    }
    return glia_error_set(
        err, GLIA_BAD_SHAPE,
        "model '%s' is no language model: expected tokens [N, T] → [N, T, vocabulary], found "
        "%s → %s",
        model->name, glia_shape_text(&input, in, sizeof in), glia_shape_text(&output, out, sizeof out));
}

static glia_status check_options(const speaker *s, const int64_t *prompt, int64_t count,
                                 const glia_generate_options *o, glia_error *err) {
    if (o->tokens < 0 || o->top_k < 0 || !(o->temperature >= 0) || o->temperature > 1e6)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "expected tokens, top_k and temperature of 0 or more, found %lld, %lld and %g",
                              (long long)o->tokens, (long long)o->top_k, o->temperature);
    if (count < 1) return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the prompt is empty");
    for (int64_t i = 0; i < count; i++)
        if (prompt[i] < 0 || prompt[i] >= s->vocabulary)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "token %lld of the prompt is %lld, out of range 0 … %lld", (long long)i,
                                  (long long)prompt[i], (long long)s->vocabulary - 1);
    if (o->first_token < 0 || o->first_token >= s->vocabulary)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "no token is left to be drawn");
    return GLIA_OK;
}

/* Once the window is full it moves on: then every token in it stands elsewhere, and what was remembered of it no longer
 * holds. Recurrent layers alone do not mind. */
static void see(speaker *s, int64_t token) {
    if (s->count == s->context) {
        memmove(s->seen, s->seen + 1, (size_t)(s->context - 1) * sizeof *s->seen);
        if (s->steps && s->stepper.steps.limited) {
            s->steps = false;
            glia__stepper_deinit(&s->stepper);
        }
    } else {
        s->count++;
    }
    s->seen[s->count - 1] = (float)token;
    s->unread++;
}

/* What the model says to the last place. Places behind it hold old tokens, which no place before them looks at; stateful layers
 * begin anew, as the window holds what they have seen. */
static glia_status next_logits(speaker *s, const float **logits, glia_error *err) {
    const int64_t unread = s->unread;
    s->unread = 0;
    if (s->steps) return glia__stepper_take(&s->stepper, s->seen + s->count - unread, unread, logits, err);
    glia__runner_reset_states(&s->runner);
    GLIA_TRY(glia__runner_run(&s->runner, GLIA_RUN_PREDICT, s->seen, NULL, 1, 0, NULL, err));
    *logits = (const float *)glia__runner_predictions(&s->runner).data + (s->count - 1) * s->vocabulary;
    return GLIA_OK;
}

static glia_status check_finite(const speaker *s, const float *logits, int64_t first, glia_error *err) {
    for (int64_t i = first; i < s->vocabulary; i++)
        if (!isfinite(logits[i]))
            return glia_error_set(err, GLIA_NOT_FINITE, "the model gives %g to token %lld", (double)logits[i],
                                  (long long)i);
    return GLIA_OK;
}

/* The most probable token, of several the first. */
static int64_t most_probable(const speaker *s, const float *logits, int64_t first) {
    int64_t best = first;
    for (int64_t i = first + 1; i < s->vocabulary; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

/* The smallest of the `count` largest of w[n]: kept in a heap, the smallest on top. */
static double least_of_largest(double *heap, int64_t count, const double *w, int64_t n) {
    for (int64_t i = 0; i < count; i++) heap[i] = -DBL_MAX;
    for (int64_t i = 0; i < n; i++) {
        if (w[i] <= heap[0]) continue;
        int64_t at = 0;
        for (int64_t child; (child = 2 * at + 1) < count; at = child) {
            child += child + 1 < count && heap[child + 1] < heap[child];
            if (heap[child] >= w[i]) break;
            heap[at] = heap[child];
        }
        heap[at] = w[i];
    }
    return heap[0];
}

/* e^(logit / temperature), the largest 1; 0 for those that are not among the first top_k. */
static void weigh(const speaker *s, const float *logits, const glia_generate_options *o) {
    const bool probabilities = glia__model_gives_probabilities(s->runner.model);
    const double temperature = o->temperature > 0 ? o->temperature : 1;
    const int64_t first = o->first_token, n = s->vocabulary - first;
    double *w = s->weights + first, top = -DBL_MAX, least = -DBL_MAX;
    int64_t ties = n; /* of those that weigh `least`, so many as there is room for */
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)logits[first + i];
        w[i] = (probabilities ? log(fmax(x, 1e-30)) : x) / temperature;
        top = fmax(top, w[i]);
    }
    if (o->top_k && o->top_k < n) {
        least = least_of_largest(s->largest, o->top_k, w, n);
        ties = o->top_k;
        for (int64_t i = 0; i < n; i++) ties -= w[i] > least;
    }
    for (int64_t i = 0; i < n; i++) {
        const bool drawn = w[i] > least || (w[i] == least && ties-- > 0);
        w[i] = drawn ? exp(w[i] - top) : 0;
    }
}

static int64_t draw(const speaker *s, const glia_generate_options *o, int64_t index) {
    const glia_random random = {o->seed, glia_random_stream("generate")};
    const double share = (double)(glia_random_u64(random, (uint64_t)index) >> 11) * 0x1p-53;
    double sum = 0, below = 0;
    int64_t last = o->first_token;
    for (int64_t i = o->first_token; i < s->vocabulary; i++) sum += s->weights[i];
    for (int64_t i = o->first_token; i < s->vocabulary; i++) {
        if (s->weights[i] == 0) continue;
        below += s->weights[i];
        last = i;
        if (below > share * sum) break;
    }
    return last;
}

static glia_status speak(speaker *s, const glia_generate_options *o, glia_error *err) {
    const int64_t tokens = o->tokens ? o->tokens : 256;
    for (int64_t i = 0; i < tokens; i++) {
        const float *logits;
        if (o->stop && *o->stop) return glia_error_set(err, GLIA_INTERRUPTED, "interrupted");
        GLIA_TRY(next_logits(s, &logits, err));
        GLIA_TRY(check_finite(s, logits, o->first_token, err));
        if (o->top_k != 1) weigh(s, logits, o);
        const int64_t token = o->top_k == 1 ? most_probable(s, logits, o->first_token) : draw(s, o, i);
        see(s, token);
        if (o->on_token && !o->on_token(o->ctx, token)) return GLIA_OK;
    }
    return GLIA_OK;
}

/* Models that cannot go on step by step see the whole window for every token. */
static glia_status try_steps(speaker *s, const glia_logger *logger, glia_error *err) {
    glia_error inner = {0};
    const glia_status status =
        glia__stepper_new(&s->stepper, s->runner.model, s->runner.threads, s->runner.precision, &inner);
    s->steps = status == GLIA_OK;
    if (status == GLIA_UNSUPPORTED)
        glia__log(logger, GLIA_LOG_INFO, "every token costs a run of the whole window of %lld: %s",
                  (long long)s->context, inner.message);
    if (status == GLIA_OK || status == GLIA_UNSUPPORTED) return GLIA_OK;
    if (err && err->status == GLIA_OK) *err = inner;
    return status;
}

glia_status glia_generate_with(glia_model *model, const int64_t *prompt, int64_t count,
                               glia_generate_options o) {
    glia_error *err = o.error;
    speaker s = {.runner = {.model = model, .threads = o.threads, .precision = o.precision},
                 .allocator = model->allocator};
    GLIA_TRY(check_model(model, &s, err));
    GLIA_TRY(check_options(&s, prompt, count, &o, err));
    const size_t seen = (size_t)s.context * sizeof *s.seen, n = (size_t)s.vocabulary * sizeof *s.weights;
    s.seen = glia__calloc(s.allocator, 1, seen);
    s.weights = glia__alloc(s.allocator, n);
    s.largest = glia__alloc(s.allocator, n);
    glia_status status =
        s.seen && s.weights && s.largest ? GLIA_OK : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (status == GLIA_OK) status = try_steps(&s, o.logger, err);
    for (int64_t i = GLIA_MAX(count - s.context, 0); i < count && status == GLIA_OK; i++) see(&s, prompt[i]);
    if (status == GLIA_OK) status = speak(&s, &o, err);
    glia__free(s.allocator, s.seen, seen);
    glia__free(s.allocator, s.weights, n);
    glia__free(s.allocator, s.largest, n);
    glia__stepper_deinit(&s.stepper);
    glia__runner_deinit(&s.runner);
    return status;
}

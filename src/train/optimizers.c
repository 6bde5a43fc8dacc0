/* optimizers.c: one block an optimiser. Formulas, and where epsilon stands, are those of torch.optim 2.x,
 * which tests/test_optimizers.c checks step by step. θ: parameters, g: gradient (+ weight_decay·θ), η:
 * learning rate. Sums run in f32, coefficients are computed in f64. */

#include "train/optimizer.h"

#include <math.h>

#include "core/isa.h"

/* The loop over the elements of a step, with p, g and the moments in reach. `body` updates element i from
 * gradient `g`. */
#define FOR_ELEMENTS(s, body)                                                               \
    do {                                                                                    \
        float *restrict p = (s)->params, *restrict m0 = (s)->moments[0];                    \
        float *restrict m1 = (s)->moments[1];                                               \
        const float *restrict gradients = (s)->gradients;                                   \
        const float scale = (s)->gradient_scale, decay = (float)(s)->options->weight_decay; \
        (void)m0, (void)m1;                                                                 \
        for (int64_t i = (s)->begin; i < (s)->end; i++) {                                   \
            const float g = gradients[i] * scale + decay * p[i];                            \
            body;                                                                           \
        }                                                                                   \
    } while (0)

#define UPDATE(name) GLIA_CPU_CLONES(void, name, (const glia_optimizer_step *s), (s))

#define FIELD(member, initial_text, low, high, text)                                                   \
    {                                                                                                  \
        .name = #member, .kind = GLIA_FIELD_FLOAT, .offset = offsetof(glia_optimizer_options, member), \
        .initial = initial_text, .doc = text, .min = low, .max = high                                  \
    }
#define RATE(initial_text)    FIELD(learning_rate, initial_text, 1e-30, 1e30, "step size η")
#define EPSILON(initial_text) FIELD(epsilon, initial_text, 0, 1, "keeps the division finite")
#define LAST_FIELDS                                                                                   \
    FIELD(clip_norm, "0", 0, 1e30, "the gradient is scaled down to this Euclidean norm; 0: never"), { \
        .name = "decay_vectors", .kind = GLIA_FIELD_BOOL,                                             \
        .offset = offsetof(glia_optimizer_options, decay_vectors), .initial = "yes",                  \
        .doc = "no: weight_decay spares what has one dimension: biases, scales of norms"              \
    }
#define COMMON \
    FIELD(weight_decay, "0", 0, 1e6, "L2 penalty: weight_decay·θ is added to the gradient"), LAST_FIELDS
#define MOMENTUM FIELD(momentum, "0.9", 0, 1, "share of the last step that is kept, μ")

UPDATE(sgd_update) {
    const float rate = (float)s->options->learning_rate;
    FOR_ELEMENTS(s, p[i] -= rate * g);
}

GLIA_OPTIMIZER(sgd) = {
    .name = "sgd",
    .doc = "θ ← θ − η·g",
    .source = "Robbins, Monro, 1951",
    .fields = GLIA_FIELDS(RATE("0.01"), COMMON),
    .still = true,
    .update = sgd_update,
};

UPDATE(momentum_update) {
    const float rate = (float)s->options->learning_rate, mu = (float)s->options->momentum;
    FOR_ELEMENTS(s, {
        m0[i] = mu * m0[i] + g;
        p[i] -= rate * m0[i];
    });
}

GLIA_OPTIMIZER(momentum) = {
    .name = "momentum",
    .doc = "m ← μ·m + g, θ ← θ − η·m",
    .source = "Polyak, 1964",
    .fields = GLIA_FIELDS(RATE("0.01"), MOMENTUM, COMMON),
    .n_moments = 1,
    .moment_names = {"m"},
    .update = momentum_update,
};

UPDATE(nesterov_update) {
    const float rate = (float)s->options->learning_rate, mu = (float)s->options->momentum;
    FOR_ELEMENTS(s, {
        m0[i] = mu * m0[i] + g;
        p[i] -= rate * (g + mu * m0[i]);
    });
}

GLIA_OPTIMIZER(nesterov) = {
    .name = "nesterov",
    .doc = "m ← μ·m + g, θ ← θ − η·(g + μ·m)",
    .source = "Nesterov, 1983; Sutskever et al., ICML 2013",
    .fields = GLIA_FIELDS(RATE("0.01"), MOMENTUM, COMMON),
    .n_moments = 1,
    .moment_names = {"m"},
    .update = nesterov_update,
};

UPDATE(adagrad_update) {
    const float rate = (float)s->options->learning_rate, epsilon = (float)s->options->epsilon;
    FOR_ELEMENTS(s, {
        m0[i] += g * g;
        p[i] -= rate * g / (sqrtf(m0[i]) + epsilon);
    });
}

GLIA_OPTIMIZER(adagrad) = {
    .name = "adagrad",
    .doc = "v ← v + g², θ ← θ − η·g / (√v + ε)",
    .source = "Duchi, Hazan, Singer, JMLR 2011",
    .fields = GLIA_FIELDS(RATE("0.01"), EPSILON("1e-10"), COMMON),
    .n_moments = 1,
    .moment_names = {"v"},
    .still = true,
    .update = adagrad_update,
};

UPDATE(adadelta_update) {
    const float rate = (float)s->options->learning_rate, epsilon = (float)s->options->epsilon;
    const float rho = (float)s->options->rho, rest = (float)(1 - s->options->rho);
    FOR_ELEMENTS(s, {
        m0[i] = rho * m0[i] + rest * g * g;
        const float delta = sqrtf(m1[i] + epsilon) / sqrtf(m0[i] + epsilon) * g;
        m1[i] = rho * m1[i] + rest * delta * delta;
        p[i] -= rate * delta;
    });
}

GLIA_OPTIMIZER(adadelta) = {
    .name = "adadelta",
    .doc = "v ← ρ·v + (1−ρ)·g², δ = √(u+ε)/√(v+ε)·g, u ← ρ·u + (1−ρ)·δ², θ ← θ − η·δ",
    .source = "Zeiler, arXiv:1212.5701, 2012",
    .fields = GLIA_FIELDS(RATE("1"), FIELD(rho, "0.9", 0, 1, "decay of the averages, ρ"), EPSILON("1e-6"),
                          COMMON),
    .n_moments = 2,
    .moment_names = {"v", "u"},
    .update = adadelta_update,
};

UPDATE(rmsprop_update) {
    const float rate = (float)s->options->learning_rate, epsilon = (float)s->options->epsilon;
    const float rho = (float)s->options->rho, rest = (float)(1 - s->options->rho);
    FOR_ELEMENTS(s, {
        m0[i] = rho * m0[i] + rest * g * g;
        p[i] -= rate * g / (sqrtf(m0[i]) + epsilon);
    });
}

GLIA_OPTIMIZER(rmsprop) = {
    .name = "rmsprop",
    .doc = "v ← ρ·v + (1−ρ)·g², θ ← θ − η·g / (√v + ε)",
    .source = "Tieleman, Hinton, lecture 6.5, 2012",
    .fields = GLIA_FIELDS(RATE("0.01"), FIELD(rho, "0.99", 0, 1, "decay of the average, ρ"), EPSILON("1e-8"),
                          COMMON),
    .n_moments = 1,
    .moment_names = {"v"},
    .update = rmsprop_update,
};

#define BETAS                                                           \
    FIELD(beta1, "0.9", 0, 1, "decay of the average of gradients, β₁"), \
        FIELD(beta2, "0.999", 0, 1, "decay of the average of squares, β₂")

/* Shared by adam and adamw once the decay is dealt with. */
UPDATE(adam_loop) {
    const glia_optimizer_options *o = s->options;
    const double correction1 = 1 - pow(o->beta1, (double)s->number);
    const double correction2 = sqrt(1 - pow(o->beta2, (double)s->number));
    const float b1 = (float)o->beta1, rest1 = (float)(1 - o->beta1), b2 = (float)o->beta2;
    const float rest2 = (float)(1 - o->beta2), epsilon = (float)o->epsilon;
    const float rate = (float)(o->learning_rate / correction1), unroot = (float)(1 / correction2);
    FOR_ELEMENTS(s, {
        m0[i] = b1 * m0[i] + rest1 * g;
        m1[i] = b2 * m1[i] + rest2 * g * g;
        p[i] -= rate * m0[i] / (sqrtf(m1[i]) * unroot + epsilon);
    });
}

GLIA_OPTIMIZER(adam) = {
    .name = "adam",
    .doc = "m ← β₁·m + (1−β₁)·g, v ← β₂·v + (1−β₂)·g², θ ← θ − η·m̂ / (√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ)",
    .source = "Kingma, Ba, arXiv:1412.6980, 2014",
    .fields = GLIA_FIELDS(RATE("0.001"), BETAS, EPSILON("1e-8"), COMMON),
    .n_moments = 2,
    .moment_names = {"m", "v"},
    .update = adam_loop,
};

static void adamw_update(const glia_optimizer_step *s) {
    glia_optimizer_options undecayed = *s->options;
    glia_optimizer_step step = *s;
    const float keep = (float)(1 - s->options->learning_rate * s->options->weight_decay);
    for (int64_t i = s->begin; i < s->end; i++) s->params[i] *= keep;
    undecayed.weight_decay = 0;
    step.options = &undecayed;
    adam_loop(&step);
}

GLIA_OPTIMIZER(adamw) = {
    .name = "adamw",
    .doc = "θ ← θ − η·weight_decay·θ, then as adam",
    .source = "Loshchilov, Hutter, arXiv:1711.05101, 2017",
    .fields = GLIA_FIELDS(RATE("0.001"), BETAS, EPSILON("1e-8"),
                          FIELD(weight_decay, "0.01", 0, 1e6, "share of θ taken off a step, times η"),
                          LAST_FIELDS),
    .n_moments = 2,
    .moment_names = {"m", "v"},
    .update = adamw_update,
};

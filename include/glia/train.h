/* train.h: fit, evaluate, predict, and the pieces for a loop of one's own. */
#ifndef GLIA_TRAIN_H
#define GLIA_TRAIN_H

#include <signal.h>

#include "glia/data.h"
#include "glia/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- optimisers ---------------------------------------------------------------------------------------- */

/* Which optimiser, with its settings; zero means default. `name` is that of a GLIA_OPTIMIZER block: "sgd",
 * "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw". Formulas are those of PyTorch's
 * torch.optim, which are the articles'. */
typedef struct glia_optimizer_options {
    int reserved_;
    const char *name;     /* default "adam" */
    double learning_rate; /* default: see the optimiser */
    double momentum;      /* momentum, nesterov: 0.9 */
    double beta1, beta2;  /* adam, adamw: 0.9, 0.999 */
    double rho;           /* adadelta: 0.9; rmsprop (alpha): 0.99 */
    double epsilon;       /* adam: 1e-8 */
    double weight_decay;  /* default 0 (adamw: 0.01). L2 added to the gradient; decoupled for adamw */
    double clip_norm;     /* scale the whole gradient down to this Euclidean norm; default 0: never */
    glia_bool
        decay_vectors; /* no: weight_decay spares what has one dimension: biases, scales of norms; default yes */
} glia_optimizer_options;

#define GLIA_OPTIMIZER_(kind, ...) GLIA_OPTIONS(glia_optimizer_options, .name = kind, __VA_ARGS__)
#define glia_sgd(...)              GLIA_OPTIMIZER_("sgd", __VA_ARGS__)
#define glia_momentum(...)         GLIA_OPTIMIZER_("momentum", __VA_ARGS__)
#define glia_nesterov(...)         GLIA_OPTIMIZER_("nesterov", __VA_ARGS__)
#define glia_adagrad(...)          GLIA_OPTIMIZER_("adagrad", __VA_ARGS__)
#define glia_adadelta(...)         GLIA_OPTIMIZER_("adadelta", __VA_ARGS__)
#define glia_rmsprop(...)          GLIA_OPTIMIZER_("rmsprop", __VA_ARGS__)
#define glia_adam(...)             GLIA_OPTIMIZER_("adam", __VA_ARGS__)
#define glia_adamw(...)            GLIA_OPTIMIZER_("adamw", __VA_ARGS__)

/* How the learning rate changes during a training; zero means default. The rate of a step is the optimiser's
 * learning_rate times a factor that depends on the step's number alone. */
typedef struct glia_schedule_options {
    int reserved_;
    const char *kind; /* "constant" (default), "step", "linear", "cosine": from 1 towards `final` */
    double
        warmup; /* epochs, or a part of one, in which the factor first rises in a straight line; default 0 */
    double step_epochs; /* step: times gamma every so many epochs; default 30 */
    double gamma;       /* step: default 0.1 */
    double final;       /* linear, cosine: the factor after the last step; default 0 */
} glia_schedule_options;

/* The factor of step `step` (from 0) of a training of `epochs` epochs of `epoch_steps` steps: in the warm-up of w steps
 * (step + 1)/w, then by the kind. NaN when an option is out of range. */
GLIA_API double glia_schedule_factor(glia_schedule_options options, int64_t step, int64_t epoch_steps,
                                     int64_t epochs);

/* --- metrics ----------------------------------------------------------------------------------------------
 */

enum { GLIA_REPORT_CLASSES = 64 }; /* per-class figures are kept for so many classes */

/* What an evaluation found. Fields that do not apply are NaN. Classification figures come from the confusion
 * matrix; a class without examples or predictions counts 0 in averages, as in scikit-learn. */
typedef struct glia_report {
    int64_t examples;
    double loss;
    double accuracy, top_k; /* top_k: the target is among the k most probable (k of the options, default 5) */
    double precision, recall, f1; /* macro averages */
    double precision_micro, recall_micro, f1_micro;
    double precision_weighted, recall_weighted, f1_weighted; /* by the number of true examples */
    double balanced_accuracy, mcc, mean_iou, dice;
    double log_loss,
        perplexity; /* by the probabilities: −log of that of the true class, and e to the power of that */
    double roc_auc, pr_auc;         /* by sorting all scores: see glia_evaluate_options.auc */
    double mae, rmse, mape, r2;     /* regression */
    double naive_mae, mae_to_naive; /* of a series: mae of the seasonal-naive forecast, and mae / naive_mae */
    double label_error_rate;        /* of sequences of labels (ctc): wrong ones by the number of true ones */
    int64_t classes;
    struct {
        double precision, recall, f1;
        int64_t support;
    } of_class[GLIA_REPORT_CLASSES];
    double seconds;
} glia_report;

/* The figure called `name` ("mcc", "rmse", …: docs/model-file.md has all); NaN for one that does not apply or is unknown. */
GLIA_API double glia_report_figure(const glia_report *report, const char *name);

/* Streaming metrics over batches. */
typedef struct glia_metrics glia_metrics;
/* `classes` 0: regression with `outputs` numbers an example; 1: one logit, target 0/1. With classes `outputs` is the number
 * of positions that have one, 0: 1. NULL when out of memory. */
GLIA_API glia_metrics *glia_metrics_new(int64_t classes, int64_t outputs, int top_k,
                                        const glia_allocator *allocator);
GLIA_API void glia_metrics_reset(glia_metrics *metrics);
/* `predictions` f32 [count, positions, classes] or [count, outputs] (logits or probabilities: only their order and sign
 * matter); `targets` i64 [count, positions] or f32 [count, outputs]; `loss_sum`: sum of the positions' losses. Targets
 * GLIA_IGNORED count for nothing. Predictions equal to the maximum are ties, won by the smallest class. Returns
 * GLIA_BAD_DATA for a target out of range. */
GLIA_API GLIA_MUST_CHECK glia_status glia_metrics_add(glia_metrics *metrics, const float *predictions,
                                                      const void *targets, int64_t count, double loss_sum,
                                                      glia_error *err);
GLIA_API glia_report glia_metrics_report(const glia_metrics *metrics);
/* Row-major [classes, classes], true class by row; NULL for regression and above 2,048 classes. Belongs to `metrics`. */
GLIA_API const int64_t *glia_metrics_confusion(const glia_metrics *metrics);
GLIA_API void glia_metrics_free(glia_metrics *metrics);

/* --- training by hand ----------------------------------------------------------------------------------- */

/* A model, a loss and an optimiser, planned for batches: the loop visible. Each batch size is planned once. The model
 * must outlive the trainer. Free with glia_trainer_free. */
typedef struct glia_trainer glia_trainer;

/* What callbacks get. */
typedef struct glia_epoch {
    int64_t epoch, epochs; /* 1-based */
    double loss, accuracy; /* running training figures; accuracy NaN for regression */
    bool validated;
    glia_report validation;
    bool best; /* best so far by the monitor */
    double seconds, examples_per_second;
    const char *
        monitor; /* "val_loss", "kind.val_accuracy": what says so, where the epoch was validated; else NULL */
    double monitored; /* its value */
} glia_epoch;

typedef struct glia_progress {
    int64_t epoch, epochs, batch, batches;
    double loss, accuracy, examples_per_second;
} glia_progress;

/* Settings of fit and of a trainer; zero means default. */
typedef struct glia_fit_options {
    int reserved_;
    /* Default by the targets: softmax_cross_entropy, sigmoid_cross_entropy for one unit, or mse. A name with settings, those
     * of docs/model-file.md: "softmax_cross_entropy label_smoothing=0.1 class_weights=1,4", "focal gamma=3". */
    const char *loss;
    glia_optimizer_options optimizer;
    glia_schedule_options schedule; /* of the learning rate */
    int64_t epochs;                 /* default 1 */
    int64_t batch_size;             /* default 32 */
    int64_t steps_per_epoch;        /* an epoch ends after so many; default: when all examples were seen */
    glia_bool shuffle;              /* default yes */
    glia_augment_options augment;   /* of the training pictures */
    uint64_t seed;                  /* of initialisation, shuffling and dropout; default 0 */
    int threads;                    /* default every core */
    glia_precision precision;       /* default f32; bf16 pays where the processor has matrix units (AMX) */
    /* Bytes that the training may allocate beside the data set; default 0: as many as it takes. Batches that need more are
     * run in pieces, whose gradients are averaged: the same steps but for rounding (which then depends on the limit and on
     * `threads`). What needs more even so is refused with GLIA_OUT_OF_MEMORY and the figure; a network with batch
     * normalisation is not cut. */
    int64_t memory_limit;
    const glia_dataset *validation; /* evaluated after every `validate_every` epochs and the last */
    int64_t validate_every;         /* default 1 */
    struct {
        int64_t patience; /* stop after so many validations without improvement; default 0: never */
        double min_delta; /* how much counts as improvement */
        /* What says which epoch is best: "val_" and the name of a figure (glia_report_figure); default val_loss.
         * Without validation data, the training figure of that name: loss or accuracy. Of one of several losses
         * (those of model files): its name before it, "kind.val_accuracy". */
        const char *monitor;
    } early_stopping; /* with patience, the model has the weights of the best epoch at the end */
    /* Folder (made when absent) for last.safetensors (all that a resumed training needs, written before the first
     * epoch, after every one, and on a stop), best.safetensors (weights) and metrics.jsonl (a line an epoch). What
     * another training left there under these names is replaced. NULL: none. */
    const char *run_dir;
    /* Continue from run_dir/last.safetensors; default no. Interrupted and resumed gives the same bits as uninterrupted.
     * Model, loss, kind of optimiser, batch_size, shuffle, seed, monitor and the number of examples must be those of the
     * checkpoint. The optimiser's settings (learning rate, …), its schedule, epochs, validate_every, patience and min_delta may be
     * others: these count, not the saved ones, and the logger is told what changed. */
    glia_bool resume;
    bool progress;                     /* a progress bar (terminal) or a line an epoch on stderr */
    const volatile sig_atomic_t *stop; /* becomes non-zero (a signal handler): save and stop */
    /* Called after every epoch with its figures; non-zero stops the training. */
    int (*on_epoch)(void *ctx, const glia_epoch *epoch);
    void (*on_batch)(void *ctx, const glia_progress *progress);
    void *ctx;
    const glia_logger *logger;
    glia_error *error; /* filled on failure; may be NULL */
} glia_fit_options;

GLIA_API GLIA_MUST_CHECK glia_status glia_trainer_new(glia_trainer **out, glia_model *model,
                                                      glia_target_kind target, glia_shape target_shape,
                                                      glia_fit_options options, glia_error *err);
/* Forward: predictions and loss of one batch (inputs f32 [count, …]; targets as in glia_batch). Sets *loss to
 * the mean over the batch. */
GLIA_API GLIA_MUST_CHECK glia_status glia_trainer_forward(glia_trainer *trainer, const float *inputs,
                                                          const void *targets, int64_t count, double *loss,
                                                          glia_error *err);
/* Forward and backward: the gradients of the mean loss by every parameter. Planned as one program. GLIA_NOT_FINITE,
 * naming the step and the first bad node, when loss or gradient is NaN or infinite. */
GLIA_API GLIA_MUST_CHECK glia_status glia_trainer_backward(glia_trainer *trainer, const float *inputs,
                                                           const void *targets, int64_t count, double *loss,
                                                           glia_error *err);
/* θ ← θ − update: one step of the optimiser with the last gradients; state (running statistics) becomes what the last
 * backward found. */
GLIA_API void glia_trainer_set_learning_rate(glia_trainer *trainer,
                                             double rate); /* from the next update on */
GLIA_API GLIA_MUST_CHECK glia_status glia_trainer_update(glia_trainer *trainer, glia_error *err);
/* The gradient of parameter `param`; data NULL when there is none (state). */
GLIA_API glia_tensor glia_trainer_gradient(const glia_trainer *trainer, size_t param);
GLIA_API glia_tensor glia_trainer_predictions(const glia_trainer *trainer); /* of the last batch */
/* The states of stateful layers are 0 again: those that go on from backward to backward, and those from forward to
 * forward. */
GLIA_API void glia_trainer_reset_states(glia_trainer *trainer);
GLIA_API void glia_trainer_free(glia_trainer *trainer);

/* --- the loop ------------------------------------------------------------------------------------------- */

/* Trains `model` on `train`. Weights that are there already (loaded, or of an earlier fit) are trained on; else they
 * are initialised from the seed. A step that makes NaN or infinity gives GLIA_NOT_FINITE: the message names step and
 * node, and the model has the weights of the last complete epoch again. After other failures (a full disk, …) it has
 * those of the last step. A loss that does not suit the last layer (softmax before logits) is a warning to the
 * logger. */
GLIA_API GLIA_MUST_CHECK glia_status glia_fit_with(glia_model *model, const glia_dataset *train,
                                                   glia_fit_options options);
#define glia_fit(model, train, ...) glia_fit_with(model, train, GLIA_OPTIONS(glia_fit_options, __VA_ARGS__))

/* What a training allocates, in bytes, beside the data set. */
typedef struct glia_fit_memory {
    size_t weights; /* and the copies of those of the last whole epoch and, with patience, of the best one */
    size_t gradients; /* and the optimiser's moments */
    size_t batches;   /* gathered ahead, of training and validation */
    size_t block;     /* activations and workspaces of the largest program */
    size_t others;    /* graph, plans, metrics */
    size_t total;
    int64_t piece, validation_piece; /* examples run at once: batch_size, or fewer to obey memory_limit */
} glia_fit_memory;
/* What glia_fit with these options will need, before anything is trained. */
GLIA_API GLIA_MUST_CHECK glia_status glia_fit_plan(glia_model *model, const glia_dataset *train,
                                                   glia_fit_options options, glia_fit_memory *out);

typedef struct glia_evaluate_options {
    int reserved_;
    const char *loss;   /* default as in fit */
    int64_t batch_size; /* default 256 */
    int threads;
    glia_precision precision; /* default f32 */
    int64_t memory_limit;     /* as in fit */
    int top_k;                /* default 5 */
    glia_bool
        auc; /* roc_auc and pr_auc, for which every score is kept: default where there are 4 million or fewer */
    /* Receives every batch's predictions (logits or probabilities as the model gives them). */
    void (*on_batch)(void *ctx, const glia_batch *batch, const float *predictions);
    void *ctx;
    glia_metrics *
        *metrics; /* receives the metrics (confusion matrix); the caller frees it. NULL: not wanted */
    glia_error *error;
} glia_evaluate_options;
/* On failure all figures are NaN, examples 0, and options.error says why. */
GLIA_API glia_report glia_evaluate_with(glia_model *model, const glia_dataset *data,
                                        glia_evaluate_options options);
#define glia_evaluate(model, data, ...) \
    glia_evaluate_with(model, data, GLIA_OPTIONS(glia_evaluate_options, __VA_ARGS__))

/* Outputs of the model for inputs [count, …] (f32) to `out` [count, output…] (f32, a tensor of the caller).
 * When `probabilities` is set and the last op gives logits for classes, softmax (or sigmoid for one unit) is
 * applied. */
GLIA_API GLIA_MUST_CHECK glia_status glia_predict(glia_model *model, const glia_tensor *inputs,
                                                  bool probabilities, glia_tensor *out, glia_error *err);

/* The labels that scores [steps, classes] of one example say, as the layer ctc is trained: of each step the best class (the
 * best path, greedily), repeated ones taken together, blanks left out. `labels` has room for `steps`; returns how many there are.
 * `log_probability` (NULL allowed): of that path, by softmax. */
GLIA_API int64_t glia_ctc_decode(const float *logits, int64_t steps, int64_t classes, int64_t blank,
                                 int64_t *labels, double *log_probability);

/* glia_predict one call after another: the network is planned once for each count, and stateful layers go on: row i of a call
 * continues row i of the one before. With a network that takes one step, [1, numbers], that is a recurrent network step by
 * step. The weights are those that the model has at the first call; the model must outlive the predictor. */
typedef struct glia_predictor glia_predictor;
GLIA_API GLIA_MUST_CHECK glia_status glia_predictor_new(glia_predictor **out, glia_model *model, int threads,
                                                        glia_error *err);
GLIA_API GLIA_MUST_CHECK glia_status glia_predictor_run(glia_predictor *predictor, const glia_tensor *inputs,
                                                        bool probabilities, glia_tensor *out,
                                                        glia_error *err);
GLIA_API void glia_predictor_reset_states(glia_predictor *predictor); /* the states are 0 again */
GLIA_API void glia_predictor_free(glia_predictor *predictor);

#ifdef __cplusplus
}
#endif
#endif

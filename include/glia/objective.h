/* objective.h: training of models with several inputs, outputs and losses, on arrays by name.
 *
 *     glia_objective *o;
 *     glia_objective_new(&o, model, (glia_objective_options){.optimizer = glia_adam()}, &err);
 *     glia_objective_add(o, age, "age", (glia_objective_loss_options){.loss = "mse", .weight = 0.1}, &err);
 *     glia_objective_add(o, kind, "kind", (glia_objective_loss_options){.classes = 3}, &err);
 *     glia_named_tensor batch[] = {{"image", image}, {"meta", meta}, {"age", ages}, {"kind", kinds}};
 *     glia_objective_step(o, batch, 4, &loss, &err);
 */
#ifndef GLIA_OBJECTIVE_H
#define GLIA_OBJECTIVE_H

#include "glia/io.h"
#include "glia/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glia_objective glia_objective;

typedef struct glia_objective_options {
    int reserved_;
    glia_optimizer_options optimizer; /* default adam */
    glia_precision precision;
    int threads;   /* default every core */
    uint64_t seed; /* of initial weights, unless the model has some, and of dropout */
} glia_objective_options;

/* The model must outlive it, and gets weights where it has none. Free with glia_objective_free. */
GLIA_API GLIA_MUST_CHECK glia_status glia_objective_new(glia_objective **out, glia_model *model,
                                                        glia_objective_options options, glia_error *err);

typedef struct glia_objective_loss_options {
    int reserved_;
    const char
        *loss; /* a word of the model file; default softmax_cross_entropy for classes, mse for numbers */
    int64_t classes;    /* targets are class numbers, i64, so many; 0: numbers, f32, shaped as the output */
    glia_shape targets; /* classes: the shape of one example's, where it has several; default one number */
    double weight;      /* of the loss in the sum that is minimised; default 1 */
} glia_objective_loss_options;

/* Adds weight·loss(output, the array called `name`). At most 16, before the first step. */
GLIA_API GLIA_MUST_CHECK glia_status glia_objective_add(glia_objective *objective, glia_value *output,
                                                        const char *name, glia_objective_loss_options options,
                                                        glia_error *err);

/* One step of training on a batch: an array for each input of the model and for the targets of each loss, by name and in any
 * order, all with as many examples. *loss (NULL allowed) becomes the weighted sum before the update. GLIA_NOT_FINITE when it,
 * or the gradient, is not finite: nothing is updated then. */
GLIA_API GLIA_MUST_CHECK glia_status glia_objective_step(glia_objective *objective,
                                                         const glia_named_tensor *arrays, size_t count,
                                                         double *loss, glia_error *err);
/* The same sum outside of training: nothing changes. */
GLIA_API GLIA_MUST_CHECK glia_status glia_objective_evaluate(glia_objective *objective,
                                                             const glia_named_tensor *arrays, size_t count,
                                                             double *loss, glia_error *err);
/* Of the last step or evaluation: the loss called `name` (NaN: there is none), and what its output was, valid until the next
 * one. */
GLIA_API double glia_objective_loss(const glia_objective *objective, const char *name);
GLIA_API glia_tensor glia_objective_output(const glia_objective *objective, const char *name);
GLIA_API void glia_objective_free(glia_objective *objective);

#ifdef __cplusplus
}
#endif
#endif

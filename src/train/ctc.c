/* ctc.c: the labels that scores of steps say, for models that were trained with the layer ctc. */

#include <math.h>

#include "glia/train.h"
#include "train/model.h"

int64_t glia_ctc_decode(const float *logits, int64_t steps, int64_t classes, int64_t blank, int64_t *labels,
                        double *log_probability) {
    int64_t count = 0, before = blank;
    double sum_of_logs = 0;
    for (int64_t t = 0; t < steps; t++) {
        const float *x = logits + t * classes;
        int64_t best = 0;
        double sum = 0;
        for (int64_t k = 1; k < classes; k++)
            if (x[k] > x[best]) best = k;
        for (int64_t k = 0; k < classes; k++) sum += exp((double)x[k] - (double)x[best]);
        sum_of_logs -= log(sum);
        if (best != before && best != blank) labels[count++] = best;
        before = best;
    }
    if (log_probability) *log_probability = sum_of_logs;
    return count;
}

void glia__model_align(glia_model *model, const glia_value *logits, const glia_value *lengths,
                       int64_t blank) {
    const glia_aligned aligned = {logits, lengths, blank, model->aligned};
    const glia_aligned *copy = glia__arena_copy(&model->arena, &aligned, sizeof aligned);
    if (copy)
        model->aligned = copy;
    else
        (void)glia_graph_fail(model->graph, GLIA_OUT_OF_MEMORY, NULL, "out of memory");
}

const glia_aligned *glia__model_aligned(const glia_model *model, const glia_value *logits) {
    const glia_aligned *a = model->aligned;
    while (a && a->logits != logits) a = a->before;
    return a;
}

/* ctc.c: the labels that scores of steps say, and how many of them are wrong, for models that are trained with the layer ctc. */

#include "train/ctc.h"

#include <math.h>

#include "glia/train.h"

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

/* --- where they lie --------------------------------------------------------------------------------------- */

void glia__model_align(glia_model *model, glia_aligned aligned) {
    aligned.before = model->aligned;
    const glia_aligned *copy = glia__arena_copy(&model->arena, &aligned, sizeof aligned);
    if (copy)
        model->aligned = copy;
    else
        (void)glia_graph_fail(model->graph, GLIA_OUT_OF_MEMORY, NULL, "out of memory");
}

const glia_aligned *glia__model_aligned(const glia_model *model, const glia_value *value) {
    const glia_aligned *a = model->aligned;
    while (a && a->logits != value && a->loss != value) a = a->before;
    return a;
}

/* Where the numbers of an input begin in the row of an example; -1: `value` is none. */
static int64_t input_at(const glia_model *model, const glia_value *value) {
    int64_t at = 0;
    for (int i = 0; i < model->n_inputs; i++) {
        if (model->inputs[i] == value) return at;
        const glia_shape shape = glia_value_shape(model->inputs[i]);
        int64_t elems = 1;
        for (int d = 1; d < shape.rank; d++) elems *= shape.dim[d];
        at += elems;
    }
    return -1;
}

bool glia__label_places(const glia_model *model, const glia_value *value, glia_label_places *out) {
    const glia_aligned *a = glia__model_aligned(model, value);
    if (!a) return false;
    const glia_shape logits = glia_value_shape(a->logits), labels = glia_value_shape(a->labels);
    *out = (glia_label_places){.logits_at = -1,
                               .steps = logits.dim[1],
                               .classes = logits.dim[2],
                               .blank = a->blank,
                               .labels_at = input_at(model, a->labels),
                               .most_labels = labels.dim[1],
                               .lengths_at = input_at(model, a->lengths)};
    for (int i = 0; i < model->n_parts; i++)
        if (model->parts[i].shown && model->parts[i].value == a->logits) out->logits_at = model->parts[i].at;
    return out->logits_at >= 0;
}

int64_t glia__labels_read(const glia_label_places *p, const float *inputs, const float *outputs,
                          int64_t *labels, double *log_probability) {
    const int64_t said = p->lengths_at < 0 ? 0 : (int64_t)inputs[p->lengths_at];
    const int64_t steps = said > 0 ? GLIA_MIN(said, p->steps) : p->steps;
    return glia_ctc_decode(outputs + p->logits_at, steps, p->classes, p->blank, labels, log_probability);
}

/* --- how many are wrong ----------------------------------------------------------------------------------- */

int64_t glia__labels_room(const glia_label_places *p) {
    return p->steps + p->most_labels + 1;
}

int64_t glia__labels_compare(const glia_label_places *p, const float *inputs, const float *outputs,
                             int64_t *room, int64_t *count) {
    int64_t *row = room + p->steps, found = glia__labels_read(p, inputs, outputs, room, NULL);
    const float *labels = inputs + p->labels_at;
    for (*count = 0; *count < p->most_labels && labels[*count] >= 0;) ++*count;
    for (int64_t j = 0; j <= *count; j++) row[j] = j; /* from nothing: as many as there are */
    for (int64_t i = 0; i < found; i++) {
        int64_t diagonal = row[0];
        row[0] = i + 1;
        for (int64_t j = 1; j <= *count; j++) {
            const int64_t changed = diagonal + (room[i] != (int64_t)labels[j - 1]);
            diagonal = row[j];
            row[j] = GLIA_MIN(changed, GLIA_MIN(row[j - 1], row[j]) + 1);
        }
    }
    return row[*count];
}

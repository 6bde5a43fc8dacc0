/* ctc.h: models whose steps are compared with labels by the layer ctc. */
#ifndef GLIA_TRAIN_CTC_H
#define GLIA_TRAIN_CTC_H

#include "train/model.h"

/* Where scores, labels and lengths lie among the numbers of an example: scores in the output, the others in the inputs. */
typedef struct glia_label_places {
    int64_t logits_at, steps, classes, blank;
    int64_t labels_at, most_labels; /* -1: labels are no input */
    int64_t lengths_at;             /* -1: every step counts */
} glia_label_places;

/* Those of the layer ctc whose scores, or whose loss, `value` is; false when there is none, or the model does not give its
 * scores. */
bool glia__label_places(const glia_model *model, const glia_value *value, glia_label_places *out);
/* The labels that an example says, to room for `steps`; glia_ctc_decode tells the rest. A length of 0, that of an array which
 * is not there, means all steps. */
int64_t glia__labels_read(const glia_label_places *places, const float *inputs, const float *outputs,
                          int64_t *labels, double *log_probability);
/* How many labels would have to be put in, left out or changed (Levenshtein's distance); *count: true ones. `room`:
 * glia__labels_room numbers. */
int64_t glia__labels_compare(const glia_label_places *places, const float *inputs, const float *outputs,
                             int64_t *room, int64_t *count);
int64_t glia__labels_room(const glia_label_places *places);

#endif

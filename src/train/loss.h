/* loss.h: what a loss is: one GLIA_LOSS block in src/train/losses.c. */
#ifndef GLIA_TRAIN_LOSS_H
#define GLIA_TRAIN_LOSS_H

#include "glia/data.h"
#include "glia/graph.h"

typedef struct glia_loss {
    const char *name, *doc;
    bool wants_logits; /* predictions are logits: a softmax or sigmoid before it is a mistake to report */
    const char *wrong_activation; /* the op that must not come before it: "softmax", "sigmoid"; NULL: any */
    bool classes;                 /* targets are classes (i64 [N]); else arrays (f32 [N, …]) */
    /* The scalar mean loss over the batch. */
    glia_value *(*build)(glia_value *prediction, glia_value *target);
} glia_loss;

#define GLIA_LOSS(loss_name) const glia_loss glia__loss_##loss_name

extern const glia_loss *const glia__losses[];
extern const size_t glia__losses_count;
const glia_loss *glia__loss_find(const char *name);

#endif

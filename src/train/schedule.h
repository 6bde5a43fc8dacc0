/* schedule.h (internal): how the learning rate changes during a training. */
#ifndef GLIA_TRAIN_SCHEDULE_H
#define GLIA_TRAIN_SCHEDULE_H

#include "core/field.h"
#include "glia/train.h"

#define GLIA_SCHEDULES "constant|step|linear|cosine"

/* The numbers of glia_schedule_options, which lies at `base` of a struct: ITEM is applied to each field. */
#define GLIA_SCHEDULE_FIELDS(ITEM, base)                                                                   \
    ITEM(GLIA_SCHEDULE_FIELD(                                                                              \
        base, warmup, "0", 0, 1e9,                                                                         \
        "epochs at the start, 0.5 is half of one, in which the rate rises in a straight line"))            \
    ITEM(GLIA_SCHEDULE_FIELD(base, step_epochs, "30", 1e-9, 1e9,                                           \
                             "step: epochs between two falls of the rate"))                                \
    ITEM(GLIA_SCHEDULE_FIELD(base, gamma, "0.1", 1e-9, 1, "step: what the rate is multiplied by at each")) \
    ITEM(GLIA_SCHEDULE_FIELD(base, final, "0", 0, 1,                                                       \
                             "linear, cosine: share of the rate that is left after the last step"))
#define GLIA_SCHEDULE_FIELD(base, member, initial_text, low, high, text)                                  \
    {                                                                                                     \
        .name = #member, .kind = GLIA_FIELD_FLOAT,                                                        \
        .offset = (base) + offsetof(glia_schedule_options, member), .initial = initial_text, .doc = text, \
        .min = low, .max = high                                                                           \
    }

/* Fills the defaults, and checks words and numbers. */
GLIA_MUST_CHECK glia_status glia__schedule_resolve(glia_schedule_options *options, int64_t epochs,
                                                   glia_error *err);

#endif

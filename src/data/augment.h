/* augment.h: pictures changed at random while training. */
#ifndef GLIA_DATA_AUGMENT_H
#define GLIA_DATA_AUGMENT_H

#include "glia/data.h"
#include "glia/random.h"

/* Whether the options change anything; they are checked against the shape of an example first. */
GLIA_MUST_CHECK glia_status glia__augment_check(const glia_augment_options *options,
                                                const glia_dataset_info *info, bool *any, glia_error *err);
/* Changes one example [channels, height, width] in place, by number `index` of `random`. `scratch` has room for it. What
 * moves in at the edges is 0 in the file's numbers: a black pixel. */
void glia__augment(const glia_augment_options *options, const glia_dataset_info *info, glia_random random,
                   uint64_t index, float *example, float *scratch);

#endif

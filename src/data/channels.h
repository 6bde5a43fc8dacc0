/* channels.h: where the channels of an example lie: pictures [C, H, W] have them first, series [T, F] last. */
#ifndef GLIA_DATA_CHANNELS_H
#define GLIA_DATA_CHANNELS_H

#include "glia/data.h"

/* Number i of channel c is at (o·count + c)·inner + i, for each o below outer. */
typedef struct glia_channels {
    int64_t outer, count, inner;
} glia_channels;

static inline glia_channels glia__channels(const glia_shape *example, int axis) {
    glia_channels c = {1, 1, 1};
    for (int d = 0; d < example->rank; d++)
        *(d < axis ? &c.outer : d == axis ? &c.count : &c.inner) *= example->dim[d];
    return c;
}

#endif

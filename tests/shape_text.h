/* shape_text.h: the shape of a value as a text, to compare with what it should be. */
#ifndef GLIA_TESTS_SHAPE_TEXT_H
#define GLIA_TESTS_SHAPE_TEXT_H

#include "glia/glia.h"

/* "N×4×9"; "NULL" for none. Up to four of them at a time. */
static inline const char *shape_of(const glia_value *value) {
    static char text[4][128];
    static int next;
    glia_shape shape = glia_value_shape(value);
    next = (next + 1) % 4;
    return value ? glia_shape_text(&shape, text[next], sizeof text[0]) : "NULL";
}

#endif

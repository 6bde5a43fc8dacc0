/* file.h: the file that is being written, between file.c, test.c and head.c. */
#ifndef GLIA_EMIT_FILE_H
#define GLIA_EMIT_FILE_H

#include "emit/emit.h"

/* The last dense layer, which learns (head.c). */
typedef struct emit_head {
    int function; /* of the plan */
    int64_t inputs, units;
    bool bias;
    int x, w, b;        /* arrays; b -1: none */
    const char *result; /* what is done to its results: "softmax", "sigmoid" or "" */
} emit_head;

typedef struct emit_file {
    emit_plan *plan;
    const glia_emit_options *options;
    char upper[64]; /* the prefix in capitals */
    glia_text *source, *header, *weights;
    size_t ram, flash, weights_bytes;
    int64_t channels;    /* of the table of bytes */
    size_t input_offset; /* in the arena, for bytes */
    emit_head head;
} emit_file;

bool glia__emit_on_stack(const emit_file *f);
/* "int NAME_predict_r(NAME_arena *arena, const float in[NAME_IN], float out[NAME_OUT])". */
void glia__emit_prototype(const emit_file *f, const char *function, bool arena, bool bytes, glia_text *out);
/* The list within the brackets; `names_only`: as for a call. */
void glia__emit_parameters(const emit_file *f, bool arena, bool bytes, bool names_only, glia_text *out);
/* An array as an argument of a call in predict_r. */
void glia__emit_array_text(const emit_file *f, const emit_array *a, glia_text *out);
void glia__emit_call(const emit_file *f, const emit_function *function, glia_text *out);
/* What a raw byte of a channel becomes. */
float glia__emit_byte(const glia_emit_options *o, int64_t channel, int byte);

/* test.c: predictions by Glia of made-up inputs, and a main that compares. */
glia_status glia__emit_test(const emit_file *f, glia_error *err);
/* head.c */
glia_status glia__emit_head_find(emit_file *f, glia_error *err);
void glia__emit_head_declare(const emit_file *f);
void glia__emit_head(const emit_file *f);

#endif

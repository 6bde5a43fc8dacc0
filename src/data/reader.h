/* reader.h: what a data reader is: one GLIA_READER block in src/data/, for one kind of source ("idx:…"). */
#ifndef GLIA_DATA_READER_H
#define GLIA_DATA_READER_H

#include "core/mem.h"
#include "glia/data.h"

/* What a reader fills. Arrays belong to `owner` tensors and move to the data set. */
typedef struct glia_table {
    glia_tensor inputs;  /* [count, …], any dtype but i64/bool */
    glia_tensor targets; /* dtype I64 [count] for classes, F32 [count, …] for values, data NULL for none */
    int64_t classes;
    char **class_names, **feature_names; /* from glia__alloc'ed arena below; NULL: none */
    const char *name;     /* what was really read, in the arena; NULL: the source's own words */
    double default_scale; /* 1/255 for images, else 1 */
    glia_arena arena;     /* names */
} glia_table;

typedef struct glia_reader {
    const char *name; /* the word before ':' */
    const char *doc;
    const char *example;
    glia_status (*read)(glia_table *out, const char *source, const glia_dataset_options *options,
                        glia_error *err);
} glia_reader;

#define GLIA_READER(reader_name) const glia_reader glia__reader_##reader_name

extern const glia_reader *const glia__readers[];
extern const size_t glia__readers_count;

void glia__table_free(glia_table *table);

#endif

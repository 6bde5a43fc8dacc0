/* reader.h: what a data reader is: one GLIA_READER block in src/data/, for one kind of source ("idx:…"). */
#ifndef GLIA_DATA_READER_H
#define GLIA_DATA_READER_H

#include "core/mem.h"
#include "data/listing.h"
#include "data/vocabulary.h"
#include "glia/data.h"

/* Examples that are windows of one long sequence, and may overlap: those of a text, or of a series. They follow one another in
 * time, so that such a table is split at a place, not at random. */
typedef struct glia_windows {
    glia_tensor inputs,
        targets; /* the sequences; `inputs` and `targets` of the table have no memory of their own */
    int64_t input_step, target_step; /* numbers from one example to the next; 0: the table has no windows */
    int64_t reach;  /* examples i and i + reach share nothing that is to be predicted, nor do later ones */
    int64_t apart;  /* of a part to judge on, only every so manyth example is taken */
    int64_t season; /* of a series: steps after which it is about the same again; 0: no series */
} glia_windows;

typedef struct glia_table glia_table;

/* What a reader fills. Arrays belong to `owner` tensors and move to the data set. */
struct glia_table {
    glia_tensor inputs; /* [count, …], any dtype but i64/bool */
    glia_tensor targets; /* dtype I64 [count, …] for classes, F32 [count, …] for values, data NULL for none */
    glia_tensor weights; /* of examples, F32 [count]; data NULL for none */
    int64_t classes;
    bool ignores;                        /* some labels are GLIA_IGNORED: found by glia__dataset_new */
    char **class_names, **feature_names; /* from glia__alloc'ed arena below; NULL: none */
    glia_array_info *input_arrays, *target_arrays; /* in the arena; NULL: one of each */
    int n_input_arrays, n_target_arrays;
    glia_windows windows;
    glia_token_kind tokens;        /* of what the inputs (I32) are numbers, in `vocabulary` */
    bool predicts_tokens;          /* and the targets */
    int64_t most_words, min_count; /* words: what a vocabulary takes */
    glia_vocabulary vocabulary;    /* of all that was read; initialised where there are tokens */
    bool may_miss;           /* NaN among the inputs (f32, [count, features]) stands for a missing value */
    const char *name;        /* what was really read, in the arena; NULL: the source's own words */
    const char *in_place_of; /* the named set that was asked for but not to be had (static), or NULL */
    double default_scale;    /* 1/255 for images, else 1 */
    int channel_axis;        /* dimension of an example that channels lie along */
    glia_arena arena;        /* names */
};

typedef struct glia_reader {
    const char *name; /* the word before ':' */
    const char *doc;
    const char *example;
    const char *files[3]; /* what the model file calls its files, in order: {idx: {images: a, labels: b}} */
    glia_status (*read)(glia_table *out, const char *source, const glia_dataset_options *options,
                        glia_error *err);
} glia_reader;

#define GLIA_READER(reader_name) const glia_reader glia__reader_##reader_name

extern const glia_reader *const glia__readers[];
extern const size_t glia__readers_count;

void glia__table_free(glia_table *table);
/* Folders whose names are the classes; false when out of memory. */
bool glia__table_name_classes(glia_table *table, const glia_listing *folders);
/* Copies labels of an integer dtype to table->targets as i64; where table->classes is 0 it becomes
 * the largest label plus one, within reason: labels beyond it are found out of range later. */
GLIA_MUST_CHECK glia_status glia__table_set_labels(glia_table *table, const glia_tensor *labels,
                                                   const glia_allocator *allocator, glia_error *err);
/* Reads IDX files: what "idx:inputs,targets" does; `targets` "": none. */
GLIA_MUST_CHECK glia_status glia__table_read_idx(glia_table *table, const char *inputs, const char *targets,
                                                 const glia_dataset_options *options, glia_error *err);
/* What "folder:source" does. */
GLIA_MUST_CHECK glia_status glia__table_read_folder(glia_table *table, const char *source,
                                                    const glia_dataset_options *options, glia_error *err);
/* Records of CIFAR-10: of a file, or with `part` those of an archive's files whose names begin with it. */
GLIA_MUST_CHECK glia_status glia__table_read_cifar(glia_table *table, const char *path, const char *part,
                                                   const glia_dataset_options *options, glia_error *err);

/* The arrays that options->inputs and options->targets name, of the file at `path`, laid one behind the other. */
GLIA_MUST_CHECK glia_status glia__table_read_named(glia_table *table, const char *path,
                                                   const glia_dataset_options *options, glia_error *err);

/* What "text:path" does. */
GLIA_MUST_CHECK glia_status glia__table_read_text(glia_table *table, const char *path,
                                                  const glia_dataset_options *options, glia_error *err);
/* An error with the line, counted from `line` on, unless the text is UTF-8. */
GLIA_MUST_CHECK glia_status glia__text_check(const char *path, const char *text, size_t bytes, int64_t line,
                                             glia_error *err);
GLIA_MUST_CHECK glia_status glia__text_options_check(const glia_text_options *options, glia_error *err);
/* The words of a text by their numbers, which the vocabulary grows by: at most `length`; the rest of the row is padding. */
GLIA_MUST_CHECK glia_status glia__text_number(const char *text, const char *end, glia_vocabulary *vocabulary,
                                              int32_t *row, int64_t length, glia_error *err);
/* A vocabulary for the table, of words or characters; of words with the special ones in it. */
GLIA_MUST_CHECK glia_status glia__table_begin_tokens(glia_table *table, bool words,
                                                     const glia_dataset_options *options, glia_error *err);

#endif

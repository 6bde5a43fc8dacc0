/* data.h: examples to train on: sources, splits, and batches.
 *
 * A data set is a table of examples. Each example has an input (an array of fixed shape, e.g. 1×28×28) and a
 * target: a class number, an array of class numbers (one a position: a token, a pixel), or an array of numbers. Data stays in its file's dtype; `scale`, `mean` and `std`
 * are applied when a batch is gathered: input = (raw · scale − mean[c]) / std[c]. */
#ifndef GLIA_DATA_H
#define GLIA_DATA_H

#include "glia/log.h"
#include "glia/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum glia_target_kind {
    GLIA_TARGET_NONE,  /* unlabelled */
    GLIA_TARGET_CLASS, /* i64 in [0, classes), or GLIA_IGNORED where positions have classes of their own */
    GLIA_TARGET_VALUES /* f32 array */
} glia_target_kind;

/* The class of a position that counts for nothing, neither in the loss nor in figures: padding, for example. */
enum { GLIA_IGNORED = -100 };

/* One of several arrays of a data set. */
typedef struct glia_array_info {
    const char *name;
    glia_shape shape; /* of one example */
    bool whole;       /* whole numbers: as targets they are classes */
    int64_t classes;  /* the largest of them plus one */
} glia_array_info;

/* What a data set holds. Strings and arrays belong to the data set. */
typedef struct glia_dataset_info {
    const char *name; /* "mnist:train": what was really read */
    const char *
        in_place_of; /* "mnist" when that was asked for, but without a network another set was read; or NULL */
    int64_t count;   /* examples */
    glia_shape input_shape; /* of one example, channels first: {1, 28, 28} */
    glia_target_kind target;
    glia_shape target_shape; /* of one example; rank 0 for a class or a single number, {64} for 64 classes */
    bool ignores;            /* some classes are GLIA_IGNORED */
    int64_t classes;         /* 0 unless GLIA_TARGET_CLASS */
    const char *const *class_names;   /* `classes` names, or NULL */
    const char *const *feature_names; /* names of a table's columns (input_shape.dim[0] of them), or NULL */
    bool weighted;                    /* examples count differently: glia_dataset_set_weights */
    double scale;                     /* 1 when raw */
    const float *mean, *std;          /* per channel, or NULL */
    int channel_axis; /* dimension of input_shape that channels lie along: 0, of a series [steps, columns] 1 */
    /* Several arrays by name, in their order: their numbers of an example lie one behind the other in its inputs and in its
     * targets, which are f32. 0: there is one of each. */
    const glia_array_info *input_arrays, *target_arrays;
    int n_input_arrays, n_target_arrays;
    int64_t season;                /* of a series: see glia_series_options; 0: no series */
    const char *const *vocabulary; /* the tokens that inputs are numbers of, or NULL */
    int64_t n_vocabulary;
    const float *fill; /* per feature of a table: what a missing value becomes (missing = "mean"), or NULL */
} glia_dataset_info;

/* How texts become numbers; zero means default. */
typedef struct glia_text_options {
    int reserved_;
    const char *tokens; /* text: "characters" (default) or "words" */
    const char *
        column; /* text_table: the column of the text, by name or number; default: the one beside the label */
    int64_t
        length; /* tokens of an example; default 64. text_table: longer texts are cut, shorter ones padded */
    int64_t stride;     /* text: tokens from the start of one example to that of the next; default length */
    int64_t vocabulary; /* words: most of them, the most frequent, with <pad> and <unk>; default 20000 */
    int64_t min_count;  /* words that are rarer become <unk>; default 2 */
} glia_text_options;

/* How a table becomes a series: its rows follow one another in time; zero means default. An example is `length` rows, its
 * targets are the `horizon` values of the label's column that follow. */
typedef struct glia_series_options {
    int reserved_;
    const char
        *features;  /* columns that the network sees, "Temp,Rain", by name or number; default: all whose first
                           * cell is a number, that of the label too */
    int64_t length; /* default 24 */
    int64_t horizon; /* default 1 */
    int64_t stride;  /* rows from the start of one example to that of the next; default 1 */
    int64_t
        season; /* rows after which the series is about the same again: that of the forecast that figures are
                           * compared with (seasonal-naive); default 1: the last value */
} glia_series_options;

/* How glia_dataset_open_with reads; zero means default. Strings are borrowed for the call. */
typedef struct glia_dataset_options {
    int reserved_;
    double scale;        /* multiplies inputs; default 1/255 for u8 images, else 1 */
    glia_bool normalize; /* subtract the mean and divide by the standard deviation of each channel or column,
                          * measured on this data set; default no */
    const char *label;   /* CSV: the target column, by name or 1-based number or "last" (default) or "none" */
    const char *
        weight; /* CSV: the column of the examples' weights (glia_dataset_set_weights), as label; default none */
    const char *target; /* CSV: "class" (default) or "values": what the label column holds */
    const char
        *missing; /* CSV: "error" (default), "mean", series: "previous": what an empty or '?' cell becomes */
    const float
        *fill; /* CSV, missing = "mean": another data set's `fill` in place of this table's own means, so
                          * that data to predict is treated as the training data were; used when n_fill is the
                          * number of features */
    int64_t n_fill;
    const char *inputs,
        *targets; /* NPZ: the names of several arrays, "image,meta", which become one input and one
                                   * target (see glia_array_info); default: one of each, which the source names */
    glia_text_options text;
    glia_series_options series;
    int64_t limit;             /* read at most so many examples; default all */
    const char *data_dir;      /* folder of data sets; default $GLIA_DATA, then the user's cache */
    glia_bool download;        /* named sets: fetch when absent; default yes */
    const glia_logger *logger; /* progress of downloads; NULL: silent */
    const glia_allocator *allocator;
} glia_dataset_options;

/* Opens a data set by its source:
 *   "mnist:train" "mnist:test" "fashion_mnist:train"   a named set (see glia_dataset_named)
 *   "idx:images.gz,labels.gz"                          IDX files, gzip or not
 *   "csv:table.csv"                                    a table with or without a header
 *   "series:temperatures.csv"                          windows of a table whose rows follow one another in time
 *   "text:input.txt"                                   windows of a text, to predict each next token
 *   "text_table:reviews.tsv"                           a table of texts and their labels
 *   "npy:inputs.npy,targets.npy"                       NumPy arrays; targets may be left out
 *   "npz:mnist.npz,x_test,y_test"                      NumPy's archive of arrays; names may be left out
 *   "folder:pictures/train"                            PNG and JPEG files in a folder a class, or an archive of such
 *   "cifar:data_batch_1.bin"                           the binary format of CIFAR-10, gzip or not
 * Free with glia_dataset_free. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_open_with(glia_dataset **out, const char *source,
                                                            glia_dataset_options options, glia_error *err);
/* The same with default options, as an expression: NULL on failure. */
GLIA_API glia_dataset *glia_dataset_open(const char *source, glia_error *err);
/* Wraps arrays of the caller (borrowed; they must outlive the data set). `inputs` is [count, …]; `targets`
 * NULL, i64/i32/u8 [count] or [count, …] for classes, or f32 [count, …]. `classes` 0: the largest label plus one. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_wrap(glia_dataset **out, const glia_tensor *inputs,
                                                       const glia_tensor *targets, int64_t classes,
                                                       glia_error *err);
GLIA_API void glia_dataset_free(glia_dataset *dataset);

/* Data sets are reference counted: parts share their parent's data and keep it alive. */

/* A part with the examples `order[0 … count-1]` of `dataset`. Copies `order`. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_take(glia_dataset **out, const glia_dataset *dataset,
                                                       const int64_t *order, int64_t count, glia_error *err);
/* Cuts off `second` of the examples, chosen by `seed`, as *part; the others become *rest. `second` below 1 is
 * a fraction, else a count. Windows of a text or series are not drawn: the last become the part, those that reach into it
 * are left out. `stratified`: every class gives the same share (within one example). */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_split(glia_dataset **rest, glia_dataset **part,
                                                        const glia_dataset *dataset, double second,
                                                        bool stratified, uint64_t seed, glia_error *err);
GLIA_API const glia_dataset_info *glia_dataset_get_info(const glia_dataset *dataset);
/* Gathers examples `order[0 … count-1]` (NULL: 0 … count-1) as a batch: `inputs` f32 [count, input_shape…];
 * `targets` i64 or f32 [count, target_shape…] (NULL: not wanted). */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_gather(const glia_dataset *dataset, const int64_t *order,
                                                         int64_t count, float *inputs, void *targets,
                                                         glia_error *err);
/* Uses these instead of the data set's own scale and normalisation (per channel, copied; NULL: none), so that
 * validation and test data are treated as the training data were. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_set_transform(glia_dataset *dataset, double scale,
                                                                const float *mean, const float *std,
                                                                glia_error *err);

/* What the missing values of a table (missing = "mean") become: `fill`, one number a feature, unscaled (copied); NULL:
 * the means of this data set's own examples. After a split, call it with NULL for the training part and with that
 * part's `fill` for the others, so that training learns nothing of them. Does nothing where none can be missing. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_set_fill(glia_dataset *dataset, const float *fill,
                                                           glia_error *err);

/* How much each example counts in the loss, whose mean is Σ weight·loss / Σ weight: 2 counts as two examples, 0 for nothing.
 * `weights` [count] of finite numbers of at least 0 (copied; parts that are taken later have theirs); NULL: all the same. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_set_weights(glia_dataset *dataset, const float *weights,
                                                              glia_error *err);

/* What tokens are numbered by, where inputs are words: `words` (copied), or NULL: those of this data set's own examples, the
 * most frequent first. As with glia_dataset_set_fill: NULL for the training part, then that part's vocabulary for the others,
 * where words that it lacks become <unk>. Characters are those of the whole source; one that `words` lacks is an error.
 * Does nothing where there are no tokens. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_set_vocabulary(glia_dataset *dataset,
                                                                 const char *const *words, int64_t count,
                                                                 glia_error *err);

/* A named public data set and where its files come from. */
typedef struct glia_dataset_named {
    const char *name, *doc, *licence;
    const char *parts; /* "train test" */
} glia_dataset_named;
/* Number `index` of them, from 0; NULL after the last. Static. */
GLIA_API const glia_dataset_named *glia_dataset_list(size_t index);
/* Makes sure that the files of a named set are there (folder, cache, Debian package, download), and says in
 * `where` which folder holds them. Without a network mnist becomes fashion_mnist, if that is there; the logger gets
 * a warning that says so. */
GLIA_API GLIA_MUST_CHECK glia_status glia_dataset_fetch(const char *name, glia_dataset_options options,
                                                        char *where, size_t capacity, glia_error *err);

/* Batches in shuffled or given order, gathered by a prefetch thread while the last one is used; or, where no core is left
 * for it, by all threads when they are asked for. */
typedef struct glia_loader glia_loader;

/* Pictures [channels, height, width] changed at random, anew in every epoch; zero means not. */
typedef struct glia_augment_options {
    int reserved_;
    const char *flip; /* "horizontal": half of the pictures, drawn at random, are mirrored; default "none" */
    int64_t crop;     /* pixels of black put around, from which a picture of the old size is cut; default 0 */
    int64_t cutout;   /* side of a square that is blanked around a pixel drawn at random; default 0: none */
} glia_augment_options;

typedef struct glia_loader_options {
    int reserved_;
    int64_t batch_size; /* default 32; the last batch of an epoch may be smaller, none is dropped */
    int64_t batches;    /* an epoch ends after so many; default: after all examples */
    glia_bool shuffle;  /* default no */
    /* The examples, in their order, are cut in batch_size stretches: row i of a batch is the example behind row i of the batch
     * before. Epochs of fewer `batches` take turns. Instead of a shuffle; default no. */
    glia_bool stretches;
    uint64_t seed;        /* of the shuffle: the order depends on (seed, epoch) only */
    const int64_t *order; /* a fixed order of `count` examples instead (borrowed while the loader lives) */
    glia_bool prefetch;   /* default yes */
    int threads;          /* that gather a batch together when prefetch is no; default 1 */
    glia_augment_options augment; /* by (seed, epoch, example) */
    const glia_allocator *allocator;
} glia_loader_options;

typedef struct glia_batch {
    int64_t count;
    const int64_t *order; /* which examples */
    float *inputs;        /* [count, input_shape…], valid until the next glia_loader_next */
    void *targets;        /* i64 or f32 [count, target_shape…]; NULL when there are none */
    float *weights;       /* f32 [count], NULL: all the same */
} glia_batch;

/* The data set must outlive the loader. */
GLIA_API GLIA_MUST_CHECK glia_status glia_loader_new(glia_loader **out, const glia_dataset *dataset,
                                                     glia_loader_options options, glia_error *err);
/* Starts epoch `epoch` (from any state). */
GLIA_API GLIA_MUST_CHECK glia_status glia_loader_start(glia_loader *loader, int64_t epoch, glia_error *err);
/* The next batch; count 0 at the end of the epoch. */
GLIA_API GLIA_MUST_CHECK glia_status glia_loader_next(glia_loader *loader, glia_batch *batch,
                                                      glia_error *err);
GLIA_API int64_t glia_loader_batches(const glia_loader *loader); /* per epoch */
GLIA_API void glia_loader_free(glia_loader *loader);

#ifdef __cplusplus
}
#endif
#endif

/* names.h: how other frameworks call the weights of a layer, and how they lie there: one GLIA_NAMES block a convention, in
 * src/train/names_*.c. */
#ifndef GLIA_TRAIN_NAMES_H
#define GLIA_TRAIN_NAMES_H

#include "core/mem.h"
#include "glia/weights.h"

/* An array there that two of ours are made of: it holds both, one after the other; or it is their sum, and the second is 0. */
typedef enum glia_names_share {
    GLIA_NAMES_OWN,
    GLIA_NAMES_FIRST,
    GLIA_NAMES_SECOND,
    GLIA_NAMES_ZERO
} glia_names_share;

/* One array of a kind of layer. */
typedef struct glia_names_row {
    const char *layer, *ours; /* "conv2d", "weight" */
    const char *theirs;       /* "kernel"; may have several parts: "vars/0" */
    /* Order of the axes here and there, a letter each: "oihw:hwio"; NULL: the same. The letter i stands for the features that
     * go in, g for blocks of gates one behind the other. */
    const char *axes;
    const char *gates; /* order of those blocks: "ifgo:iofg"; NULL: the same */
    const char *
        where; /* only layers whose name there fits the pattern ("*c_attn"), or does not ("!*c_attn"); NULL: all */
    glia_names_share share;
} glia_names_row;

typedef struct glia_names {
    const char *name, *doc;
    int order;                   /* of several that fit a file alike, the lowest wins */
    char separator;              /* between the parts of a name: "conv1.weight", "conv2d/kernel" */
    const char *suffix;          /* may end a name and means nothing: ":0"; NULL: none */
    const char *const *prefixes; /* may begin a name and mean nothing; ends with NULL */
    const char *const *ignored;  /* patterns of arrays that no model here has use for; ends with NULL */
    const char *const
        *kinds;    /* pairs: a layer without a name is "batch_norm_1" here, "batch_normalization_1" there */
    bool any_part; /* a layer's name may be the first or the last of the parts before the array's name */
    bool channels_last; /* flattened pictures have their channels last */
    /* The first row that fits; an array without a row has the same name there and lies the same. */
    const glia_names_row *rows; /* ends with layer NULL */
} glia_names;

#define GLIA_NAMES(convention) const glia_names glia__names_##convention

extern const glia_names *const glia__all_names[];
extern const size_t glia__all_names_count;

/* The convention called `name`, or NULL with an error that lists all. */
const glia_names *glia__names_find(const char *name, glia_error *err);

/* A parameter of a model, taken apart. */
typedef struct glia_names_param {
    const char *full;  /* "conv2d_1.weight" */
    const char *kind;  /* of its layer: "conv2d"; "" when it belongs to none */
    char layer[256];   /* "conv2d_1", "encoder.conv2d_1" */
    const char *array; /* "weight" */
    glia_shape shape;
    glia_shape
        before_flatten; /* the features that go in were pictures of this shape; rank 0: they were not */
} glia_names_param;

/* Of a parameter; the graph is a model's, or nobody's: then it belongs to no layer. */
glia_names_param glia__names_param(const glia_graph *graph, const glia_value *param);
/* Whether a file's `theirs` is the parameter; *row is how it lies there, NULL: as here. */
bool glia__names_match(const glia_names *names, const glia_names_param *param, const char *theirs,
                       const glia_names_row **row);
/* The same without regard to the layer's name: only the array's must fit; *layer_length is that of what stands before. */
bool glia__names_match_array(const glia_names *names, const glia_names_param *param, const char *theirs,
                             size_t *layer_length, const glia_names_row **row);
bool glia__names_ignored(const glia_names *names, const char *theirs);
/* Appends the parameter's name there. *row as above. */
void glia__names_write(const glia_names *names, const glia_names_param *param, glia_text *out,
                       const glia_names_row **row);

/* --- layouts ------------------------------------------------------------------------------------------- */

enum { GLIA_LAYOUT_AXES = GLIA_MAX_RANK + 2, GLIA_LAYOUT_GATES = 8 };

/* How an array there is read off an array here: axes permuted, blocks of gates reordered. Both are seen with the axes split
 * that their orders cut. */
typedef struct glia_layout {
    glia_shape theirs; /* of the array there */
    int rank;
    int64_t dim[GLIA_LAYOUT_AXES];    /* there */
    int64_t stride[GLIA_LAYOUT_AXES]; /* here, of the same axes */
    int gate_axis;                    /* -1: none */
    int gate[GLIA_LAYOUT_GATES];      /* block b there is block gate[b] here */
    bool copies;                      /* the order is the same: nothing moves */
} glia_layout;

/* False when the row does not suit the parameter's shape. */
bool glia__layout_make(const glia_names *names, const glia_names_param *param, const glia_names_row *row,
                       glia_layout *out);
/* Fills `ours`, an array here, from an array there of any float dtype; or the other way round. */
void glia__layout_read(const glia_layout *layout, const glia_tensor *theirs, float *ours);
void glia__layout_write(const glia_layout *layout, const float *ours, float *theirs);

#endif

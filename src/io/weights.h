/* weights.h (internal): a format of files that hold named arrays is one GLIA_WEIGHTS block in src/io/weights_*.c. */
#ifndef GLIA_IO_WEIGHTS_H
#define GLIA_IO_WEIGHTS_H

#include "core/mem.h"
#include "glia/weights.h"

typedef struct glia_weights_kept {
    void *object;
    void (*release)(void *object);
} glia_weights_kept;

struct glia_weights {
    glia_arena arena; /* names, metadata */
    const char *path;
    glia_named_tensor *tensors;
    size_t count, capacity;
    glia_key_value *metadata;
    size_t metadata_count, metadata_capacity;
    glia_weights_kept *kept; /* files whose data the tensors borrow */
    size_t kept_count, kept_capacity;
};

typedef struct glia_weights_format {
    const char *name, *doc;
    const char *endings[3]; /* ".npz"; the longest that fits a file's name decides */
    /* Adds all arrays of the file. On failure the caller closes what was added. */
    glia_status (*read)(glia_weights *weights, const char *path, glia_error *err);
    /* NULL: such files are only read. */
    glia_status (*write)(const char *path, const glia_named_tensor *tensors, size_t count,
                         const glia_key_value *metadata, size_t metadata_count, glia_error *err);
} glia_weights_format;

/* The writer of HDF5 files; see weights_h5_write.c. */
GLIA_MUST_CHECK glia_status glia__h5_write(const char *path, const glia_named_tensor *tensors, size_t count,
                                           const glia_key_value *metadata, size_t metadata_count,
                                           glia_error *err);

#define GLIA_WEIGHTS(format_name) const glia_weights_format glia__weights_format_##format_name

extern const glia_weights_format *const glia__weights_formats[];
extern const size_t glia__weights_formats_count;

/* The format that a file's name says, or NULL. */
const glia_weights_format *glia__weights_format_of(const char *path);
/* Whether the name is that of one of PyTorch's pickled files, which cannot be read: the error says what to do. */
bool glia__weights_pickled(const char *path);
/* Adds an array and takes it over, also on failure; copies `name`. Two arrays of one name are an error. */
GLIA_MUST_CHECK glia_status glia__weights_add(glia_weights *weights, const char *name, glia_tensor tensor,
                                              glia_error *err);
GLIA_MUST_CHECK glia_status glia__weights_add_metadata(glia_weights *weights, const char *key,
                                                       const char *value, glia_error *err);
/* Releases `object` when the weights are closed, or at once when out of memory. */
GLIA_MUST_CHECK glia_status glia__weights_keep(glia_weights *weights, void *object,
                                               void (*release)(void *object), glia_error *err);

#endif

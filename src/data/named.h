/* named.h: the public data sets that Glia knows by name. */
#ifndef GLIA_DATA_NAMED_H
#define GLIA_DATA_NAMED_H

#include "data/reader.h"

typedef struct glia_named_file {
    const char *name;   /* "train-images-idx3-ubyte.gz" */
    const char *sha256; /* of the file; NULL where nobody offers it for download */
} glia_named_file;

typedef struct glia_named_set glia_named_set;

struct glia_named_set {
    glia_dataset_named about;
    glia_named_file files[5]; /* ends with a NULL name */
    /* Reads a part from the files in folder `where`. */
    glia_status (*read)(glia_table *out, const glia_named_set *set, const char *where, bool train,
                        const glia_dataset_options *options, glia_error *err);
    const char *mirrors[3];         /* folders, HTTPS; NULL: no more */
    const char *debian;             /* folder of a Debian package that ships it, or NULL */
    const char *const *class_names; /* NULL: the files say */
    int64_t classes;
    const char *substitute; /* a set of the same format and size for when there is no network, or NULL */
};

const glia_named_set *glia__named_find(const char *name);
/* Finds or fetches the files: *found is the set that was obtained (the substitute, perhaps), `where` their folder. */
glia_status glia__named_fetch(const glia_named_set *set, const glia_dataset_options *options, char *where,
                              size_t capacity, const glia_named_set **found, glia_error *err);
/* Downloads what is missing of `set` to `folder`: resumes, tries each mirror, checks SHA-256. */
glia_status glia__download(const glia_named_set *set, const char *folder, const glia_logger *logger,
                           glia_error *err);

#endif

/* export.c: `glia export --format c`: model.c, model.h, and the weights beside them where they are wanted apart. */

#include <ctype.h>
#include <stdio.h>

#include "core/file.h"
#include "emit/emit.h"
#include "io/export.h"

typedef struct c_options {
    const char *name;
    glia_bool split_weights, train_head;
    int64_t tests;
} c_options;

static const glia_field c_fields[] = {{.name = "name",
                                       .kind = GLIA_FIELD_STRING,
                                       .offset = offsetof(c_options, name),
                                       .initial = "",
                                       .doc = "prefix of all names in the file; default: the file's name"},
                                      {.name = "split_weights",
                                       .kind = GLIA_FIELD_BOOL,
                                       .offset = offsetof(c_options, split_weights),
                                       .initial = "no",
                                       .doc = "weights in a .bin file beside it, given at every call"},
                                      {.name = "train_head",
                                       .kind = GLIA_FIELD_BOOL,
                                       .offset = offsetof(c_options, train_head),
                                       .initial = "no",
                                       .doc = "also a step of gradient descent for the last dense layer"},
                                      {.name = "tests",
                                       .kind = GLIA_FIELD_INT,
                                       .offset = offsetof(c_options, tests),
                                       .initial = "3",
                                       .min = 0,
                                       .max = 100,
                                       .doc = "pairs of input and output for the self-test"},
                                      {.name = NULL}};

/* "digits-2.c" in a folder: the file is "digits-2", the names begin with "digits_2". */
typedef struct names {
    char folder[1024], file[128], prefix[60];
} names;

static glia_status find_names(const char *path, const char *wanted, names *n, glia_error *err) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t length = strlen(base), at = 0;
    if (length > 2 && strcmp(base + length - 2, ".c") == 0) length -= 2;
    snprintf(n->folder, sizeof n->folder, "%.*s", (int)(base - path), path);
    snprintf(n->file, sizeof n->file, "%.*s", (int)length, base);
    const char *from = *wanted ? wanted : n->file;
    if (isdigit((unsigned char)*from)) n->prefix[at++] = 'm';
    for (; *from && at + 1 < sizeof n->prefix; from++)
        n->prefix[at++] = isalnum((unsigned char)*from) ? *from : '_';
    n->prefix[at] = 0;
    if (*wanted && strcmp(n->prefix, wanted) != 0)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                              "'%.60s' is no name in C; expected letters, digits and _, as in '%s'", wanted,
                              n->prefix);
    if (length == 0 || length >= sizeof n->file || strlen(path) >= sizeof n->folder - 8)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "'%.200s' is no name for a file of C", path);
    return GLIA_OK;
}

static glia_status write_file(const names *n, const char *ending, const glia_text *text,
                              glia_export_result *result, glia_error *err) {
    char path[1200];
    snprintf(path, sizeof path, "%s%s%s", n->folder, n->file, ending);
    GLIA_TRY(glia__file_write(path, text->data, text->length, err));
    glia__export_wrote(result, path, (int64_t)text->length);
    return GLIA_OK;
}

static glia_status write_files(const names *n, const glia_emit_result *r, bool split,
                               glia_export_result *result, glia_error *err) {
    GLIA_TRY(write_file(n, ".c", &r->source, result, err));
    GLIA_TRY(write_file(n, ".h", &r->header, result, err));
    if (split) GLIA_TRY(write_file(n, ".bin", &r->weights, result, err));
    glia__export_figure(result, "RAM", (double)r->ram_bytes, "bytes");
    glia__export_figure(result, "flash for weights", (double)r->flash_bytes, "bytes");
    glia__export_figure(result, "multiplications", r->macs, "");
    return GLIA_OK;
}

/* Pictures come as bytes, which a function of their own takes; of other data predict takes the raw numbers. */
static bool takes_bytes(const glia_export *model) {
    const glia_type *type = &model->inputs[0]->type;
    return model->n_inputs == 1 && !model->channel_axis && type->dtype == GLIA_F32 &&
           (type->shape.rank == 4 || model->scale != 1);
}

static glia_status write_c(const glia_export *model, const void *options_, const char *path,
                           glia_export_result *result, glia_error *err) {
    const c_options *a = options_;
    names n;
    glia_inference inference;
    glia_emit_result written;
    GLIA_TRY(find_names(path, a->name, &n, err));
    const bool bytes = takes_bytes(model);
    GLIA_TRY(glia__inference_new(&inference, model, !bytes, true, err));
    const glia_emit_options options = {.name = n.prefix,
                                       .title = model->name,
                                       .file = n.file,
                                       .dims = {1},
                                       .split_weights = a->split_weights == GLIA_YES,
                                       .train_head = a->train_head == GLIA_YES,
                                       .tests = (int)a->tests,
                                       .bytes = bytes,
                                       .scale = model->scale,
                                       .mean = model->mean,
                                       .std = model->std,
                                       .classes = model->classes,
                                       .labels = model->labels,
                                       .facts = model->facts,
                                       .n_facts = model->n_facts};
    glia_status status = glia__emit_c99(&written, inference.graph, inference.inputs, inference.n_inputs,
                                        inference.outputs, inference.n_outputs, &options, err);
    if (status == GLIA_OK) status = write_files(&n, &written, options.split_weights, result, err);
    glia__emit_result_free(&written);
    glia__inference_free(&inference);
    return status;
}

static glia_status check_c(const glia_export *model, const void *options_, const char *path,
                           glia_export_result *result, glia_error *err) {
    const c_options *a = options_;
    char source[1200], weights[1200];
    names n;
    (void)model;
    GLIA_TRY(find_names(path, a->name, &n, err));
    if (!a->tests)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "without --tests there is nothing to check by");
    snprintf(source, sizeof source, "%s%s.c", n.folder, n.file);
    snprintf(weights, sizeof weights, "%s%s.bin", n.folder, n.file);
    return glia__emit_check(source, n.prefix, a->split_weights == GLIA_YES ? weights : NULL, result, err);
}

GLIA_EXPORTER(c) = {
    .name = "c",
    .extension = ".c",
    .doc = "one file of C99 that predicts, and its header",
    .options = c_fields,
    .options_size = sizeof(c_options),
    .write = write_c,
    .check = check_c,
};

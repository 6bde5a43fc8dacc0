/* reader_cifar.c: the binary format of CIFAR-10: records of a label byte and 3072 bytes, 32×32 pixels of red, then of green,
 * then of blue. In files, plain or gzip, or in the archive in which it is published. */

#include <stdio.h>

#include "data/reader.h"
#include "io/tar.h"

enum { PIXELS = 3 * 32 * 32, RECORD = 1 + PIXELS, CLASSES = 10, MOST_RECORDS = 1 << 20 };

static const char *const class_names[CLASSES] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                 "dog",      "frog",       "horse", "ship", "truck"};

/* Records come from a file, or from the entries of an archive whose names have `part` in them. */
typedef struct records {
    const char *path, *part;
    glia_stream *stream;
    glia_tar *tar;
    uint64_t left; /* of the entry */
} records;

static void close_records(records *r) {
    glia__stream_close(r->stream);
    glia__tar_close(r->tar);
}

static glia_status open_records(records *r, const char *path, const char *part,
                                const glia_allocator *allocator, glia_error *err) {
    *r = (records){.path = path, .part = part};
    return part ? glia__tar_open(&r->tar, path, allocator, err)
                : glia__stream_open(&r->stream, path, allocator, err);
}

static glia_status cut_record(const records *r, uint64_t found, glia_error *err) {
    return glia__file_error(
        err, GLIA_BAD_FORMAT, r->path,
        "not in CIFAR-10's binary format, or truncated: expected records of %d bytes, the last has "
        "%llu",
        RECORD, (unsigned long long)found);
}

/* The next record to `record`; *more is false at the end. */
static glia_status next_record(records *r, unsigned char *record, bool *more, glia_error *err) {
    size_t got = 0;
    *more = true;
    if (!r->tar) {
        GLIA_TRY(glia__stream_read(r->stream, record, RECORD, &got, err));
        *more = got > 0;
        return got == 0 || got == RECORD ? GLIA_OK : cut_record(r, got, err);
    }
    while (!r->left) {
        glia_tar_entry entry;
        GLIA_TRY(glia__tar_next(r->tar, &entry, err));
        *more = entry.name != NULL;
        if (!*more) return GLIA_OK;
        const char *slash = strrchr(entry.name, '/');
        const char *name = slash ? slash + 1 : entry.name;
        if (entry.file && strncmp(name, r->part, strlen(r->part)) == 0) r->left = entry.bytes;
    }
    if (r->left < RECORD) return cut_record(r, r->left, err);
    r->left -= RECORD;
    return glia__tar_read(r->tar, record, RECORD, err);
}

static glia_status walk(records *r, int64_t limit, int64_t *count, glia_table *fill, glia_error *err) {
    unsigned char record[RECORD];
    bool more;
    for (*count = 0; *count < limit; ++*count) {
        GLIA_TRY(next_record(r, record, &more, err));
        if (!more) return GLIA_OK;
        if (record[0] >= CLASSES)
            return glia__file_error(
                err, GLIA_BAD_FORMAT, r->path,
                "not in CIFAR-10's binary format: record %lld has label %d, expected 0 … 9",
                (long long)*count, record[0]);
        if (!fill) continue;
        memcpy((uint8_t *)fill->inputs.data + *count * PIXELS, record + 1, PIXELS);
        ((int64_t *)fill->targets.data)[*count] = record[0];
    }
    return GLIA_OK;
}

static glia_status name_classes(glia_table *table, glia_error *err) {
    table->classes = CLASSES;
    table->class_names = glia__arena_alloc(&table->arena, CLASSES * sizeof(char *));
    for (int i = 0; table->class_names && i < CLASSES; i++)
        if (!(table->class_names[i] = glia__arena_strdup(&table->arena, class_names[i])))
            table->class_names = NULL;
    return table->class_names ? GLIA_OK
                              : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
}

glia_status glia__table_read_cifar(glia_table *table, const char *path, const char *part,
                                   const glia_dataset_options *options, glia_error *err) {
    records r;
    int64_t limit = options->limit > 0 ? GLIA_MIN(options->limit, MOST_RECORDS) : MOST_RECORDS, count = 0;
    for (int pass = 0; pass < 2; pass++) { /* counts, then reads: the array is as large as it must be */
        glia_status status = open_records(&r, path, part, options->allocator, err);
        if (status == GLIA_OK) status = walk(&r, limit, &count, pass ? table : NULL, err);
        close_records(&r);
        GLIA_TRY(status);
        if (!count) return glia__file_error(err, GLIA_BAD_DATA, path, "holds no examples");
        if (pass) break;
        limit = count;
        GLIA_TRY(
            glia_tensor_new(&table->inputs, GLIA_U8, GLIA_SHAPE(count, 3, 32, 32), options->allocator, err));
        GLIA_TRY(glia_tensor_new(&table->targets, GLIA_I64, GLIA_SHAPE(count), options->allocator, err));
    }
    if (count < limit) return glia__file_error(err, GLIA_IO, path, "changed while it was read");
    table->default_scale = 1.0 / 255;
    return name_classes(table, err);
}

static glia_status read_cifar(glia_table *out, const char *source, const glia_dataset_options *options,
                              glia_error *err) {
    return glia__table_read_cifar(out, source, NULL, options, err);
}

GLIA_READER(cifar) = {.name = "cifar",
                      .doc = "pictures and labels in the binary format of CIFAR-10, plain or gzip",
                      .example = "cifar:data_batch_1.bin",
                      .read = read_cifar};

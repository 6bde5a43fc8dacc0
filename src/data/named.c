/* named.c: public data sets by name: where their files are found, and how they become a table. */

#include "data/named.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "glia/io.h"

static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
static const char *const garments[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                       "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

static glia_status read_idx(glia_table *out, const glia_named_set *set, const char *where, bool train,
                            const glia_dataset_options *options, glia_error *err) {
    char inputs[1200], targets[1200];
    snprintf(inputs, sizeof inputs, "%s/%s", where, set->files[train ? 0 : 2].name);
    snprintf(targets, sizeof targets, "%s/%s", where, set->files[train ? 1 : 3].name);
    return glia__table_read_idx(out, inputs, targets, options, err);
}

static glia_status read_cifar10(glia_table *out, const glia_named_set *set, const char *where, bool train,
                                const glia_dataset_options *options, glia_error *err) {
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", where, set->files[0].name);
    return glia__table_read_cifar(out, path, train ? "data_batch" : "test_batch", options, err);
}

static glia_status read_archive(glia_table *out, const glia_named_set *set, const char *where, bool train,
                                const glia_dataset_options *options, glia_error *err) {
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", where, set->files[train ? 0 : 1].name);
    return glia__table_read_folder(out, path, options, err);
}

static glia_status read_text(glia_table *out, const glia_named_set *set, const char *where, bool train,
                             const glia_dataset_options *options, glia_error *err) {
    char path[1200];
    (void)train;
    snprintf(path, sizeof path, "%s/%s", where, set->files[0].name);
    return glia__table_read_text(out, path, options, err);
}

/* Checksums of the published files. Those of a Debian package are other ones: it packs the same pictures anew. */
static const glia_named_set sets[] = {
    {.about = {"mnist", "handwritten digits, 60,000 + 10,000 pictures of 28×28, 10 classes", "CC BY-SA 3.0",
               "train test"},
     .files =
         {{"train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
          {"train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
          {"t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
          {"t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}},
     .read = read_idx,
     .mirrors = {"https://ossci-datasets.s3.amazonaws.com/mnist/",
                 "https://storage.googleapis.com/cvdf-datasets/mnist/"},
     .class_names = digits,
     .classes = 10,
     .substitute = "fashion_mnist"},
    {.about = {"fashion_mnist", "pictures of garments, 60,000 + 10,000 of 28×28, 10 classes", "MIT",
               "train test"},
     .files =
         {{"train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
          {"train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
          {"t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
          {"t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"}},
     .read = read_idx,
     .mirrors = {"https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                 "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"},
     .debian = "/usr/share/datasets/fashion-mnist",
     .class_names = garments,
     .classes = 10},
    {.about = {"cifar10", "pictures of objects in colours, 50,000 + 10,000 of 32×32, 10 classes", "unknown",
               "train test"},
     .files = {{"cifar-10-binary.tar.gz",
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}},
     .read = read_cifar10,
     .mirrors = {"https://www.cs.toronto.edu/~kriz/"}},
    {.about = {"cifar10-jpeg", "CIFAR-10 as JPEG files in a folder a class, in two archives of your own",
               "unknown", "train test"},
     .files = {{"train.tar.gz", NULL}, {"test.tar.gz", NULL}},
     .read = read_archive},
    {.about = {"tinyshakespeare", "plays of Shakespeare, 1,115,394 characters, for language models",
               "public domain", "train"},
     .files = {{"input.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}},
     .read = read_text,
     .mirrors = {"https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"}},
};

const glia_named_set *glia__named_find(const char *name) {
    for (size_t i = 0; i < GLIA_COUNT(sets); i++)
        if (strcmp(sets[i].about.name, name) == 0) return &sets[i];
    return NULL;
}

const glia_dataset_named *glia_dataset_list(size_t index) {
    return index < GLIA_COUNT(sets) ? &sets[index].about : NULL;
}

/* --- finding --------------------------------------------------------------------------------------------- */

static bool holds_files(const glia_named_set *set, const char *folder) {
    char path[1200];
    for (const glia_named_file *f = set->files; f->name; f++) {
        snprintf(path, sizeof path, "%s/%s", folder, f->name);
        if (access(path, R_OK) != 0) return false;
    }
    return true;
}

static bool cache_folder(const glia_named_set *set, char *out, size_t capacity) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache)
        snprintf(out, capacity, "%s/glia/%s", cache, set->about.name);
    else if (home && *home)
        snprintf(out, capacity, "%s/.cache/glia/%s", home, set->about.name);
    else
        return false;
    return true;
}

/* Looks where no network is needed: the folder of data sets, the cache, a Debian package. */
static bool find_local(const glia_named_set *set, const glia_dataset_options *options, char *where,
                       size_t capacity) {
    const char *folder = options->data_dir ? options->data_dir : getenv("GLIA_DATA");
    if (folder && *folder) {
        snprintf(where, capacity, "%s/%s", folder, set->about.name);
        if (holds_files(set, where)) return true;
    }
    if (cache_folder(set, where, capacity) && holds_files(set, where)) return true;
    if (!set->debian) return false;
    snprintf(where, capacity, "%s", set->debian);
    return holds_files(set, where);
}

glia_status glia__named_fetch(const glia_named_set *set, const glia_dataset_options *options, char *where,
                              size_t capacity, const glia_named_set **found, glia_error *err) {
    *found = set;
    if (find_local(set, options, where, capacity)) return GLIA_OK;
    glia_error failed = {0};
    glia_status status = GLIA_NOT_FOUND;
    if (options->download == GLIA_NO || !cache_folder(set, where, capacity))
        status = glia_error_set(&failed, GLIA_NOT_FOUND, "%s is not in $GLIA_DATA nor in the cache",
                                set->about.name);
    else
        status = glia__download(set, where, options->logger, &failed);
    if (status == GLIA_OK) return GLIA_OK;
    const glia_named_set *other = set->substitute ? glia__named_find(set->substitute) : NULL;
    if (other && find_local(other, options, where, capacity)) {
        glia__log(options->logger, GLIA_LOG_WARNING, "%s; using %s from %s in place of %s (%s)",
                  failed.message, other->about.name, where, set->about.name, other->about.doc);
        *found = other;
        return GLIA_OK;
    }
    return glia_error_set(
        err, status, "%s; set GLIA_DATA to a folder that holds %s/%s%s", failed.message, set->about.name,
        set->files[0].name,
        set->debian || (other && other->debian) ? ", or install Debian's package dataset-fashion-mnist" : "");
}

glia_status glia_dataset_fetch(const char *name, glia_dataset_options options, char *where, size_t capacity,
                               glia_error *err) {
    const glia_named_set *set = glia__named_find(name), *found;
    if (set) return glia__named_fetch(set, &options, where, capacity, &found, err);
    const char *names[GLIA_COUNT(sets)];
    for (size_t i = 0; i < GLIA_COUNT(sets); i++) names[i] = sets[i].about.name;
    const char *nearest = glia__nearest_word(name, names, GLIA_COUNT(sets));
    if (nearest)
        return glia_error_set(err, GLIA_NOT_FOUND, "unknown data set '%s' (did you mean %s?)", name, nearest);
    char known[200];
    size_t used = 0;
    for (size_t i = 0; i < GLIA_COUNT(sets) && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", names[i]);
    return glia_error_set(err, GLIA_NOT_FOUND, "unknown data set '%s' (known: %s)", name, known);
}

/* --- reading --------------------------------------------------------------------------------------------- */

/* Gives the table the set's own class names. */
static glia_status name_classes(glia_table *table, const glia_named_set *set, glia_error *err) {
    if (!table->name) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
    if (!set->class_names) return GLIA_OK;
    table->classes = set->classes;
    table->class_names = glia__arena_alloc(&table->arena, (size_t)set->classes * sizeof(char *));
    bool complete = table->class_names != NULL;
    for (int64_t i = 0; complete && i < set->classes; i++)
        complete = (table->class_names[i] = glia__arena_strdup(&table->arena, set->class_names[i])) != NULL;
    if (complete) return GLIA_OK;
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory for the data set");
}

static glia_status read_named(const char *name, glia_table *out, const char *part,
                              const glia_dataset_options *options, glia_error *err) {
    char where[1024];
    const glia_named_set *set = glia__named_find(name), *wanted = set;
    if (!*part) part = "train";
    bool train = strcmp(part, "train") == 0;
    if (!train && (strcmp(part, "test") != 0 || !strstr(set->about.parts, part)))
        return glia_error_set(err, GLIA_NOT_FOUND, "%s has no part '%s' (known: %s)", name, part,
                              set->about.parts);
    GLIA_TRY(glia__named_fetch(set, options, where, sizeof where, &set, err));
    GLIA_TRY(set->read(out, set, where, train, options, err));
    out->name = glia__arena_printf(&out->arena, "%s:%s", set->about.name, part);
    if (set != wanted) out->in_place_of = wanted->about.name;
    return name_classes(out, set, err);
}

static glia_status read_mnist(glia_table *out, const char *part, const glia_dataset_options *options,
                              glia_error *err) {
    return read_named("mnist", out, part, options, err);
}
GLIA_READER(mnist) = {
    .name = "mnist", .doc = "handwritten digits", .example = "mnist:train", .read = read_mnist};

static glia_status read_fashion(glia_table *out, const char *part, const glia_dataset_options *options,
                                glia_error *err) {
    return read_named("fashion_mnist", out, part, options, err);
}
GLIA_READER(fashion_mnist) = {.name = "fashion_mnist",
                              .doc = "pictures of garments",
                              .example = "fashion_mnist:train",
                              .read = read_fashion};

static glia_status read_cifar10_part(glia_table *out, const char *part, const glia_dataset_options *options,
                                     glia_error *err) {
    return read_named("cifar10", out, part, options, err);
}
GLIA_READER(cifar10) = {.name = "cifar10",
                        .doc = "pictures of objects in colours",
                        .example = "cifar10:train",
                        .read = read_cifar10_part};

static glia_status read_cifar10_jpeg(glia_table *out, const char *part, const glia_dataset_options *options,
                                     glia_error *err) {
    return read_named("cifar10-jpeg", out, part, options, err);
}
GLIA_READER(cifar10_jpeg) = {.name = "cifar10-jpeg",
                             .doc = "the same as JPEG files, in archives of your own",
                             .example = "cifar10-jpeg:train",
                             .read = read_cifar10_jpeg};

static glia_status read_tinyshakespeare(glia_table *out, const char *part,
                                        const glia_dataset_options *options, glia_error *err) {
    return read_named("tinyshakespeare", out, part, options, err);
}
GLIA_READER(tinyshakespeare) = {.name = "tinyshakespeare",
                                .doc = "plays of Shakespeare as one text, read as `text:` is",
                                .example = "tinyshakespeare",
                                .read = read_tinyshakespeare};

/* weights_h5.c: the arrays of HDF5 files, as Keras writes them: NAME.h5, and NAME.keras, a zip archive with model.weights.h5 in it.
 * An array is called by its path: "model_weights/dense/dense/kernel:0". */
#include "io/stream.h"
#include "io/weights.h"
#include "io/zip.h"

#ifdef GLIA_HAVE_HDF5
#include <errno.h>
#include <hdf5.h>
#include <unistd.h>

enum { MOST_ARRAYS = 1 << 16, MOST_DEPTH = 32, MOST_TEXT = 1 << 26, MOST_NAME = 4096 };

typedef struct walk {
    glia_weights *weights;
    const char *path;
    int depth;
    char name[MOST_NAME];
    glia_status status;
    glia_error *err;
} walk;

#define FAIL(w, status, ...) glia__file_error((w)->err, status, (w)->path, __VA_ARGS__)

/* --- arrays -------------------------------------------------------------------------------------------- */

/* Numbers are converted by the library: floats below 64 bits to f32, integers to i64. */
static bool memory_type(hid_t type, glia_dtype *dtype, hid_t *native) {
    H5T_class_t class = H5Tget_class(type);
    if (class != H5T_FLOAT && class != H5T_INTEGER) return false;
    bool wide = H5Tget_size(type) > 4;
    *dtype = class == H5T_INTEGER ? GLIA_I64 : wide ? GLIA_F64 : GLIA_F32;
    *native = class == H5T_INTEGER ? H5T_NATIVE_INT64 : wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
    return true;
}

static glia_status read_shape(const walk *w, hid_t set, glia_shape *shape) {
    hsize_t dims[GLIA_MAX_RANK];
    hid_t space = H5Dget_space(set);
    int rank = H5Sget_simple_extent_ndims(space);
    bool simple = H5Sget_simple_extent_type(space) != H5S_NULL;
    if (rank >= 0 && rank <= GLIA_MAX_RANK && simple) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    if (rank < 0 || rank > GLIA_MAX_RANK || !simple)
        return FAIL(w, GLIA_UNSUPPORTED, "array '%.100s' has %d dimensions; at most %d can be read", w->name,
                    rank, GLIA_MAX_RANK);
    *shape = (glia_shape){.rank = rank};
    for (int d = 0; d < rank; d++) shape->dim[d] = (int64_t)GLIA_MIN(dims[d], (hsize_t)INT64_MAX);
    return GLIA_OK;
}

static glia_status read_array(walk *w, hid_t set) {
    glia_dtype dtype = GLIA_F32;
    glia_shape shape;
    glia_tensor tensor;
    hid_t type = H5Dget_type(set), native = H5T_NATIVE_FLOAT;
    bool known = memory_type(type, &dtype, &native);
    H5Tclose(type);
    if (!known) return GLIA_OK; /* texts and the like are no weights */
    if (w->weights->count >= MOST_ARRAYS) return FAIL(w, GLIA_BAD_FORMAT, "more than %d arrays", MOST_ARRAYS);
    GLIA_TRY(read_shape(w, set, &shape));
    /* A shape may promise much more than the file holds: what was never written costs no bytes there. */
    int64_t elems = glia_shape_elems(&shape);
    if (elems < 0 || (elems > 0 && (uint64_t)elems / 1024 > H5Dget_storage_size(set)))
        return FAIL(w, GLIA_BAD_FORMAT,
                    "array '%.100s' promises %lld numbers, but the file holds %llu bytes of them", w->name,
                    (long long)elems, (unsigned long long)H5Dget_storage_size(set));
    GLIA_TRY(glia_tensor_new(&tensor, dtype, shape, w->weights->arena.allocator, w->err));
    if (elems > 0 && H5Dread(set, native, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.data) < 0) {
        glia_tensor_free(&tensor);
        return FAIL(w, GLIA_BAD_FORMAT,
                    "array '%.100s' cannot be read: the file is damaged, or packed by a filter "
                    "that is not there",
                    w->name);
    }
    return glia__weights_add(w->weights, w->name, tensor, w->err);
}

/* --- groups -------------------------------------------------------------------------------------------- */

static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *context);

/* Arrays in the order in which they were made, where the file kept it, else by name. */
static glia_status read_group(walk *w, hid_t group) {
    if (++w->depth > MOST_DEPTH) return FAIL(w, GLIA_BAD_FORMAT, "groups within groups, %d deep", MOST_DEPTH);
    hsize_t at = 0;
    unsigned order = 0;
    hid_t list = H5Gget_create_plist(group);
    bool kept = list >= 0 && H5Pget_link_creation_order(list, &order) >= 0 && (order & H5P_CRT_ORDER_INDEXED);
    if (list >= 0) H5Pclose(list);
    if (H5Literate(group, kept ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME, H5_ITER_INC, &at, visit, w) < 0 &&
        w->status == GLIA_OK)
        return FAIL(w, GLIA_BAD_FORMAT, "damaged HDF5 file: a group cannot be read");
    w->depth--;
    return w->status;
}

/* One link of a group. Links that lead elsewhere are not followed. */
static herr_t visit(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    walk *w = context;
    const size_t before = strlen(w->name), more = strlen(name);
    size_t length = before;
    if (info->type != H5L_TYPE_HARD) return 0;
    if (length + more + 2 > sizeof w->name) {
        w->status = FAIL(w, GLIA_BAD_FORMAT, "a path of more than %d bytes", MOST_NAME);
        return -1;
    }
    if (length) w->name[length++] = '/';
    memcpy(w->name + length, name, more + 1);
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    H5I_type_t kind = object >= 0 ? H5Iget_type(object) : H5I_BADID;
    if (kind == H5I_DATASET)
        w->status = read_array(w, object);
    else if (kind == H5I_GROUP)
        w->status = read_group(w, object);
    else if (kind == H5I_BADID)
        w->status = FAIL(w, GLIA_BAD_FORMAT, "damaged HDF5 file: '%.100s' cannot be opened", w->name);
    if (object >= 0) H5Oclose(object);
    w->name[before] = 0;
    return w->status == GLIA_OK ? 0 : -1;
}

/* --- texts --------------------------------------------------------------------------------------------- */

/* A text attribute of the file: of fixed length, or a pointer to one of any. Those that are too long are left out. */
static glia_status read_text(walk *w, hid_t file, const char *key) {
    if (H5Aexists(file, key) <= 0) return GLIA_OK;
    hid_t attribute = H5Aopen(file, key, H5P_DEFAULT), type = H5Aget_type(attribute);
    hid_t space = H5Aget_space(attribute), memory = H5Tcopy(type);
    bool one = H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1;
    size_t bytes = H5Tget_size(type);
    glia_status status = GLIA_OK;
    if (one && H5Tis_variable_str(type) > 0) {
        char *text = NULL;
        if (H5Aread(attribute, memory, &text) >= 0 && text && strlen(text) < MOST_TEXT)
            status = glia__weights_add_metadata(w->weights, key, text, w->err);
        if (text) H5free_memory(text);
    } else if (one && bytes < MOST_TEXT) {
        char *text = glia__calloc(w->weights->arena.allocator, bytes + 1, 1);
        if (!text) status = glia_error_set(w->err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", w->path);
        if (text && H5Aread(attribute, memory, text) >= 0)
            status = glia__weights_add_metadata(w->weights, key, text, w->err);
        glia__free(w->weights->arena.allocator, text, bytes + 1);
    }
    H5Tclose(memory), H5Sclose(space), H5Tclose(type), H5Aclose(attribute);
    return status;
}

/* --- files --------------------------------------------------------------------------------------------- */

static glia_status read_file(glia_weights *weights, hid_t file, const char *path, glia_error *err) {
    static const char *const keys[] = {"model_config", "keras_version", "backend"};
    walk *w = glia__calloc(weights->arena.allocator, 1, sizeof *w);
    if (!w) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    w->weights = weights, w->path = path, w->err = err;
    glia_status status = GLIA_OK;
    for (size_t i = 0; i < GLIA_COUNT(keys) && status == GLIA_OK; i++) status = read_text(w, file, keys[i]);
    if (status == GLIA_OK) status = read_group(w, file);
    glia__free(weights->arena.allocator, w, sizeof *w);
    return status;
}

/* The library's own reports on stderr are switched off meanwhile: errors are ours to tell. */
static glia_status read_quietly(glia_weights *weights, const char *path, const void *image, size_t bytes,
                                glia_error *err) {
    H5E_auto2_t report;
    void *report_data;
    H5Eget_auto2(H5E_DEFAULT, &report, &report_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t how = H5Pcreate(H5P_FILE_ACCESS);
    if (image) {
        H5Pset_fapl_core(how, 1 << 20, 0);
        H5Pset_file_image(how, (void *)image, bytes); /* which it copies */
    }
    /* An image needs a name that no file can have, or the library looks into that file. */
    hid_t file = H5Fopen(image ? "/dev/null/image" : path, H5F_ACC_RDONLY, how);
    glia_status status =
        file >= 0 ? read_file(weights, file, path, err)
                  : glia__file_error(err, GLIA_BAD_FORMAT, path, "not an HDF5 file, or a damaged one");
    if (file >= 0) H5Fclose(file);
    H5Pclose(how);
    H5Eset_auto2(H5E_DEFAULT, report, report_data);
    return status;
}

static glia_status read_h5(glia_weights *weights, const char *path, glia_error *err) {
    if (access(path, R_OK) != 0)
        return glia_error_set(err, errno == ENOENT ? GLIA_NOT_FOUND : GLIA_IO, "cannot open %s: %s", path,
                              strerror(errno));
    return read_quietly(weights, path, NULL, 0, err);
}

/* --- .keras -------------------------------------------------------------------------------------------- */

static glia_status read_member(const glia_zip *zip, const char *name, const char *path, void **data,
                               size_t *bytes, glia_error *err) {
    const glia_zip_member *member = glia__zip_find(zip, name);
    if (!member)
        return glia__file_error(err, GLIA_BAD_FORMAT, path, "not a Keras file: there is no %s in it", name);
    *bytes = (size_t)member->bytes;
    return glia__zip_read(zip, member, data, err);
}

static glia_status read_members(glia_weights *weights, const glia_zip *zip, const char *path,
                                glia_error *err) {
    const glia_allocator *allocator = weights->arena.allocator;
    void *data = NULL;
    size_t bytes = 0;
    GLIA_TRY(read_member(zip, "config.json", path, &data, &bytes, err));
    char *config = glia__calloc(allocator, bytes + 1, 1);
    glia_status status =
        config ? GLIA_OK : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory reading %s", path);
    if (config) memcpy(config, data, bytes);
    if (config) status = glia__weights_add_metadata(weights, "model_config", config, err);
    glia__free(allocator, config, bytes + 1);
    glia__free(allocator, data, bytes);
    GLIA_TRY(status);
    GLIA_TRY(read_member(zip, "model.weights.h5", path, &data, &bytes, err));
    status = read_quietly(weights, path, data, bytes, err);
    glia__free(allocator, data, bytes);
    return status;
}

static glia_status read_keras(glia_weights *weights, const char *path, glia_error *err) {
    glia_zip *zip;
    GLIA_TRY(glia__zip_open(&zip, path, weights->arena.allocator, err));
    glia_status status = read_members(weights, zip, path, err);
    glia__zip_close(zip);
    return status;
}

#else

static glia_status read_h5(glia_weights *weights, const char *path, glia_error *err) {
    (void)weights;
    return glia__file_error(err, GLIA_UNSUPPORTED, path,
                            "this build has no HDF5: cannot read .h5 and .keras files");
}

static glia_status read_keras(glia_weights *weights, const char *path, glia_error *err) {
    return read_h5(weights, path, err);
}

#endif

GLIA_WEIGHTS(h5) = {
    .name = "HDF5",
    .doc = "Keras 2's files: arrays by their paths; texts of the file itself",
    .endings = {".h5", ".hdf5"},
    .read = read_h5,
    .write = glia__h5_write,
};

GLIA_WEIGHTS(keras) = {
    .name = "Keras",
    .doc = "Keras 3's archives: config.json and HDF5 arrays",
    .endings = {".keras"},
    .read = read_keras,
};

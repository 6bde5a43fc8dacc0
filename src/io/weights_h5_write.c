/* weights_h5_write.c: arrays as an HDF5 file, each at its name as a path. Groups tell what is in them as Keras 2's loader wants to know it:
 * layer_names of the file, weight_names of each group at its top. */
#include "core/file.h"
#include "io/stream.h"
#include "io/weights.h"

#ifdef GLIA_HAVE_HDF5
#include <hdf5.h>
#include <stdlib.h>

enum { MOST_ATTRIBUTE = 60000, FIRST_BYTES = 1 << 20 };

static bool stored_type(glia_dtype dtype, hid_t *type) {
    switch (dtype) {
    case GLIA_F32:
        *type = H5T_IEEE_F32LE;
        return true;
    case GLIA_F64:
        *type = H5T_IEEE_F64LE;
        return true;
    case GLIA_I32:
        *type = H5T_STD_I32LE;
        return true;
    case GLIA_I64:
        *type = H5T_STD_I64LE;
        return true;
    case GLIA_U8:
        *type = H5T_STD_U8LE;
        return true;
    default:
        return false;
    }
}

static glia_status put_array(hid_t file, const glia_named_tensor *t, const char *path, glia_error *err) {
    hsize_t dims[GLIA_MAX_RANK];
    hid_t type;
    if (!stored_type(t->tensor.dtype, &type))
        return glia__file_error(err, GLIA_UNSUPPORTED, path,
                                "array '%.100s' is %s, for which HDF5 has no type; cast to f32 first",
                                t->name, glia_dtype_name(t->tensor.dtype));
    for (int d = 0; d < t->tensor.shape.rank; d++) dims[d] = (hsize_t)t->tensor.shape.dim[d];
    hid_t space =
        t->tensor.shape.rank ? H5Screate_simple(t->tensor.shape.rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t links = H5Pcreate(H5P_LINK_CREATE), how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_obj_track_times(how, false); /* the same arrays give the same bytes */
    hid_t set = H5Dcreate2(file, t->name, type, space, links, how, H5P_DEFAULT);
    bool ok = set >= 0 && (glia_tensor_bytes(&t->tensor) == 0 ||
                           H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, t->tensor.data) >= 0);
    if (set >= 0) H5Dclose(set);
    H5Pclose(how), H5Pclose(links), H5Sclose(space);
    return ok ? GLIA_OK
              : glia__file_error(err, GLIA_INVALID_ARGUMENT, path,
                                 "HDF5 takes no array called '%.100s' beside the others", t->name);
}

/* --- what is in a group -------------------------------------------------------------------------------- */

static size_t top_length(const char *name) {
    return strcspn(name, "/");
}

static bool same_top(const char *a, const char *b) {
    return top_length(a) == top_length(b) && strncmp(a, b, top_length(a)) == 0;
}

/* An attribute that lists texts, which lie in `list` one behind the other, `width` bytes each. */
static bool put_list(hid_t object, const char *key, const char *list, size_t width, size_t count) {
    const hsize_t dims[] = {count};
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, dims, NULL);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    hid_t attribute = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = attribute >= 0 && H5Awrite(attribute, type, list) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space), H5Tclose(type);
    return ok;
}

/* Texts of one width, as they are added; too many for an attribute are left out. */
typedef struct names_list {
    const char *names[4096];
    size_t lengths[4096], count, width;
} names_list;

static void add_name(names_list *list, const char *name, size_t length) {
    if (list->count == GLIA_COUNT(list->names)) return;
    list->names[list->count] = name;
    list->lengths[list->count++] = length;
    list->width = GLIA_MAX(list->width, length);
}

static bool write_list(hid_t object, const char *key, const names_list *list) {
    size_t bytes = list->count * list->width;
    if (!list->count || bytes > MOST_ATTRIBUTE) return true;
    char *texts = glia__calloc(NULL, bytes, 1);
    if (!texts) return false;
    for (size_t i = 0; i < list->count; i++)
        memcpy(texts + i * list->width, list->names[i], list->lengths[i]);
    bool ok = put_list(object, key, texts, list->width, list->count);
    glia__free(NULL, texts, bytes);
    return ok;
}

static bool describe(hid_t file, const glia_named_tensor *tensors, size_t count) {
    names_list *layers = glia__calloc(NULL, 2, sizeof *layers), *weights = layers + 1;
    bool ok = layers;
    for (size_t i = 0; i < count && ok; i++) {
        const char *name = tensors[i].name;
        bool known = !name[top_length(name)]; /* an array in no group */
        for (size_t k = 0; k < layers->count && !known; k++) known = same_top(layers->names[k], name);
        if (known) continue;
        add_name(layers, name, top_length(name));
        *weights = (names_list){.count = 0};
        for (size_t k = i; k < count; k++)
            if (same_top(name, tensors[k].name))
                add_name(weights, tensors[k].name + top_length(name) + 1,
                         strlen(tensors[k].name) - top_length(name) - 1);
        char group[1024];
        snprintf(group, sizeof group, "%.*s", (int)GLIA_MIN(top_length(name), sizeof group - 1), name);
        hid_t object = H5Gopen2(file, group, H5P_DEFAULT);
        ok = object >= 0 && write_list(object, "weight_names", weights);
        if (object >= 0) H5Gclose(object);
    }
    ok = ok && write_list(file, "layer_names", layers);
    glia__free(NULL, layers, 2 * sizeof *layers);
    return ok;
}

/* --- the file ------------------------------------------------------------------------------------------ */

static glia_status put_all(hid_t file, const char *path, const glia_named_tensor *tensors, size_t count,
                           glia_error *err) {
    for (size_t i = 0; i < count; i++) GLIA_TRY(put_array(file, &tensors[i], path, err));
    if (!describe(file, tensors, count) || H5Fflush(file, H5F_SCOPE_LOCAL) < 0)
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory writing %s", path);
    return GLIA_OK;
}

/* The library makes the file in memory; it is ours to replace the old one whole or not at all. */
static glia_status write_image(hid_t file, const char *path, glia_error *err) {
    ssize_t bytes = H5Fget_file_image(file, NULL, 0);
    void *image = bytes > 0 ? glia__alloc(NULL, (size_t)bytes) : NULL;
    glia_status status = GLIA_OUT_OF_MEMORY;
    if (image && H5Fget_file_image(file, image, (size_t)bytes) == bytes)
        status = glia__file_write(path, image, (size_t)bytes, err);
    else
        glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory writing %s", path);
    glia__free(NULL, image, bytes > 0 ? (size_t)bytes : 0);
    return status;
}

glia_status glia__h5_write(const char *path, const glia_named_tensor *tensors, size_t count,
                           const glia_key_value *metadata, size_t metadata_count, glia_error *err) {
    (void)metadata, (void)metadata_count;
    H5E_auto2_t report;
    void *report_data;
    H5Eget_auto2(H5E_DEFAULT, &report, &report_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t how = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(how, FIRST_BYTES, false);
    hid_t file = H5Fcreate("/dev/null/image", H5F_ACC_TRUNC, H5P_DEFAULT, how);
    glia_status status = file >= 0
                             ? put_all(file, path, tensors, count, err)
                             : glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory writing %s", path);
    if (status == GLIA_OK) status = write_image(file, path, err);
    if (file >= 0) H5Fclose(file);
    H5Pclose(how);
    H5Eset_auto2(H5E_DEFAULT, report, report_data);
    return status;
}

#else

glia_status glia__h5_write(const char *path, const glia_named_tensor *tensors, size_t count,
                           const glia_key_value *metadata, size_t metadata_count, glia_error *err) {
    (void)tensors, (void)count, (void)metadata, (void)metadata_count;
    return glia__file_error(err, GLIA_UNSUPPORTED, path, "this build has no HDF5: cannot write .h5 files");
}

#endif

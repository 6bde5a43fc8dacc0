/* Keras's HDF5 files, with those that the build's own HDF5 writes; and what is refused. */
#include "test.h"

#include "glia/version.h"
#include "glia/weights.h"
#include "scratch.h"

#ifdef GLIA_HAVE_HDF5
#include <hdf5.h>

static void put_array(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims,
                      const void *data) {
    hid_t space = H5Screate_simple(rank, dims, NULL), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t set = H5Dcreate2(file, name, type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    CHECK(set >= 0);
    if (data) CHECK(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set), H5Pclose(links), H5Sclose(space);
}

static void put_text(hid_t file, const char *name, const char *text, bool fixed) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, fixed ? strlen(text) : H5T_VARIABLE);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    CHECK(H5Awrite(attribute, type, fixed ? (const void *)text : &text) >= 0);
    H5Aclose(attribute), H5Sclose(space), H5Tclose(type);
}

static hid_t create(const char *name) {
    hid_t file = H5Fcreate(scratch_path(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    CHECK(file >= 0);
    return file;
}

TEST(read) {
    static const float w[6] = {1, 2, 3, 4, 5, 6};
    static const double d[2] = {0.5, -0.25};
    static const int32_t n[1] = {-7};
    glia_error err = {0};
    glia_weights *file;
    scratch_make();
    hid_t h = create("a.h5");
    put_array(h, "model_weights/dense/dense/kernel:0", H5T_NATIVE_FLOAT, 2, (hsize_t[]){2, 3}, w);
    put_array(h, "model_weights/dense/dense/bias:0", H5T_NATIVE_DOUBLE, 1, (hsize_t[]){2}, d);
    put_array(h, "steps", H5T_NATIVE_INT32, 1, (hsize_t[]){1}, n);
    put_array(h, "nothing", H5T_NATIVE_FLOAT, 2, (hsize_t[]){0, 4}, NULL);
    put_text(h, "model_config", "{\"class_name\": \"Sequential\"}", false);
    put_text(h, "keras_version", "2.12.0", true);
    H5Lcreate_soft("/steps", h, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", h, "external", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(h);
    CHECK_OK(glia_weights_open(&file, scratch_path("a.h5"), NULL, &err), &err);
    CHECK_INT(glia_weights_count(file), 4);
    CHECK_STR(glia_weights_name(file, 0), "model_weights/dense/dense/bias:0");
    CHECK_STR(glia_weights_name(file, 1), "model_weights/dense/dense/kernel:0");
    glia_tensor bias = glia_weights_tensor(file, 0), kernel = glia_weights_tensor(file, 1);
    CHECK(bias.dtype == GLIA_F64 && kernel.dtype == GLIA_F32 && kernel.shape.dim[1] == 3);
    CHECK_NEAR(glia_tensor_get(&bias, 1), -0.25, 0);
    CHECK(memcmp(kernel.data, w, sizeof w) == 0);
    glia_tensor steps = glia_weights_tensor(file, 3);
    CHECK(steps.dtype == GLIA_I64 && glia_tensor_get(&steps, 0) == -7);
    CHECK_STR(glia_weights_metadata(file, "model_config"), "{\"class_name\": \"Sequential\"}");
    CHECK_STR(glia_weights_metadata(file, "keras_version"), "2.12.0");
    glia_weights_close(file);
    scratch_remove();
}

/* A shape costs nothing in a file where nothing is written; here it must not cost memory. */
TEST(refused) {
    glia_error err = {0};
    glia_weights *file;
    scratch_make();
    hid_t h = create("huge.h5");
    put_array(h, "w", H5T_NATIVE_FLOAT, 2, (hsize_t[]){1 << 20, 1 << 20}, NULL);
    H5Fclose(h);
    CHECK_ERR(glia_weights_open(&file, scratch_path("huge.h5"), NULL, &err), GLIA_BAD_FORMAT, &err,
              "array 'w' promises 1099511627776 numbers, but the file holds 0 bytes of them");
    h = create("deep.h5");
    put_array(h,
              "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/33/34",
              H5T_NATIVE_FLOAT, 1, (hsize_t[]){0}, NULL);
    H5Fclose(h);
    CHECK_ERR(glia_weights_open(&file, scratch_path("deep.h5"), NULL, &err), GLIA_BAD_FORMAT, &err,
              "groups within groups, 32 deep");
    h = create("wide.h5");
    put_array(h, "w", H5T_NATIVE_FLOAT, 9, (hsize_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, NULL);
    H5Fclose(h);
    CHECK_ERR(glia_weights_open(&file, scratch_path("wide.h5"), NULL, &err), GLIA_UNSUPPORTED, &err,
              "array 'w' has 9 dimensions; at most 8 can be read");
    CHECK_ERR(glia_weights_open(&file, scratch_text("text.h5", "no"), NULL, &err), GLIA_BAD_FORMAT, &err,
              "not an HDF5 file, or a damaged one");
    CHECK_ERR(glia_weights_open(&file, scratch_path("none.h5"), NULL, &err), GLIA_NOT_FOUND, &err,
              "cannot open ");
    scratch_remove();
}

/* A group that holds itself ends at the depth that is allowed. */
TEST(cycles) {
    glia_error err = {0};
    glia_weights *file;
    scratch_make();
    hid_t h = create("cycle.h5"), group = H5Gcreate2(h, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(h, "/g", group, "again", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group), H5Fclose(h);
    CHECK_ERR(glia_weights_open(&file, scratch_path("cycle.h5"), NULL, &err), GLIA_BAD_FORMAT, &err,
              "groups within groups");
    scratch_remove();
}
/* Every dtype but those that HDF5 lacks; groups that Keras's loader finds its way in; names that cannot be. */
TEST(written) {
    glia_error err = {0};
    glia_weights *file;
    float numbers[6] = {1, 2, 3, 4, 5, 6};
    int64_t step = 7;
    const glia_named_tensor arrays[] = {
        {"dense/kernel", glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(2, 3))},
        {"dense/bias", glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(3))},
        {"step", glia_tensor_wrap(&step, GLIA_I64, (glia_shape){.rank = 0})},
        {"none", glia_tensor_wrap(numbers, GLIA_F32, GLIA_SHAPE(0, 4))}};
    scratch_make();
    const char *path = scratch_path("w.h5");
    CHECK_OK(glia_weights_write(path, arrays, 4, NULL, 0, &err), &err);
    CHECK_OK(glia_weights_open(&file, path, NULL, &err), &err);
    CHECK_INT(glia_weights_count(file), 4); /* by name: bias, kernel, none, step */
    glia_tensor kernel = glia_weights_tensor(file, 1), last = glia_weights_tensor(file, 3);
    CHECK(kernel.shape.dim[0] == 2 && memcmp(kernel.data, numbers, sizeof numbers) == 0);
    CHECK(last.shape.rank == 0 && glia_tensor_get(&last, 0) == 7);
    glia_weights_close(file);
    hid_t h = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    char layers[5], weights[12];
    hid_t a = H5Aopen(h, "layer_names", H5P_DEFAULT),
          b = H5Aopen_by_name(h, "dense", "weight_names", H5P_DEFAULT, H5P_DEFAULT);
    hid_t ta = H5Aget_type(a), tb = H5Aget_type(b);
    CHECK(H5Aread(a, ta, layers) >= 0 && memcmp(layers, "dense", 5) == 0);
    CHECK(H5Aread(b, tb, weights) >= 0 && memcmp(weights, "kernelbias\0\0", 12) == 0);
    H5Tclose(ta), H5Tclose(tb), H5Aclose(a), H5Aclose(b), H5Fclose(h);
    const glia_named_tensor twice[] = {arrays[0], {"dense/kernel/0", arrays[1].tensor}};
    CHECK_ERR(glia_weights_write(path, twice, 2, NULL, 0, &err), GLIA_INVALID_ARGUMENT, &err,
              "HDF5 takes no array called 'dense/kernel/0' beside the others");
    const glia_named_tensor bf16 = {"w", glia_tensor_wrap(numbers, GLIA_BF16, GLIA_SHAPE(2))};
    CHECK_ERR(glia_weights_write(path, &bf16, 1, NULL, 0, &err), GLIA_UNSUPPORTED, &err,
              "array 'w' is bf16, for which HDF5 has no type; cast to f32 first");
    CHECK_OK(glia_weights_open(&file, path, NULL, &err), &err); /* the old file is whole */
    glia_weights_close(file);
    scratch_remove();
}
#else
TEST(written) {
    glia_error err = {0};
    CHECK_ERR(glia_weights_write("a.h5", NULL, 0, NULL, 0, &err), GLIA_UNSUPPORTED, &err,
              "this build has no HDF5");
}
TEST(read) {
    glia_error err = {0};
    glia_weights *file;
    CHECK_ERR(glia_weights_open(&file, "a.h5", NULL, &err), GLIA_UNSUPPORTED, &err, "this build has no HDF5");
    CHECK_STR(glia_get_build_info().hdf5, "");
}
TEST(refused) {
    glia_error err = {0};
    glia_weights *file;
    CHECK_ERR(glia_weights_open(&file, "a.keras", NULL, &err), GLIA_UNSUPPORTED, &err,
              "this build has no HDF5");
}
TEST(cycles) {}
#endif

TEST_MAIN(TEST_ENTRY(read), TEST_ENTRY(refused), TEST_ENTRY(cycles), TEST_ENTRY(written))

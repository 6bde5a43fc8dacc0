/* NumPy's archives of arrays: written, read, and what is refused. */
#include "test.h"

#include "failing_allocator.h"
#include "glia/weights.h"
#include "scratch.h"

static const char *fixture(const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/tests/data/fuzz/npz/%s", getenv("GLIA_SOURCE_DIR"), name);
    return path;
}

static glia_tensor array(const glia_weights *w, const char *name) {
    for (size_t i = 0; i < glia_weights_count(w); i++)
        if (strcmp(glia_weights_name(w, i), name) == 0) return glia_weights_tensor(w, i);
    return (glia_tensor){0};
}

static float number_at(const glia_tensor *t, int i) {
    float x;
    memcpy(&x, (const char *)t->data + (size_t)i * sizeof x, sizeof x);
    return x;
}

TEST(written_and_read) {
    scratch_make();
    glia_error err = {0};
    glia_tensor t[GLIA_DTYPE_COUNT];
    glia_named_tensor named[GLIA_DTYPE_COUNT];
    size_t count = 0;
    for (int d = 0; d < GLIA_DTYPE_COUNT; d++) {
        if (d == GLIA_BF16) continue;
        CHECK_OK(glia_tensor_new(&t[count], (glia_dtype)d, GLIA_SHAPE(2, 3), NULL, &err), &err);
        for (int i = 0; i < 6; i++) glia_tensor_set(&t[count], i, d == GLIA_BOOL ? i % 2 : i + 1);
        named[count] = (glia_named_tensor){glia_dtype_name((glia_dtype)d), t[count]};
        count++;
    }
    named[0].name = "layers.0/größe";
    CHECK_OK(glia_weights_write(scratch_path("a.npz"), named, count, NULL, 0, &err), &err);
    CHECK_OK(glia_weights_write(scratch_path("b.npz"), named, count, NULL, 0, &err), &err);
    glia_weights *w;
    CHECK_OK(glia_weights_open(&w, scratch_path("a.npz"), NULL, &err), &err);
    CHECK_INT(glia_weights_count(w), count);
    for (size_t i = 0; i < count; i++) {
        glia_tensor got = glia_weights_tensor(w, i);
        CHECK_STR(glia_weights_name(w, i), named[i].name);
        CHECK(got.dtype == t[i].dtype && glia_shape_equal(&got.shape, &t[i].shape));
        CHECK(memcmp(got.data, t[i].data, glia_tensor_bytes(&got)) == 0);
        glia_tensor_free(&t[i]);
    }
    glia_weights_close(w);
    char a[4096], b[4096];
    FILE *fa = fopen(scratch_path("a.npz"), "rb"), *fb = fopen(scratch_path("b.npz"), "rb");
    size_t na = fread(a, 1, sizeof a, fa), nb = fread(b, 1, sizeof b, fb);
    CHECK(na == nb && na > 0 && memcmp(a, b, na) == 0); /* same arrays, same bytes */
    fclose(fa), fclose(fb);
    glia_tensor bf16 = glia_tensor_wrap(a, GLIA_BF16, GLIA_SHAPE(2));
    const glia_named_tensor one = {"w", bf16};
    CHECK_ERR(glia_weights_write(scratch_path("c.npz"), &one, 1, NULL, 0, &err), GLIA_UNSUPPORTED, &err,
              "w: NPY has no dtype bf16; cast to f32 first");
    CHECK(access(scratch_path("c.npz"), F_OK) != 0);
    scratch_remove();
}

TEST(of_numpy) {
    glia_error err = {0};
    glia_weights *w;
    CHECK_OK(glia_weights_open(&w, fixture("stored.npz"), NULL, &err), &err);
    CHECK_INT(glia_weights_count(w), 2);
    glia_tensor t = array(w, "w"), b = array(w, "b");
    CHECK_INT(t.shape.rank, 2);
    CHECK_NEAR(number_at(&t, 5), 5, 0);
    CHECK_INT(b.dtype, GLIA_I64);
    glia_weights_close(w);

    glia_status status = glia_weights_open(&w, fixture("deflated.npz"), NULL, &err);
    if (status == GLIA_UNSUPPORTED) {
        CHECK_HAS(err.message, "this build has no zlib");
    } else {
        CHECK_OK(status, &err);
        t = array(w, "w");
        CHECK_INT(t.shape.dim[0], 40);
        CHECK_NEAR(number_at(&t, 399), 9, 0);
        glia_tensor f = array(w, "f"); /* by columns there */
        for (int i = 0; i < 6; i++) CHECK_NEAR(glia_tensor_get(&f, i), i, 0);
        glia_weights_close(w);
    }
    CHECK_OK(glia_weights_open(&w, fixture("others.npz"), NULL, &err), &err);
    CHECK_INT(glia_weights_count(w), 1);
    CHECK_STR(glia_weights_name(w, 0), "a/b.c");
    t = glia_weights_tensor(w, 0);
    CHECK_INT(t.shape.rank, 0);
    CHECK_NEAR(number_at(&t, 0), 7, 0);
    glia_weights_close(w);
}

/* --- bad files --- */

static unsigned char bytes[2048];
static size_t size;

static void load(const char *name) {
    FILE *f = fopen(fixture(name), "rb");
    size = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    CHECK(size > 0);
    if (f) fclose(f);
}

/* Where `count` bytes of `text` lie, for the n-th time. */
static size_t find(const char *text, size_t count, int n) {
    for (size_t i = 0; i + count <= size; i++)
        if (memcmp(bytes + i, text, count) == 0 && n-- == 0) return i;
    CHECK(!"found");
    return 0;
}

static void refused(glia_status expected, const char *message) {
    glia_error err = {0};
    glia_weights *w;
    const char *path = scratch_put("bad.npz", bytes, size);
    CHECK_ERR(glia_weights_open(&w, path, NULL, &err), expected, &err, message);
    CHECK(w == NULL);
}

TEST(refused) {
    scratch_make();
    load("stored.npz");
    size -= 10;
    refused(GLIA_BAD_FORMAT, "not a zip archive, or a truncated one: its end is missing");
    size = 3;
    refused(GLIA_BAD_FORMAT, "not a zip archive");
    load("stored.npz");
    bytes[find("\x93NUMPY", 6, 0) + 130] ^= 1; /* in the data */
    refused(GLIA_BAD_FORMAT, "damaged: member 'w.npy' has checksum ");
    load("stored.npz");
    size_t entry = find("PK\1\2", 4, 0);
    bytes[entry + 10] = 12;
    refused(GLIA_UNSUPPORTED, "member 'w.npy' is packed by method 12; only stored and deflated members");
    bytes[entry + 10] = 0, bytes[entry + 8] |= 1;
    refused(GLIA_UNSUPPORTED, "member 'w.npy' is encrypted");
    bytes[entry + 8] &= 0xFE, bytes[entry + 24]++;
    refused(GLIA_BAD_FORMAT, "member 'w.npy' promises 153 bytes, packed in 152");
    bytes[entry + 20] = 0xFE, bytes[entry + 21] = bytes[entry + 22] = bytes[entry + 23] = 0xFF;
    refused(GLIA_BAD_FORMAT, "truncated zip archive: member 'w.npy' lies beyond its end");
    load("stored.npz");
    bytes[entry + 42] = 1;
    refused(GLIA_BAD_FORMAT, "no member begins where 'w.npy' should");
    load("stored.npz");
    bytes[find("b.npy", 5, 1)] = 'w';
    refused(GLIA_BAD_FORMAT, "two members are called 'w.npy'");
    load("stored.npz");
    bytes[find("PK\5\6", 4, 0) + 10] = 200;
    refused(GLIA_BAD_FORMAT, "a directory of 200 entries in ");
    load("stored.npz");
    bytes[find("PK\5\6", 4, 0) + 12] -= 4;
    refused(GLIA_BAD_FORMAT, "damaged zip archive: entry 1 of its directory is cut");
    load("deflated.npz"); /* a bomb: much from nothing */
    entry = find("PK\1\2", 4, 0);
    bytes[entry + 27] = 0x7F;
    refused(GLIA_BAD_FORMAT, "damaged zip archive: member 'w.npy' promises 2130708160");
    load("others.npz"); /* a member that is no array though its name says so */
    memcpy(bytes + find("readme.txt", 10, 0), "readme.npy", 10);
    memcpy(bytes + find("readme.txt", 10, 0), "readme.npy", 10);
    refused(GLIA_BAD_FORMAT, "readme.npy: not an NPY file");
    glia_error err = {0};
    glia_weights *w;
    CHECK_ERR(glia_weights_open(&w, scratch_path("none.npz"), NULL, &err), GLIA_NOT_FOUND, &err,
              "cannot open ");
    CHECK_ERR(glia_weights_open(&w, "weights.bin", NULL, &err), GLIA_UNSUPPORTED, &err,
              "the ending does not say in which format to read weights; expected one of .h5, ");
    scratch_remove();
}

TEST(memory) {
    scratch_make();
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_weights *w;
        glia_status status = glia_weights_open(&w, fixture("stored.npz"), &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia_weights_close(w);
    }
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(written_and_read), TEST_ENTRY(of_numpy), TEST_ENTRY(refused), TEST_ENTRY(memory))

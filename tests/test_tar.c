/* Tar archives: what GNU tar writes in three formats (tests/data/fuzz/tar), archives made here, and every field that lies. */
#include "test.h"

#include "failing_allocator.h"
#include "io/tar.h"
#include "scratch.h"

static unsigned char archive[1 << 16];
static size_t used;

static void put_checksum(unsigned char *header) {
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum & 0777777);
}

/* Appends an entry; gives its header, to be changed (and then put_checksum). */
static unsigned char *add(const char *name, char type, const void *data, size_t bytes) {
    unsigned char *header = archive + used;
    memset(header, 0, 512);
    memcpy(header, name, strlen(name) < 100 ? strlen(name) : 100);
    snprintf((char *)header + 124, 12, "%011zo", bytes);
    header[156] = (unsigned char)type;
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    put_checksum(header);
    used += 512;
    memset(archive + used, 0, (bytes + 511) / 512 * 512);
    if (bytes) memcpy(archive + used, data, bytes);
    used += (bytes + 511) / 512 * 512;
    return header;
}

static const char *finish(void) {
    memset(archive + used, 0, 1024);
    const char *path = scratch_put("a.tar", archive, used + 1024);
    used = 0;
    return path;
}

/* "name:bytes" of every entry, folders with a slash, as one text; then the error's message. */
static const char *list(const char *path, glia_status expected) {
    static char text[8192];
    glia_error err = {0};
    glia_tar *tar;
    glia_tar_entry entry;
    size_t at = 0;
    text[0] = 0;
    glia_status status = glia__tar_open(&tar, path, NULL, &err);
    while (status == GLIA_OK && (status = glia__tar_next(tar, &entry, &err)) == GLIA_OK && entry.name)
        at += (size_t)snprintf(text + at, sizeof text - at, "%.70s:%llu%s ", entry.name,
                               (unsigned long long)entry.bytes, entry.file ? "" : " (no file)");
    CHECK_STR(glia_status_name(status), glia_status_name(expected));
    if (status != GLIA_OK) snprintf(text + at, sizeof text - at, "%s", err.message);
    glia__tar_close(tar);
    return text;
}

static const char *stored(const char *name) {
    static char path[1024];
    const char *root = getenv("GLIA_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/data/fuzz/tar/%s", root ? root : ".", name);
    return path;
}

TEST(formats) {
    CHECK_STR(list(stored("ustar.tar"), GLIA_OK),
              "t/cat/:0 (no file) t/cat/1.jpg:371 t/dog/:0 (no file) t/dog/2.png:73 ");
    CHECK_HAS(list(stored("gnu.tar"), GLIA_OK), "t/aaaaaaaaaaaaaaaaaaaa");
    CHECK_HAS(list(stored("gnu.tar"), GLIA_OK), ":371 ");
    CHECK_HAS(list(stored("pax.tar"), GLIA_OK), "t/aaaaaaaaaaaaaaaaaaaa");
    CHECK_HAS(list(stored("pax.tar"), GLIA_OK), ":371 ");
    glia_error err = {0};
    glia_tar *tar;
    if (glia__tar_open(&tar, stored("ustar.tar.gz"), NULL, &err) == GLIA_UNSUPPORTED) return; /* no zlib */
    glia__tar_close(tar);
    CHECK_STR(list(stored("ustar.tar.gz"), GLIA_OK), "t/cat/:0 (no file) t/cat/1.jpg:371 ");
}

TEST(data) {
    glia_error err = {0};
    glia_tar *tar;
    glia_tar_entry entry;
    char text[16] = "";
    scratch_make();
    add("a/1", '0', "hello", 5), add("a/2", 0, "world!", 6), add("a/3", '0', NULL, 0);
    CHECK_OK(glia__tar_open(&tar, finish(), NULL, &err), &err);
    CHECK_OK(glia__tar_next(tar, &entry, &err), &err);
    CHECK_OK(glia__tar_read(tar, text, 2, &err), &err); /* the rest is skipped */
    CHECK_OK(glia__tar_next(tar, &entry, &err), &err);
    CHECK_STR(entry.name, "a/2");
    CHECK_OK(glia__tar_read(tar, text, 3, &err), &err);
    CHECK_OK(glia__tar_read(tar, text + 3, 3, &err), &err);
    CHECK_STR(text, "world!");
    CHECK_ERR(glia__tar_read(tar, text, 1, &err), GLIA_BAD_FORMAT, &err,
              "more was asked for than the entry holds");
    CHECK_OK(glia__tar_next(tar, &entry, &err), &err);
    CHECK(entry.file && entry.bytes == 0);
    CHECK_OK(glia__tar_next(tar, &entry, &err), &err);
    CHECK(!entry.name);
    glia__tar_close(tar);
    scratch_remove();
}

TEST(names_and_sizes) {
    char record[80];
    scratch_make();
    memcpy(add("name", '0', "x", 1) + 345, "some/prefix", 11);
    put_checksum(archive);
    CHECK_STR(list(finish(), GLIA_OK), "some/prefix/name:1 ");
    memset(add("name", '0', "x", 1) + 257, 0, 8); /* before ustar there was no prefix */
    memcpy(archive + 345, "some/prefix", 11);
    put_checksum(archive);
    CHECK_STR(list(finish(), GLIA_OK), "name:1 ");
    memcpy(add("binary", '0', "xyz", 3) + 124, "\x80\0\0\0\0\0\0\0\0\0\0\3", 12);
    put_checksum(archive);
    CHECK_STR(list(finish(), GLIA_OK), "binary:3 ");
    memcpy(add("spaces", '0', "xyz", 3) + 124, "          3 ", 12);
    put_checksum(archive);
    CHECK_STR(list(finish(), GLIA_OK), "spaces:3 ");
    add("link", '2', NULL, 0);
    memcpy(archive + 124, "00000000777", 11); /* of what it points to */
    put_checksum(archive);
    add("after", '0', NULL, 0);
    CHECK_STR(list(finish(), GLIA_OK), "link:0 (no file) after:0 ");
    snprintf(record, sizeof record, "18 mtime=12345678\n21 path=other/name.x\n");
    add("pax", 'x', record, strlen(record)), add("own", '0', NULL, 0), add("next", '0', NULL, 0);
    CHECK_STR(list(finish(), GLIA_OK), "other/name.x:0 next:0 ");
    add("pax", 'g', record, strlen(record)), add("K", 'K', "target", 7), add("own", '0', NULL, 0);
    CHECK_STR(list(finish(), GLIA_OK), "own:0 ");
    scratch_remove();
}

TEST(lies) {
    static char many[20000];
    scratch_make();
    CHECK_HAS(list(scratch_text("x.tar", "no archive"), GLIA_BAD_FORMAT),
              "it is none, or its first header is wrong");
    CHECK_STR(list(scratch_text("x.tar", ""), GLIA_OK), "");
    add("a", '0', "x", 1), add("b", '0', "x", 1);
    archive[1024 + 3] ^= 1;
    CHECK_HAS(list(finish(), GLIA_BAD_FORMAT), "a:1 damaged tar archive: a wrong header before byte 1536");
    static const char *const sizes[] = {"9999999",
                                        "7777777777777",
                                        "-1",
                                        "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
                                        "\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
                                        "00000000x"};
    for (size_t i = 0; i < GLIA_COUNT(sizes); i++) {
        add("a", '0', "x", 1);
        memset(archive + 124, 0, 12);
        memcpy(archive + 124, sizes[i], strlen(sizes[i]) < 12 ? strlen(sizes[i]) : 12);
        put_checksum(archive);
        CHECK_HAS(list(finish(), GLIA_BAD_FORMAT), "damaged tar archive");
    }
    add("a", '0', "x", 1);
    memcpy(archive + 124, "07777777777", 11); /* 1 GiB that is not there */
    put_checksum(archive);
    CHECK_HAS(list(finish(), GLIA_BAD_FORMAT), "it ends within an entry");
    memset(many, 'a', sizeof many);
    add("long", 'L', many, 5000), add("own", '0', NULL, 0);
    CHECK_HAS(list(finish(), GLIA_BAD_FORMAT), "a name of more than 4096 bytes");
    add("long", 'L', many, 20000), add("own", '0', NULL, 0);
    CHECK_HAS(list(finish(), GLIA_BAD_FORMAT), "a name of more than 4096 bytes");
    static const char *const records[] = {"path=x\n",   "99 path=x\n",  "1 \n",
                                          "0 path=x\n", "10path=xyz\n", "99999999999 path=x\n"};
    for (size_t i = 0; i < GLIA_COUNT(records); i++) {
        add("pax", 'x', records[i], strlen(records[i])), add("own", '0', NULL, 0);
        CHECK_HAS(list(finish(), GLIA_BAD_FORMAT), "a pax record of an impossible length");
    }
    snprintf(many, sizeof many, "5010 path=%05000d\n", 0);
    add("pax", 'x', many, 5010), add("own", '0', NULL, 0);
    CHECK_HAS(list(finish(), GLIA_BAD_FORMAT), "a name of more than 4096 bytes");
    add("a", '0', "x", 1);
    const char *path = scratch_put("cut.tar", archive, 700); /* cut, within the data and in a header */
    used = 0;
    CHECK_HAS(list(path, GLIA_BAD_FORMAT), "a:1 damaged tar archive: it ends within an entry");
    CHECK_HAS(list(scratch_put("cut.tar", archive, 300), GLIA_BAD_FORMAT), "it is none");
    CHECK_HAS(list(scratch_put("cut.tar", archive, 1024), GLIA_OK), "a:1"); /* without the blocks of zeros */
    CHECK_HAS(list(scratch_path("none.tar"), GLIA_NOT_FOUND), "none.tar");
    scratch_remove();
}

TEST(memory) {
    FOR_EACH_FAILURE(memory) {
        glia_error err = {0};
        glia_tar *tar;
        glia_status status = glia__tar_open(&tar, stored("ustar.tar"), &memory.allocator, &err);
        CHECK_FAILED_ONCE(memory, status);
        glia__tar_close(tar);
    }
}

TEST_MAIN(TEST_ENTRY(formats), TEST_ENTRY(data), TEST_ENTRY(names_and_sizes), TEST_ENTRY(lies),
          TEST_ENTRY(memory))

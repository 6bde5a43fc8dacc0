/* Reading whole files, and writing so that the old file or the new one is there. */
#include "test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "failing_allocator.h"

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static int files_in_folder(void) {
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) count += entry->d_name[0] != '.';
    if (dir) closedir(dir);
    return count;
}

static void make_folder(void) {
    snprintf(folder, sizeof folder, "%s/glia_test_XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
}

static void check_contents(const char *path, const char *expected) {
    char *data;
    size_t bytes;
    glia_error err = {0};
    CHECK_OK(glia__file_read(path, 1 << 20, NULL, &data, &bytes, &err), &err);
    CHECK_STR(data, expected);
    CHECK_INT(bytes, strlen(expected));
    glia__free(NULL, data, bytes + 1);
}

TEST(write_and_read) {
    make_folder();
    glia_error err = {0};
    const char *path = in_folder("a.txt");
    CHECK_OK(glia__file_write(path, "first", 5, &err), &err);
    check_contents(path, "first");
    CHECK_OK(glia__file_write(path, "second", 6, &err), &err);
    check_contents(path, "second");
    CHECK_OK(glia__file_write(path, NULL, 0, &err), &err);
    check_contents(path, "");
    CHECK_INT(files_in_folder(), 1); /* no temporary left */
    unlink(path);
    rmdir(folder);
}

TEST(copied) {
    make_folder();
    glia_error err = {0};
    const char *from = in_folder("a.txt"), *to = in_folder("b.txt");
    CHECK_OK(glia__file_write(from, "some words", 10, &err), &err);
    CHECK_OK(glia__file_copy(from, to, &err), &err);
    check_contents(to, "some words");
    CHECK_ERR(glia__file_copy(in_folder("none"), to, &err), GLIA_NOT_FOUND, &err, "cannot open");
    err = (glia_error){0};
    CHECK_ERR(glia__file_copy(folder, to, &err), GLIA_IO, &err, "cannot read");
    check_contents(to, "some words");
    CHECK_INT(files_in_folder(), 2);
    unlink(from);
    unlink(to);
    rmdir(folder);
}

TEST(abandoned) {
    make_folder();
    glia_error err = {0};
    const char *path = in_folder("b.txt");
    glia_writer writer, other;
    CHECK_OK(glia__file_write(path, "old", 3, &err), &err);
    CHECK_OK(glia__writer_open(&writer, path, &err), &err);
    CHECK_OK(glia__writer_open(&other, path, &err), &err); /* two at a time do not meet */
    CHECK_OK(glia__writer_put(&writer, "new", 3, &err), &err);
    CHECK_OK(glia__writer_put(&other, "newest", 6, &err), &err);
    check_contents(path, "old");
    glia__writer_abandon(&writer);
    glia__writer_abandon(&writer);
    check_contents(path, "old");
    CHECK_OK(glia__writer_commit(&other, &err), &err);
    glia__writer_abandon(&other);
    check_contents(path, "newest");
    CHECK_INT(files_in_folder(), 1);
    glia_writer never = {0};
    glia__writer_abandon(&never);
    unlink(path);
    rmdir(folder);
}

TEST(write_refused) {
    make_folder();
    glia_error err = {0};
    char longer[2000];
    memset(longer, 'p', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CHECK_ERR(glia__file_write(folder, "x", 1, &err), GLIA_IO, &err, "it is a folder");
    CHECK_ERR(glia__file_write("/dev/null", "x", 1, &err), GLIA_IO, &err, "device or pipe");
    CHECK_ERR(glia__file_write(longer, "x", 1, &err), GLIA_INVALID_ARGUMENT, &err, "found 1999");
    CHECK_ERR(glia__file_write("", "x", 1, &err), GLIA_INVALID_ARGUMENT, &err, "found 0");
    CHECK_ERR(glia__file_write(in_folder("no/such"), "x", 1, &err), GLIA_NOT_FOUND, &err, "No such file");
    CHECK_INT(files_in_folder(), 0);
    rmdir(folder);
}

/* /dev/full takes no byte: a writer on it sees what a full disk gives. */
TEST(full_disk) {
    make_folder();
    glia_error err = {0};
    static char block[1 << 16];
    const char *path = in_folder("c.txt");
    if (access("/dev/full", W_OK) != 0) SKIP("this machine has no /dev/full");
    CHECK_OK(glia__file_write(path, "old", 3, &err), &err);
    for (int big = 0; big < 2; big++) { /* found by fwrite, or only when flushed */
        glia_writer writer;
        CHECK_OK(glia__writer_open(&writer, path, &err), &err);
        CHECK(freopen("/dev/full", "wb", writer.stream) != NULL);
        glia_status put = glia__writer_put(&writer, block, big ? sizeof block : 3, &err);
        CHECK_INT(put, big ? GLIA_IO : GLIA_OK);
        if (big) CHECK_HAS(err.message, "c.txt: No space left on device");
        glia_error_clear(&err); /* commit fails once more by itself */
        CHECK_ERR(glia__writer_commit(&writer, &err), GLIA_IO, &err,
                  big ? "c.txt: Input/output error" : "c.txt: No space left on device");
        glia__writer_abandon(&writer);
        check_contents(path, "old");
        CHECK_INT(files_in_folder(), 1);
    }
    unlink(path);
    rmdir(folder);
}

TEST(read_refused) {
    make_folder();
    char *data = (char *)1;
    size_t bytes = 1;
    glia_error err = {0};
    const char *path = in_folder("d.txt");
    CHECK_ERR(glia__file_read(path, 10, NULL, &data, &bytes, &err), GLIA_NOT_FOUND, &err,
              "d.txt: No such file");
    CHECK(data == NULL && bytes == 0);
    CHECK_ERR(glia__file_read(folder, 10, NULL, &data, &bytes, &err), GLIA_IO, &err, "folder");
    CHECK_OK(glia__file_write(path, "12345678901", 11, &err), &err);
    CHECK_ERR(glia__file_read(path, 10, NULL, &data, &bytes, &err), GLIA_BAD_FORMAT, &err,
              "expected at most 10 bytes, found 11");
    CHECK_ERR(glia__file_read("/dev/zero", 100000, NULL, &data, &bytes, &err), GLIA_BAD_FORMAT, &err,
              "/dev/zero: expected at most 100000 bytes, found more");
    CHECK_OK(glia__file_read(path, 11, NULL, &data, &bytes, &err), &err);
    glia__free(NULL, data, bytes + 1);
    unlink(path);
    rmdir(folder);
}

TEST(read_memory) {
    make_folder();
    glia_error err = {0};
    const char *path = in_folder("e.txt");
    CHECK_OK(glia__file_write(path, "hello", 5, &err), &err);
    const char *paths[] = {path, "/proc/self/status"}; /* the second claims to have no bytes */
    for (int i = 0; i < 2; i++) {
        FOR_EACH_FAILURE(memory) {
            char *data;
            size_t bytes;
            glia_error failure = {0};
            glia_status status =
                glia__file_read(paths[i], 1 << 20, &memory.allocator, &data, &bytes, &failure);
            CHECK_FAILED_ONCE(memory, status);
            if (status == GLIA_OK) {
                CHECK_INT(strlen(data), bytes);
                CHECK(bytes >= 5);
            } else {
                CHECK_HAS(failure.message, paths[i]);
            }
            glia__free(&memory.allocator, data, bytes + 1);
        }
    }
    unlink(path);
    rmdir(folder);
}

TEST(folders) {
    make_folder();
    glia_error err = {0};
    struct stat info;
    CHECK_OK(glia__make_folders(in_folder("x/y//z/"), &err), &err);
    CHECK_OK(glia__make_folders(in_folder("x/y"), &err), &err);
    CHECK(stat(in_folder("x/y/z"), &info) == 0 && S_ISDIR(info.st_mode));
    CHECK_OK(glia__file_write(in_folder("x/file"), "x", 1, &err), &err);
    CHECK_ERR(glia__make_folders(in_folder("x/file/deep"), &err), GLIA_IO, &err, "x/file is a file");
    CHECK_ERR(glia__make_folders(in_folder("x/file"), &err), GLIA_IO, &err, "is a file");
    CHECK_ERR(glia__make_folders("", &err), GLIA_INVALID_ARGUMENT, &err, "name of a folder");
    CHECK_ERR(glia__make_folders("/proc/none/here", &err), GLIA_NOT_FOUND, &err, "/proc/none");
    unlink(in_folder("x/file"));
    rmdir(in_folder("x/y/z"));
    rmdir(in_folder("x/y"));
    rmdir(in_folder("x"));
    CHECK(rmdir(folder) == 0);
}

TEST_MAIN(TEST_ENTRY(write_and_read), TEST_ENTRY(copied), TEST_ENTRY(abandoned), TEST_ENTRY(write_refused),
          TEST_ENTRY(full_disk), TEST_ENTRY(read_refused), TEST_ENTRY(read_memory), TEST_ENTRY(folders))

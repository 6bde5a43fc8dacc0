/* copy.c: a model goes to another folder, with the files beside it that hold its data. */

#include <stdio.h>
#include <sys/stat.h>

#include "core/file.h"
#include "onnx/proto.h"

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* `folder`/`name`, whose own folder is made; `name` may have parts of its own. */
static glia_status copy_to(const char *from, const char *folder, const char *name, glia_error *err) {
    char to[1200];
    const int length = snprintf(to, sizeof to, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof to)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the name %.300s/%.300s is too long", folder, name);
    if (same_file(from, to)) return GLIA_OK;
    char *slash = strrchr(to, '/');
    *slash = 0;
    GLIA_TRY(glia__make_folders(to, err));
    *slash = '/';
    return glia__file_copy(from, to, err);
}

glia_status glia__onnx_copy(const char *path, const char *folder, glia_error *err) {
    glia_onnx *file;
    const char *slash = strrchr(path, '/');
    GLIA_TRY(glia_onnx_open(&file, path, NULL, err));
    glia_status status = glia__onnx_find_external(file, err);
    for (size_t i = 0; status == GLIA_OK && glia__onnx_external(file, i); i++) {
        const char *name = glia__onnx_external(file, i);
        char from[1200];
        const int before = slash ? (int)(slash - path) + 1 : 0;
        if (snprintf(from, sizeof from, "%.*s%s", before, path, name) >= (int)sizeof from)
            status = glia_error_set(err, GLIA_INVALID_ARGUMENT, "the name %.300s is too long", path);
        if (status == GLIA_OK) status = copy_to(from, folder, name, err);
    }
    glia_onnx_close(file);
    return status == GLIA_OK ? copy_to(path, folder, slash ? slash + 1 : path, err) : status;
}

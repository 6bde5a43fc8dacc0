/* download.c: files over HTTPS with libcurl. A download goes on where it stopped (FILE.part), from any mirror, and
 * becomes FILE only when its checksum is right. */

#include "data/named.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "data/sha256.h"

#ifdef GLIA_HAVE_CURL
#include <curl/curl.h>

enum { MOST_BYTES = 1 << 30 };

static glia_status checksum_fits(const char *path, const char *wanted, glia_error *err) {
    char *data, found[65];
    size_t bytes;
    GLIA_TRY(glia__file_read(path, MOST_BYTES, NULL, &data, &bytes, err));
    glia__sha256_text(data, bytes, found);
    glia__free(NULL, data, bytes + 1);
    if (strcmp(found, wanted) == 0) return GLIA_OK;
    return glia_error_set(err, GLIA_BAD_DATA, "%s: expected SHA-256 %s, found %s", path, wanted, found);
}

/* --- one request ------------------------------------------------------------------------------------------ */

typedef struct sink {
    FILE *file;
    int64_t room; /* bytes that may still come: a server need not say how many */
    int error;    /* errno of a failed write */
} sink;

static size_t take_bytes(char *data, size_t size, size_t count, void *ctx) {
    sink *to = ctx;
    size_t bytes = size * count;
    if ((int64_t)bytes > to->room)
        to->error = EFBIG;
    else if (fwrite(data, 1, bytes, to->file) != bytes)
        to->error = errno;
    to->room -= (int64_t)bytes;
    return to->error ? 0 : bytes;
}

static CURLcode perform(CURL *curl, const char *url, curl_off_t have, sink *to, char *why) {
    /* Mirrors are HTTPS, but for one that the caller names otherwise; redirections must be. */
    const char *protocol = strncmp(url, "http:", 5) == 0 ? "http" : "https";
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocol);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 20L);
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, have);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, to);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    return curl_easy_perform(curl);
}

/* Appends to `part` what is missing. *again: the server cannot go on from what is there. */
static glia_status get(const char *url, const char *part, bool *again, glia_error *err) {
    char why[CURL_ERROR_SIZE] = "";
    long reply = 0;
    *again = false;
    errno = 0;
    FILE *file = fopen(part, "abe");
    struct stat before = {0};
    if (!file || fstat(fileno(file), &before) != 0) {
        glia_error_set(err, GLIA_IO, "cannot write %s: %s", part, strerror(errno));
        if (file) fclose(file);
        return GLIA_IO;
    }
    sink to = {file, MOST_BYTES - (int64_t)before.st_size, 0};
    CURL *curl = curl_easy_init();
    CURLcode code = curl ? perform(curl, url, before.st_size, &to, why) : CURLE_FAILED_INIT;
    if (curl) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply);
    curl_easy_cleanup(curl);
    /* On disk before it gets its name: else a crash may leave an empty file under it. */
    if (!to.error && (fflush(file) != 0 || (fsync(fileno(file)) != 0 && errno != EINVAL))) to.error = errno;
    if (fclose(file) != 0 && !to.error) to.error = errno;
    if (to.error) return glia_error_set(err, GLIA_IO, "cannot write %s: %s", part, strerror(to.error));
    if (code == CURLE_OK) return GLIA_OK;
    enum { NO_SUCH_RANGE = 416 };
    *again = before.st_size > 0 && (code == CURLE_RANGE_ERROR || reply == NO_SUCH_RANGE);
    return glia_error_set(err, GLIA_IO, "cannot download %s: %s", url, *why ? why : curl_easy_strerror(code));
}

/* --- a file ----------------------------------------------------------------------------------------------- */

/* From one mirror: goes on from what is there, or from the start where that leads to nothing. */
static glia_status get_checked(const char *url, const char *part, const char *sha256, glia_error *err) {
    for (bool again = true;;) {
        glia_error failed = {0};
        bool resumed = access(part, F_OK) == 0;
        glia_status status = get(url, part, &again, &failed);
        if (status == GLIA_OK) status = checksum_fits(part, sha256, &failed);
        if (status == GLIA_OK) return GLIA_OK;
        again |= status == GLIA_BAD_DATA || status == GLIA_BAD_FORMAT;
        struct stat left;
        if (again || (stat(part, &left) == 0 && left.st_size == 0)) unlink(part); /* nothing to go on from */
        if (!again || !resumed) return glia_error_set(err, status, "%s", failed.message);
    }
}

static glia_status get_file(const glia_named_set *set, const glia_named_file *file, const char *folder,
                            const glia_logger *logger, glia_error *err) {
    char path[1200], part[1210], url[512];
    snprintf(path, sizeof path, "%s/%s", folder, file->name);
    snprintf(part, sizeof part, "%s.part", path);
    if (access(path, R_OK) == 0) return GLIA_OK;
    glia_error first = {0};                                       /* of the mirror that should have worked */
    glia_status status = checksum_fits(part, file->sha256, NULL); /* stopped just before its end? */
    for (size_t m = 0; status != GLIA_OK && m < GLIA_COUNT(set->mirrors) && set->mirrors[m]; m++) {
        glia_error failed = {0};
        snprintf(url, sizeof url, "%s%s", set->mirrors[m], file->name);
        glia__log(logger, GLIA_LOG_INFO, "downloading %s", url);
        status = get_checked(url, part, file->sha256, &failed);
        if (status == GLIA_OK) break;
        glia__log(logger, GLIA_LOG_DEBUG, "%s", failed.message); /* another mirror may have it */
        if (first.status == GLIA_OK) first = failed;
    }
    if (status != GLIA_OK) return glia_error_set(err, first.status, "%s", first.message);
    return glia__file_rename(part, path, err);
}

/* One download at a time to a folder: another one waits here, and then finds the files. */
static int lock_folder(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

glia_status glia__download(const glia_named_set *set, const char *folder, const glia_logger *logger,
                           glia_error *err) {
    if (!set->mirrors[0])
        return glia_error_set(err, GLIA_NOT_FOUND, "%s has no mirror to download it from", set->about.name);
    GLIA_TRY(glia__make_folders(folder, err));
    int lock = lock_folder(folder); /* without one (a file system that has none) we go on */
    glia_status status = GLIA_OK;
    for (const glia_named_file *f = set->files; f->name && status == GLIA_OK; f++)
        status = get_file(set, f, folder, logger, err);
    if (lock >= 0) close(lock);
    return status;
}

#else

glia_status glia__download(const glia_named_set *set, const char *folder, const glia_logger *logger,
                           glia_error *err) {
    (void)folder, (void)logger;
    return glia_error_set(err, GLIA_UNSUPPORTED, "this build has no libcurl: it cannot download %s",
                          set->about.name);
}

#endif

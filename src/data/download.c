/* download.c: files over HTTPS with libcurl. A download goes on where it stopped (FILE.part), from any mirror, and
 * becomes FILE only when its checksum is right. */

#include "data/named.h"

#include <stdio.h>
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

/* Appends to `part` what is missing. */
static glia_status get(const char *url, const char *part, glia_error *err) {
    struct stat before;
    curl_off_t have = stat(part, &before) == 0 ? before.st_size : 0;
    FILE *file = fopen(part, "ab");
    CURL *curl = file ? curl_easy_init() : NULL;
    if (!curl) {
        if (file) fclose(file);
        return glia_error_set(err, GLIA_IO, "cannot write %s", part);
    }
    char why[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 20L);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)MOST_BYTES);
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, have);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    bool written = fclose(file) == 0;
    if (stat(part, &before) == 0 && before.st_size == 0) unlink(part);
    if (code == CURLE_OK && written) return GLIA_OK;
    return glia_error_set(err, GLIA_IO, "cannot download %s: %s", url, *why ? why : curl_easy_strerror(code));
}

static glia_status get_file(const glia_named_set *set, const glia_named_file *file, const char *folder,
                            const glia_logger *logger, glia_error *err) {
    char path[1200], part[1210], url[512];
    snprintf(path, sizeof path, "%s/%s", folder, file->name);
    snprintf(part, sizeof part, "%s.part", path);
    if (access(path, R_OK) == 0) return GLIA_OK;
    glia_status status = GLIA_NOT_FOUND;
    for (size_t m = 0; m < GLIA_COUNT(set->mirrors) && set->mirrors[m]; m++) {
        glia_error failed = {0};
        snprintf(url, sizeof url, "%s%s", set->mirrors[m], file->name);
        glia__log(logger, GLIA_LOG_INFO, "downloading %s", url);
        status = get(url, part, &failed);
        if (status == GLIA_OK) status = checksum_fits(part, file->sha256, &failed);
        if (status == GLIA_BAD_DATA) unlink(part); /* nothing to go on from */
        if (status == GLIA_OK && rename(part, path) == 0) return GLIA_OK;
        glia__log(logger, GLIA_LOG_DEBUG, "%s", failed.message); /* another mirror may have it */
        if (err && err->status == GLIA_OK) *err = failed;
    }
    return status;
}

glia_status glia__download(const glia_named_set *set, const char *folder, const glia_logger *logger,
                           glia_error *err) {
    if (!set->mirrors[0])
        return glia_error_set(err, GLIA_NOT_FOUND, "%s has no mirror to download it from", set->about.name);
    GLIA_TRY(glia__make_folders(folder, err));
    for (const glia_named_file *f = set->files; f->name; f++) GLIA_TRY(get_file(set, f, folder, logger, err));
    return GLIA_OK;
}

#else

glia_status glia__download(const glia_named_set *set, const char *folder, const glia_logger *logger,
                           glia_error *err) {
    (void)folder, (void)logger;
    return glia_error_set(err, GLIA_UNSUPPORTED, "this build has no libcurl: it cannot download %s",
                          set->about.name);
}

#endif

/* check.c: a C file that was written is compiled, with its self-test, and run. */

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "emit/emit.h"
#include "io/check.h"

extern char **environ;

enum { MOST_WORDS = 24 };

/* Where the program and what it prints go. */
typedef struct workplace {
    char folder[512], program[600], log[600];
} workplace;

static glia_status open_workplace(workplace *w, glia_error *err) {
    const char *tmp = getenv("TMPDIR");
    snprintf(w->folder, sizeof w->folder, "%.400s/glia-check-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(w->folder))
        return glia_error_set(err, GLIA_IO, "cannot make a folder %s: %s", w->folder, strerror(errno));
    snprintf(w->program, sizeof w->program, "%s/test", w->folder);
    snprintf(w->log, sizeof w->log, "%s/log", w->folder);
    return GLIA_OK;
}

static void close_workplace(const workplace *w) {
    (void)remove(w->program);
    (void)remove(w->log);
    (void)rmdir(w->folder);
}

/* Runs a command, whose words end with NULL; all that it prints goes to the log. *code: what it exits with, −1 for a signal. */
static glia_status run(const char *const *words, const workplace *w, int *code, glia_error *err) {
    posix_spawn_file_actions_t files;
    pid_t child;
    int state = 0;
    if (posix_spawn_file_actions_init(&files))
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    int failed = posix_spawn_file_actions_addopen(&files, 1, w->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!failed) failed = posix_spawn_file_actions_adddup2(&files, 1, 2);
    if (!failed)
        failed = posix_spawnp(&child, words[0], &files, NULL, (char *const *)(uintptr_t)words, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    if (failed == ENOENT)
        return glia_error_set(err, GLIA_NOT_FOUND,
                              "there is no compiler '%.100s' to check the file with; CC names another",
                              words[0]);
    if (failed) return glia_error_set(err, GLIA_IO, "cannot run %.200s: %s", words[0], strerror(failed));
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR) return glia_error_set(err, GLIA_IO, "lost %.200s: %s", words[0], strerror(errno));
    *code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    return GLIA_OK;
}

/* The first line of the log that has `word`, or its first. */
static void find_line(const workplace *w, const char *word, char *out, size_t capacity) {
    char *text;
    size_t bytes;
    *out = 0;
    if (glia__file_read(w->log, 1 << 24, NULL, &text, &bytes, NULL) != GLIA_OK) return;
    const char *line = strstr(text, word);
    while (line && line > text && line[-1] != '\n') line--;
    if (!line) line = text;
    snprintf(out, capacity, "%.*s", (int)strcspn(line, "\n"), line);
    glia__free(NULL, text, bytes + 1);
}

/* CC, which may be several words, or cc; returns how many. */
static int compiler(char *copy, size_t capacity, const char **words) {
    const char *cc = getenv("CC");
    char *rest = NULL;
    int count = 0;
    snprintf(copy, capacity, "%s", cc && cc[strspn(cc, " ")] ? cc : "cc");
    for (char *word = strtok_r(copy, " ", &rest); word && count < MOST_WORDS / 2;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return count;
}

static glia_status compile(const char *path, const char *prefix, const workplace *w, glia_error *err) {
    const char *words[MOST_WORDS];
    char cc[512], test[80], line[300];
    int code, n = compiler(cc, sizeof cc, words);
    snprintf(test, sizeof test, "-D%s_TEST", prefix);
    for (char *c = test + 2; *c; c++)
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
    const char *const rest[] = {"-std=c99", "-O1", test, path, "-o", w->program, "-lm", NULL};
    for (size_t i = 0; i < GLIA_COUNT(rest); i++) words[n++] = rest[i];
    GLIA_TRY(run(words, w, &code, err));
    if (code == 0) return GLIA_OK;
    find_line(w, "error", line, sizeof line);
    return glia_error_set(err, GLIA_BAD_DATA, "%.200s does not compile: %s", path, line);
}

glia_status glia__emit_check(const char *path, const char *prefix, const char *weights,
                             glia_export_result *result, glia_error *err) {
    workplace w;
    char line[300];
    int code = 0, examples = 0;
    double worst = 0;
    GLIA_TRY(open_workplace(&w, err));
    glia_status status = compile(path, prefix, &w, err);
    if (status == GLIA_OK) status = run((const char *const[]){w.program, weights, NULL}, &w, &code, err);
    if (status == GLIA_OK) {
        find_line(&w, "predictions, at most", line, sizeof line);
        const char *found = strstr(line, ": ");
        if (!found || sscanf(found, ": %d predictions, at most %le", &examples, &worst) != 2)
            status = glia_error_set(err, GLIA_BAD_DATA, "%.200s: its self-test ends with %d: %s", path, code,
                                    line);
    }
    close_workplace(&w);
    if (status != GLIA_OK) return status;
    snprintf(line, sizeof line, "compiled, %d made-up examples", examples);
    return glia__check_finish(result, line, worst, path, err);
}

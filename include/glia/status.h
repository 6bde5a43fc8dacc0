/* status.h: how every fallible function of Glia says what went wrong. */
#ifndef GLIA_STATUS_H
#define GLIA_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GLIA_MUST_CHECK     __attribute__((warn_unused_result))
#define GLIA_PRINTF(fmt, a) __attribute__((format(printf, fmt, a)))
#define GLIA_API            __attribute__((visibility("default")))
#else
#define GLIA_MUST_CHECK
#define GLIA_PRINTF(fmt, a)
#define GLIA_API
#endif

/* One list gives the enum, the names and the messages: X(code, message). */
#define GLIA_STATUS_LIST(X)                                  \
    X(OK, "success")                                         \
    X(OUT_OF_MEMORY, "out of memory")                        \
    X(INVALID_ARGUMENT, "invalid argument")                  \
    X(BAD_SHAPE, "shapes or dtypes do not fit")              \
    X(BAD_FORMAT, "malformed file or text")                  \
    X(BAD_DATA, "data out of the expected range")            \
    X(NOT_FOUND, "not found")                                \
    X(IO, "input/output error")                              \
    X(UNSUPPORTED, "not supported by this build or version") \
    X(NOT_FINITE, "a value became NaN or infinite")          \
    X(INTERRUPTED, "interrupted")                            \
    X(INTERNAL, "internal error: a bug in Glia")

typedef enum glia_status {
#define GLIA_STATUS_ENUM(code, message) GLIA_##code,
    GLIA_STATUS_LIST(GLIA_STATUS_ENUM)
#undef GLIA_STATUS_ENUM
} glia_status;

/* The first thing that went wrong. The caller owns it, zero-initialised ({0}), and may pass NULL instead.
 * A function fills it only when it fails and only when `status` is still GLIA_OK: the first error wins. */
typedef struct glia_error {
    glia_status status;
    char message[512]; /* one line, no trailing newline: what was expected, what was found, a hint */
    char node[64];     /* layer or graph node, "" when none */
    char file[192];    /* file name, "" when none */
    int64_t line;      /* 1-based line in `file`, 0 when none */
    int64_t column;    /* 1-based column in `line`, 0 when none */
    int64_t offset;    /* byte offset in `file`, -1 or 0 when none */
} glia_error;

/* "OUT_OF_MEMORY" and the like; never NULL. */
GLIA_API const char *glia_status_name(glia_status status);
/* The sentence of GLIA_STATUS_LIST; never NULL. */
GLIA_API const char *glia_status_message(glia_status status);

/* Fills `err` (NULL allowed, ignored if it already holds an error) and returns `status`, so that one may
 * write `return glia_error_set(err, GLIA_IO, "...")`. A status of GLIA_OUT_OF_MEMORY allocates nothing. */
GLIA_API glia_status glia_error_set(glia_error *err, glia_status status, const char *format, ...)
    GLIA_PRINTF(3, 4);
/* Adds where it happened to an error that has no place yet. NULL `err` or `file` are ignored. */
GLIA_API void glia_error_at(glia_error *err, const char *file, int64_t line, int64_t column);
/* Forgets the error, so that the struct can be used again. */
GLIA_API void glia_error_clear(glia_error *err);
/* Writes "file:line:column: message" (the parts that are known) to `out`, always terminated; returns `out`.
 */
GLIA_API const char *glia_error_text(const glia_error *err, char *out, uint64_t capacity);

#ifdef __cplusplus
}
#endif
#endif

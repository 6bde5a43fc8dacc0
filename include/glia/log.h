/* log.h: where Glia's messages go. */
#ifndef GLIA_LOG_H
#define GLIA_LOG_H

#include "glia/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum glia_log_level {
    GLIA_LOG_DEBUG,
    GLIA_LOG_INFO,
    GLIA_LOG_WARNING,
    GLIA_LOG_ERROR
} glia_log_level;

/* Receives each line (no newline, valid during the call). May be called from the thread that called Glia
 * only. */
typedef struct glia_logger {
    void (*line)(void *ctx, glia_log_level level, const char *text);
    void *ctx;
    glia_log_level level; /* lines below it are dropped */
} glia_logger;

#ifdef __cplusplus
}
#endif
#endif

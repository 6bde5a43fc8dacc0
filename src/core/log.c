/* log.c: formats one line for the caller's logger. */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void glia__log(const glia_logger *logger, glia_log_level level, const char *format, ...) {
    if (!logger || !logger->line || level < logger->level) return;
    char line[2048];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length < 0) return;
    if ((size_t)length >= sizeof line) memcpy(line + sizeof line - 4, "...", 4);
    logger->line(logger->ctx, level, line);
}

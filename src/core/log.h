/* log.h: lines for people go to a callback of the caller; the library itself prints nothing. */
#ifndef GLIA_CORE_LOG_H
#define GLIA_CORE_LOG_H

#include "glia/log.h"

/* Formats and hands one line to the logger; NULL logger: nothing happens. */
void glia__log(const glia_logger *logger, glia_log_level level, const char *format, ...) GLIA_PRINTF(3, 4);

#endif

/* status.c: status names and the caller-owned error. */
#include "glia/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *glia_status_name(glia_status status) {
    static const char *const names[] = {
#define STATUS_NAME(code, message) #code,
        GLIA_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    };
    if ((unsigned)status >= sizeof names / sizeof names[0]) return "UNKNOWN";
    return names[status];
}

const char *glia_status_message(glia_status status) {
    static const char *const messages[] = {
#define STATUS_MESSAGE(code, message) message,
        GLIA_STATUS_LIST(STATUS_MESSAGE)
#undef STATUS_MESSAGE
    };
    if ((unsigned)status >= sizeof messages / sizeof messages[0]) return "unknown status";
    return messages[status];
}

/* A message cut by the end of its buffer must not end in half a UTF-8 character. */
static void drop_half_character(char *text) {
    size_t length = strlen(text), start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < wanted) text[start - 1] = '\0';
}

glia_status glia_error_set(glia_error *err, glia_status status, const char *format, ...) {
    if (!err || status == GLIA_OK || err->status != GLIA_OK) return status;
    err->status = status;
    if (!format) format = ""; /* the status says it all */
    va_list args;
    va_start(args, format);
    int length = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (length >= (int)sizeof err->message) drop_half_character(err->message);
    if (length <= 0) snprintf(err->message, sizeof err->message, "%s", glia_status_message(status));
    return status;
}

void glia_error_at(glia_error *err, const char *file, int64_t line, int64_t column) {
    if (!err || !file || err->status == GLIA_OK || err->file[0]) return;
    /* The end of a long path says more than its beginning. */
    size_t length = strlen(file), room = sizeof err->file - 1;
    if (length <= room)
        memcpy(err->file, file, length + 1);
    else
        snprintf(err->file, sizeof err->file, "...%s", file + length - (room - 3));
    if (err->line == 0) {
        err->line = line;
        err->column = column;
    }
}

void glia_error_clear(glia_error *err) {
    if (err) *err = (glia_error){.status = GLIA_OK};
}

const char *glia_error_text(const glia_error *err, char *out, uint64_t capacity) {
    if (!out || capacity == 0) return "";
    out[0] = '\0';
    if (!err) return out;
    char place[320] = "", node[80] = "";
    if (err->file[0] || err->line > 0) {
        int n = snprintf(place, sizeof place, "%s", err->file[0] ? err->file : "line ");
        if (err->line > 0) {
            n += snprintf(place + n, sizeof place - (size_t)n, "%s%" PRId64, err->file[0] ? ":" : "",
                          err->line);
            if (err->column > 0) n += snprintf(place + n, sizeof place - (size_t)n, ":%" PRId64, err->column);
        } else if (err->offset > 0) {
            n += snprintf(place + n, sizeof place - (size_t)n, ": at byte %" PRId64, err->offset);
        }
        snprintf(place + n, sizeof place - (size_t)n, ": ");
    }
    if (err->node[0] && !strstr(err->message, err->node)) snprintf(node, sizeof node, "%s: ", err->node);
    int length = snprintf(out, capacity, "%s%s%s", place, node,
                          err->message[0] ? err->message : glia_status_message(err->status));
    if (length >= 0 && (uint64_t)length >= capacity) drop_half_character(out);
    return out;
}

/* wire_read.h: protobuf's encoding, read into structs that tables describe.
 *
 * Nothing is recursive by the file's will: a message holds only what its table names, and no table names itself, so
 * the depth is that of the tables; what they do not name is skipped by its length. Bytes are borrowed from the file. */
#ifndef GLIA_ONNX_WIRE_READ_H
#define GLIA_ONNX_WIRE_READ_H

#include "core/mem.h"
#include "glia/status.h"
#include "onnx/fields.h"

typedef enum glia_wire_kind {
    GLIA_WIRE_TEXT,    /* const char *, copied to the arena with a zero after it; no zero inside */
    GLIA_WIRE_DATA,    /* const void *; its size at `count`: borrowed */
    GLIA_WIRE_INT,     /* int64_t; when `count` is given, that becomes 1 */
    GLIA_WIRE_FLOAT,   /* float */
    GLIA_WIRE_MESSAGE, /* struct *: NULL when absent */
    GLIA_WIRE_SEEN,    /* bool: it is there, whatever it holds */
    /* Repeated: an array, whose length is at `count`. */
    GLIA_WIRE_TEXTS, /* const char ** */
    GLIA_WIRE_INTS,  /* int64_t *, packed or one by one */
    GLIA_WIRE_FIXED32, /* const void *: bytes, 4 a number, their size at `count`; borrowed when packed in one piece */
    GLIA_WIRE_FIXED64,  /* the same with 8 */
    GLIA_WIRE_MESSAGES, /* struct * */
} glia_wire_kind;

struct glia_wire_message;

typedef struct glia_wire_field {
    int number; /* 0 ends a table */
    glia_wire_kind kind;
    size_t offset, count; /* where the value and its count (size_t) are in the struct */
    const struct glia_wire_message *message;
    const char *name; /* for messages to people: "node" */
} glia_wire_field;

typedef struct glia_wire_message {
    const char *name; /* "NodeProto" */
    size_t size;
    const glia_wire_field *fields;
} glia_wire_message;

typedef struct glia_wire_reader {
    const unsigned char *file; /* where offsets in errors are counted from */
    glia_arena *arena;
    size_t budget; /* bytes of the arena: more than honest files of this size need is refused */
    const char *path;
    glia_error *err;
} glia_wire_reader;

/* Reads the message in data[0 … bytes) to `object`, which is zeroed first. */
GLIA_MUST_CHECK glia_status glia__wire_read(const glia_wire_reader *reader, const glia_wire_message *message,
                                            const unsigned char *data, size_t bytes, void *object);

#endif

/* wire_read.c: protobuf's encoding: keys, varints, lengths. Each message is walked twice: to count what repeats, and to
 * read it. */

#include "onnx/wire_read.h"

#include <stdio.h>

typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

/* One field as it lies in the file. */
typedef struct token {
    const unsigned char *start;
    uint64_t number; /* of the field */
    int type;
    uint64_t value;            /* varint, or the bits of a fixed number */
    const unsigned char *data; /* BYTES */
    size_t bytes;
} token;

static glia_status fail(const glia_wire_reader *r, const unsigned char *at, const char *format,
                        const char *what) {
    glia_error err = {0};
    (void)glia_error_set(&err, GLIA_BAD_FORMAT, format, what);
    (void)glia_error_set(r->err, GLIA_BAD_FORMAT, "%s, at byte %zu; the file is damaged or is no ONNX file",
                         err.message, (size_t)(at - r->file));
    glia_error_at(r->err, r->path, 0, 0);
    if (r->err) r->err->offset = at - r->file;
    return GLIA_BAD_FORMAT;
}

static bool read_varint(cursor *c, uint64_t *out) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (c->at == c->end) return false;
        const unsigned char byte = *c->at++;
        if (shift == 63 && byte > 1) return false; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static uint64_t little_endian(const unsigned char *data, int bytes) {
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | data[i];
    return value;
}

/* The next field. Call while c->at < c->end. */
static glia_status read_token(const glia_wire_reader *r, const glia_wire_message *m, cursor *c, token *t) {
    *t = (token){.start = c->at};
    uint64_t key;
    if (!read_varint(c, &key)) return fail(r, t->start, "%s ends in the middle of a field", m->name);
    t->number = key >> 3;
    t->type = (int)(key & 7);
    const size_t left = (size_t)(c->end - c->at);
    if (t->type == GLIA_WIRE_VARINT) {
        if (!read_varint(c, &t->value)) return fail(r, t->start, "%s has a broken number", m->name);
    } else if (t->type == GLIA_WIRE_I32 || t->type == GLIA_WIRE_I64) {
        const int bytes = t->type == GLIA_WIRE_I32 ? 4 : 8;
        if (left < (size_t)bytes) return fail(r, t->start, "%s ends in the middle of a field", m->name);
        t->value = little_endian(c->at, bytes);
        c->at += bytes;
    } else if (t->type == GLIA_WIRE_BYTES) {
        uint64_t bytes;
        if (!read_varint(c, &bytes) || bytes > (uint64_t)(c->end - c->at))
            return fail(r, t->start, "%s has a field that is longer than the rest of it", m->name);
        t->data = c->at;
        t->bytes = (size_t)bytes;
        c->at += t->bytes;
    } else {
        return fail(r, t->start, "%s has a field of a wire type that ONNX does not use", m->name);
    }
    return GLIA_OK;
}

static const glia_wire_field *find_field(const glia_wire_message *m, uint64_t number) {
    for (const glia_wire_field *f = m->fields; f->number; f++)
        if ((uint64_t)f->number == number) return f;
    return NULL;
}

static bool type_fits(const glia_wire_field *f, int type) {
    switch (f->kind) {
    case GLIA_WIRE_INT:
        return type == GLIA_WIRE_VARINT;
    case GLIA_WIRE_FLOAT:
        return type == GLIA_WIRE_I32;
    case GLIA_WIRE_INTS:
        return type == GLIA_WIRE_VARINT || type == GLIA_WIRE_BYTES;
    case GLIA_WIRE_FIXED32:
        return type == GLIA_WIRE_I32 || type == GLIA_WIRE_BYTES;
    case GLIA_WIRE_FIXED64:
        return type == GLIA_WIRE_I64 || type == GLIA_WIRE_BYTES;
    case GLIA_WIRE_SEEN:
        return true;
    default:
        return type == GLIA_WIRE_BYTES;
    }
}

/* --- arrays ---------------------------------------------------------------------------------------------- */

static size_t *count_of(const glia_wire_field *f, void *object) {
    return (size_t *)(void *)((char *)object + f->count);
}

static void **place_of(const glia_wire_field *f, void *object) {
    return (void **)(void *)((char *)object + f->offset);
}

static size_t item_size(const glia_wire_field *f) {
    switch (f->kind) {
    case GLIA_WIRE_TEXTS:
        return sizeof(char *);
    case GLIA_WIRE_INTS:
        return sizeof(int64_t);
    case GLIA_WIRE_FIXED32:
    case GLIA_WIRE_FIXED64:
        return 1;
    case GLIA_WIRE_MESSAGES:
        return f->message->size;
    default:
        return 0; /* not repeated */
    }
}

/* How many items a token adds. */
static size_t items_in(const glia_wire_field *f, const token *t) {
    if (f->kind == GLIA_WIRE_FIXED32 || f->kind == GLIA_WIRE_FIXED64)
        return t->type == GLIA_WIRE_BYTES ? t->bytes : t->type == GLIA_WIRE_I32 ? 4 : 8;
    if (f->kind != GLIA_WIRE_INTS || t->type != GLIA_WIRE_BYTES) return 1;
    size_t ends = 0;
    for (size_t i = 0; i < t->bytes; i++) ends += !(t->data[i] & 0x80);
    return ends;
}

static void *take(const glia_wire_reader *r, size_t bytes, const unsigned char *at, glia_status *status) {
    if (bytes > r->budget || r->arena->used > r->budget - bytes) {
        *status = fail(r, at, "%s needs far more memory than its size explains", "the file");
        return NULL;
    }
    void *memory = glia__arena_alloc(r->arena, bytes ? bytes : 1);
    if (!memory)
        *status = glia_error_set(r->err, GLIA_OUT_OF_MEMORY, "out of memory while reading %s", r->path);
    return memory;
}

/* Counts what repeats and makes room for it; the counts are zero again afterwards. */
static glia_status make_room(const glia_wire_reader *r, const glia_wire_message *m, cursor c, void *object) {
    token t;
    const unsigned char *start = c.at;
    while (c.at < c.end) {
        GLIA_TRY(read_token(r, m, &c, &t));
        const glia_wire_field *f = find_field(m, t.number);
        if (!f) continue;
        if (!type_fits(f, t.type)) {
            char what[96];
            (void)snprintf(what, sizeof what, "%s.%s", m->name, f->name);
            return fail(r, t.start, "%s has the wrong type", what);
        }
        if (item_size(f)) *count_of(f, object) += items_in(f, &t);
    }
    for (const glia_wire_field *f = m->fields; f->number; f++) {
        glia_status status = GLIA_OK;
        if (!item_size(f) || !*count_of(f, object)) continue;
        const bool borrowed = f->kind == GLIA_WIRE_FIXED32 || f->kind == GLIA_WIRE_FIXED64;
        if (!borrowed) { /* count times size cannot overflow: each item has at least a byte of the file */
            *place_of(f, object) = take(r, *count_of(f, object) * item_size(f), start, &status);
            if (status != GLIA_OK) return status;
            *count_of(f, object) = 0;
        }
    }
    return GLIA_OK;
}

/* --- values ---------------------------------------------------------------------------------------------- */

static const char *copy_text(const glia_wire_reader *r, const token *t, glia_status *status) {
    if (t->bytes && memchr(t->data, 0, t->bytes)) {
        *status = fail(r, t->start, "%s has a zero byte in it", "a name");
        return NULL;
    }
    char *copy = take(r, t->bytes + 1, t->start, status);
    if (copy && t->bytes) memcpy(copy, t->data, t->bytes);
    return copy; /* the arena's memory is zero */
}

static glia_status add_ints(const glia_wire_reader *r, const glia_wire_field *f, const token *t,
                            void *object) {
    int64_t *ints = *place_of(f, object);
    size_t *count = count_of(f, object);
    if (t->type == GLIA_WIRE_VARINT) {
        ints[(*count)++] = (int64_t)t->value;
        return GLIA_OK;
    }
    for (cursor c = {t->data, t->data + t->bytes}; c.at < c.end;) {
        uint64_t value;
        if (!read_varint(&c, &value)) return fail(r, t->start, "%s has a broken number", f->name);
        ints[(*count)++] = (int64_t)value;
    }
    return GLIA_OK;
}

/* Numbers of fixed size: in one piece they are borrowed, else put together. `count` holds their bytes from make_room on;
 * how far they are filled is told by the difference to what is still to come. */
static glia_status add_fixed(const glia_wire_reader *r, const glia_wire_field *f, const token *t,
                             void *object, size_t *filled) {
    const size_t size = f->kind == GLIA_WIRE_FIXED32 ? 4 : 8, all = *count_of(f, object);
    void **place = place_of(f, object);
    glia_status status = GLIA_OK;
    if (t->type == GLIA_WIRE_BYTES && t->bytes % size)
        return fail(r, t->start, "%s is cut in the middle of a number", f->name);
    if (t->type == GLIA_WIRE_BYTES && t->bytes == all) {
        *place = (void *)(uintptr_t)t->data; /* read-only from here on */
        return GLIA_OK;
    }
    if (!*place) *place = take(r, all, t->start, &status);
    if (!*place) return status;
    unsigned char *to = (unsigned char *)*place + *filled;
    if (t->type == GLIA_WIRE_BYTES && t->bytes) memcpy(to, t->data, t->bytes);
    if (t->type != GLIA_WIRE_BYTES)
        for (size_t i = 0; i < size; i++) to[i] = (unsigned char)(t->value >> 8 * i);
    *filled += t->type == GLIA_WIRE_BYTES ? t->bytes : size;
    return GLIA_OK;
}

static glia_status read_message(const glia_wire_reader *r, const glia_wire_field *f, const token *t,
                                void *object) {
    glia_status status = GLIA_OK;
    if (f->kind == GLIA_WIRE_MESSAGES) {
        char *items = *place_of(f, object);
        void *item = items + (*count_of(f, object))++ * f->message->size;
        return glia__wire_read(r, f->message, t->data, t->bytes, item);
    }
    if (*place_of(f, object)) return fail(r, t->start, "%s is there twice", f->name);
    *place_of(f, object) = take(r, f->message->size, t->start, &status);
    if (status != GLIA_OK) return status;
    return glia__wire_read(r, f->message, t->data, t->bytes, *place_of(f, object));
}

/* `filled`: how far each FIXED field of the message is filled, by its place in the table. */
static glia_status read_value(const glia_wire_reader *r, const glia_wire_field *f, const token *t,
                              void *object, size_t *filled) {
    char *place = (char *)object + f->offset;
    glia_status status = GLIA_OK;
    const uint32_t bits = (uint32_t)t->value;
    switch (f->kind) {
    case GLIA_WIRE_TEXT:
        *place_of(f, object) = (void *)(uintptr_t)copy_text(r, t, &status);
        break;
    case GLIA_WIRE_DATA:
        *place_of(f, object) = (void *)(uintptr_t)t->data;
        *count_of(f, object) = t->bytes;
        break;
    case GLIA_WIRE_INT:
        memcpy(place, &t->value, sizeof(int64_t));
        if (f->count) *count_of(f, object) = 1;
        break;
    case GLIA_WIRE_FLOAT:
        memcpy(place, &bits, sizeof(float));
        break;
    case GLIA_WIRE_SEEN:
        *(bool *)place = true;
        break;
    case GLIA_WIRE_TEXTS: {
        const char **texts = *place_of(f, object);
        texts[(*count_of(f, object))++] = copy_text(r, t, &status);
        break;
    }
    case GLIA_WIRE_INTS:
        return add_ints(r, f, t, object);
    case GLIA_WIRE_FIXED32:
    case GLIA_WIRE_FIXED64:
        return add_fixed(r, f, t, object, filled);
    case GLIA_WIRE_MESSAGE:
    case GLIA_WIRE_MESSAGES:
        return read_message(r, f, t, object);
    }
    return status;
}

glia_status glia__wire_read(const glia_wire_reader *r, const glia_wire_message *m, const unsigned char *data,
                            size_t bytes, void *object) {
    enum { MOST_FIELDS = 24 };
    size_t filled[MOST_FIELDS] = {0};
    cursor c = {data, data + bytes};
    token t;
    memset(object, 0, m->size);
    GLIA_TRY(make_room(r, m, c, object));
    while (c.at < c.end) {
        GLIA_TRY(read_token(r, m, &c, &t));
        const glia_wire_field *f = find_field(m, t.number);
        if (f) GLIA_TRY(read_value(r, f, &t, object, &filled[f - m->fields]));
    }
    return GLIA_OK;
}

/* tensor.c: TensorProto: its type, dimensions and data checked against each other; external data; closing a file. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "onnx/carried.h"
#include "onnx/proto.h"

/* A file beside the model, with data of tensors. */
typedef struct glia_onnx_external {
    struct glia_onnx_external *next;
    const char *name;
    glia_map map;
} external;

void glia_onnx_close(glia_onnx *file) {
    if (!file) return;
    const glia_allocator *allocator = file->allocator;
    for (external *e = file->external; e; e = e->next) glia__map_close(&e->map);
    glia__map_close(&file->map);
    glia__arena_free(&file->arena);
    glia__free(allocator, file, sizeof *file);
}

#define ROW(code, number, name, dtype) {number, name, dtype},
static const struct {
    int64_t number;
    const char *name;
    int dtype;
} dtypes[] = {GLIA_ONNX_DTYPE_LIST(ROW)};

const char *glia__onnx_dtype_name(int64_t data_type) {
    for (size_t i = 0; i < GLIA_COUNT(dtypes); i++)
        if (dtypes[i].number == data_type) return dtypes[i].name;
    return "an unknown type";
}

int glia__onnx_dtype_number(glia_dtype dtype) {
    for (size_t i = 0; i < GLIA_COUNT(dtypes); i++)
        if (dtypes[i].dtype == (int)dtype) return (int)dtypes[i].number;
    return 0;
}

glia_dtype glia__onnx_dtype(int64_t data_type) {
    const glia_narrow_type *narrow = glia__onnx_narrow(data_type);
    if (narrow) return narrow->carrier;
    for (size_t i = 0; i < GLIA_COUNT(dtypes); i++)
        if (dtypes[i].number == data_type) return (glia_dtype)dtypes[i].dtype;
    return GLIA_DTYPE_COUNT;
}

static glia_status bad(const glia_onnx *file, const glia_onnx_tensor *t, glia_error *err, const char *what) {
    (void)glia_error_set(err, GLIA_BAD_FORMAT, "tensor '%s': %s", t->name ? t->name : "", what);
    glia_error_at(err, file->path, 0, 0);
    return GLIA_BAD_FORMAT;
}

/* --- external data ---------------------------------------------------------------------------------------- */

/* A name that stays in the model's folder: no absolute path, no "..", no other system's separators. */
static bool name_stays(const char *name) {
    if (!*name || *name == '/' || strchr(name, '\\') || strchr(name, ':')) return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0)) return false;
    }
    return true;
}

static bool lies_under(const char *path, const char *folder, size_t length) {
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* A link may lead to a file beside the model, or beside what the model itself is a link to, and to no other. What is not
 * there is for others to say. */
static bool link_stays(const char *model, const char *data) {
    char whole[PATH_MAX], at[PATH_MAX], folder[PATH_MAX];
    const char *slash = strrchr(model, '/');
    if (!realpath(data, whole)) return true;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - model) + 1 : 1, slash ? model : ".");
    if (realpath(folder, at) && lies_under(whole, at, strcmp(at, "/") == 0 ? 0 : strlen(at))) return true;
    return realpath(model, at) && lies_under(whole, at, (size_t)(strrchr(at, '/') - at));
}

static glia_status open_external(glia_onnx *file, const char *name, const external **out, glia_error *err) {
    for (const external *e = file->external; e; e = e->next)
        if (strcmp(e->name, name) == 0) {
            *out = e;
            return GLIA_OK;
        }
    const char *slash = strrchr(file->path, '/');
    const int folder = slash ? (int)(slash - file->path) + 1 : 0;
    const char *path = glia__arena_printf(&file->arena, "%.*s%s", folder, file->path, name);
    external *e = glia__arena_alloc(&file->arena, sizeof *e);
    if (!path || !e) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    if (!link_stays(file->path, path)) return GLIA_OK; /* *out stays NULL */
    GLIA_TRY(glia__map_open(&e->map, path, err));
    e->name = name;
    e->next = file->external;
    *out = file->external = e;
    return GLIA_OK;
}

static glia_status use_external(glia_onnx *file, glia_onnx_tensor *t, size_t bytes, glia_error *err) {
    const char *location = NULL;
    int64_t offset = 0, length = (int64_t)bytes;
    const external *e = NULL;
    for (size_t i = 0; i < t->n_external; i++) {
        const char *key = t->external[i].key ? t->external[i].key : "";
        const char *text = t->external[i].text ? t->external[i].text : "";
        if (strcmp(key, "location") == 0) location = text;
        if ((strcmp(key, "offset") == 0 && !glia__parse_int(text, &offset)) ||
            (strcmp(key, "length") == 0 && !glia__parse_int(text, &length)))
            return bad(file, t, err, "offset or length of its external data is no number");
    }
    if (!location) return bad(file, t, err, "its external data have no location");
    if (!name_stays(location))
        return bad(file, t, err, "its external data are outside of the model's folder, which is refused");
    if (length != (int64_t)bytes)
        return bad(file, t, err, "the length of its external data does not fit its type and dimensions");
    GLIA_TRY(open_external(file, location, &e, err));
    if (!e)
        return bad(file, t, err,
                   "its external data are a link that leads out of the model's folder, which is refused");
    if (offset < 0 || (uint64_t)offset > e->map.bytes || e->map.bytes - (uint64_t)offset < bytes)
        return bad(file, t, err, "its external data reach beyond the end of their file");
    t->data = e->map.data + offset;
    t->bytes = bytes;
    return GLIA_OK;
}

/* --- data in the file -------------------------------------------------------------------------------------- */

/* int32_data holds everything that is narrower: each number is cut to the type, or is a byte of several. */
static glia_status narrow(glia_onnx *file, glia_onnx_tensor *t, const int64_t *numbers, size_t count,
                          glia_error *err) {
    const glia_narrow_type *type = glia__onnx_narrow(t->data_type);
    const size_t size = type ? ((size_t)type->bits + 7) / 8 : glia_dtype_bytes(t->dtype);
    unsigned char *data = glia__arena_alloc(&file->arena, count * size + 1);
    if (!data) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < size; b++) data[i * size + b] = (unsigned char)((uint64_t)numbers[i] >> 8 * b);
    t->data = data;
    t->bytes = count * size;
    return GLIA_OK;
}

static glia_status find_data(glia_onnx *file, glia_onnx_tensor *t, glia_error *err) {
    t->data = "";
    if (t->raw) {
        t->data = t->raw;
        t->bytes = t->raw_bytes;
    } else if (t->floats && t->dtype == GLIA_F32) {
        t->data = t->floats;
        t->bytes = t->floats_bytes;
    } else if (t->doubles && t->dtype == GLIA_F64) {
        t->data = t->doubles;
        t->bytes = t->doubles_bytes;
    } else if (t->int64s && t->dtype == GLIA_I64) {
        t->data = t->int64s;
        t->bytes = t->n_int64s * sizeof(int64_t);
    } else if (t->uint64s && t->data_type == GLIA_ONNX_U32) {
        return narrow(file, t, t->uint64s, t->n_uint64s, err);
    } else if (t->int32s && t->data_type != GLIA_ONNX_F32 && t->dtype != GLIA_F64 && t->dtype != GLIA_I64) {
        return narrow(file, t, t->int32s, t->n_int32s, err);
    }
    return GLIA_OK;
}

/* Numbers of a narrow type in the dtype that carries them. They lie behind their own room, which they never overtake. */
static glia_status widen(glia_onnx *file, glia_onnx_tensor *t, size_t elems, glia_error *err) {
    const glia_narrow_type *type = glia__onnx_narrow(t->data_type);
    const size_t size = glia_dtype_bytes(type->carrier);
    unsigned char *wide = glia__arena_alloc(&file->arena, elems * size + 1);
    if (!wide) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    unsigned char *bits = wide + elems * size - t->bytes;
    glia__onnx_data_copy(file, t->data, t->bytes, bits);
    glia__onnx_widen(type, bits, elems, wide);
    t->data = wide;
    t->bytes = elems * size;
    return GLIA_OK;
}

glia_status glia__onnx_tensor_check(glia_onnx *file, glia_onnx_tensor *t, glia_error *err) {
    if (t->checked) return GLIA_OK;
    if (t->n_dims > GLIA_MAX_RANK) return bad(file, t, err, "it has more than 8 dimensions");
    t->dtype = glia__onnx_dtype(t->data_type);
    t->shape = glia_shape_of(t->dims, t->n_dims);
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] < 0) return bad(file, t, err, "it has a negative dimension");
    const int64_t elems = glia_shape_elems(&t->shape);
    if (elems < 0 || elems > INT64_MAX / 64) return bad(file, t, err, "its dimensions are too large");
    t->checked = true;
    if (t->dtype == GLIA_DTYPE_COUNT) return GLIA_OK; /* to be refused by who needs it */
    const glia_narrow_type *type = glia__onnx_narrow(t->data_type);
    const size_t bytes =
        type ? ((size_t)elems * (size_t)type->bits + 7) / 8 : (size_t)elems * glia_dtype_bytes(t->dtype);
    if (t->location == GLIA_ONNX_LOCATION_EXTERNAL)
        GLIA_TRY(use_external(file, t, bytes, err));
    else
        GLIA_TRY(find_data(file, t, err));
    if (t->bytes == bytes) return type ? widen(file, t, (size_t)elems, err) : GLIA_OK;
    char what[160];
    (void)snprintf(what, sizeof what, "%s data of its dimensions are %zu bytes, the file holds %zu",
                   glia__onnx_dtype_name(t->data_type), bytes, t->bytes);
    return bad(file, t, err, what);
}

glia_status glia__onnx_find_external(glia_onnx *file, glia_error *err) {
    const glia_onnx_graph *graph = file->model.graph;
    for (size_t i = 0; i < graph->n_initializers; i++)
        if (graph->initializers[i].location == GLIA_ONNX_LOCATION_EXTERNAL)
            GLIA_TRY(glia__onnx_tensor_check(file, &graph->initializers[i], err));
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (size_t k = 0; k < graph->nodes[i].n_attrs; k++) {
            glia_onnx_tensor *t = graph->nodes[i].attrs[k].tensor;
            if (t && t->location == GLIA_ONNX_LOCATION_EXTERNAL)
                GLIA_TRY(glia__onnx_tensor_check(file, t, err));
        }
    return GLIA_OK;
}

const char *glia__onnx_external(const glia_onnx *file, size_t index) {
    const external *e = file->external;
    while (e && index--) e = e->next;
    return e ? e->name : NULL;
}

void glia__onnx_data_copy(const glia_onnx *file, const void *data, size_t bytes, void *to) {
    const glia_map *map = glia__map_holds(&file->map, data, bytes) ? &file->map : NULL;
    for (const external *e = file->external; e && !map; e = e->next)
        if (glia__map_holds(&e->map, data, bytes)) map = &e->map;
    if (map)
        glia__map_copy(map, data, bytes, to);
    else if (bytes)
        memcpy(to, data, bytes);
}

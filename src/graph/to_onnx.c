/* to_onnx.c: nodes of ONNX as a list in memory; see to_onnx.h. */
#include "graph/to_onnx.h"

#include <stdarg.h>
#include <stdio.h>

/* --- failures --------------------------------------------------------------------------------------------- */

static void *out_of_memory(glia_to_onnx *w) {
    if (w->status == GLIA_OK) w->status = glia_error_set(w->err, GLIA_OUT_OF_MEMORY, "out of memory");
    return NULL;
}

static void *allocate(glia_to_onnx *w, size_t bytes) {
    void *memory = w->status == GLIA_OK ? glia__arena_alloc(w->arena, bytes) : NULL;
    return memory ? memory : out_of_memory(w);
}

void glia__to_onnx_refuse(glia_to_onnx *w, const char *format, ...) {
    char reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (w->status == GLIA_OK)
        w->status = glia_error_set(w->err, GLIA_UNSUPPORTED, "'%s' (op %s) cannot be written as ONNX: %s",
                                   w->node->name, w->node->op->name, reason);
}

/* --- names ------------------------------------------------------------------------------------------------ */

/* A hash table with open addresses: half of the places stay free. */
struct glia_to_onnx_names {
    const char **places;
    size_t capacity, used;
};

static size_t hash(const char *text) {
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)h;
}

/* The place of `name`, or the free one where it belongs. */
static const char **place_of(const struct glia_to_onnx_names *names, const char *name) {
    size_t at = hash(name) & (names->capacity - 1);
    while (names->places[at] && strcmp(names->places[at], name) != 0) at = (at + 1) & (names->capacity - 1);
    return &names->places[at];
}

static bool room_for_name(glia_to_onnx *w) {
    struct glia_to_onnx_names *names = w->names;
    if (!names) names = w->names = allocate(w, sizeof *names);
    if (!names) return false;
    if (2 * (names->used + 1) <= names->capacity) return true;
    struct glia_to_onnx_names grown = {.capacity = names->capacity ? 2 * names->capacity : 256,
                                       .used = names->used};
    grown.places = allocate(w, grown.capacity * sizeof *grown.places);
    if (!grown.places) return false;
    for (size_t i = 0; i < names->capacity; i++)
        if (names->places[i]) *place_of(&grown, names->places[i]) = names->places[i];
    *names = grown;
    return true;
}

const char *glia__to_onnx_name(glia_to_onnx *w, const char *wanted) {
    if (!room_for_name(w)) return "";
    const char *name = glia__arena_strdup(w->arena, wanted);
    for (int i = 2; name && *place_of(w->names, name); i++)
        name = glia__arena_printf(w->arena, "%s_%d", wanted, i);
    if (!name) {
        out_of_memory(w);
        return "";
    }
    *place_of(w->names, name) = name;
    w->names->used++;
    return name;
}

const char *glia__to_onnx_part(glia_to_onnx *w, const char *part) {
    const char *whole = w->node->name;
    for (int o = w->node->n_outputs; o-- > 0;)
        if (*w->y[o])
            whole = w->y[o]; /* the first result: its name stays when the file is read and written again */
    const char *name = glia__arena_printf(w->arena, "%s/%s", whole, part);
    if (!name) out_of_memory(w);
    return name ? glia__to_onnx_name(w, name) : "";
}

/* --- nodes ------------------------------------------------------------------------------------------------ */

const char *glia__to_onnx_node(glia_to_onnx *w, const char *out, const char *type, const char *const *inputs,
                               int count) {
    glia_to_onnx_node *node = allocate(w, sizeof *node);
    const char **names = allocate(w, ((size_t)count + 1 + GLIA_MAX_OUTPUTS) * sizeof *names);
    if (!node || !names) return "";
    while (count > 0 && !*inputs[count - 1]) count--; /* absent ones at the end are left out */
    for (int i = 0; i < count; i++) names[i] = inputs[i];
    *node = (glia_to_onnx_node){
        .type = type, .inputs = names, .outputs = names + count, .n_inputs = count, .n_outputs = 1};
    node->outputs[0] = out ? out : glia__to_onnx_part(w, type);
    node->name = node->outputs[0];
    if (w->last_node)
        w->last_node->next = node;
    else
        w->nodes = node;
    w->last_node = node;
    w->n_nodes++;
    return node->outputs[0];
}

void glia__to_onnx_output(glia_to_onnx *w, const char *name) {
    if (w->status == GLIA_OK && w->last_node->n_outputs < GLIA_MAX_OUTPUTS)
        w->last_node->outputs[w->last_node->n_outputs++] = name;
}

/* --- attributes ------------------------------------------------------------------------------------------- */

static glia_to_onnx_attr *add_attr(glia_to_onnx *w, const char *name, glia_to_onnx_kind kind) {
    glia_to_onnx_attr *attr = allocate(w, sizeof *attr);
    if (!attr) return NULL;
    *attr = (glia_to_onnx_attr){.name = name, .kind = kind};
    if (w->last_node->last_attr)
        w->last_node->last_attr->next = attr;
    else
        w->last_node->attrs = attr;
    w->last_node->last_attr = attr;
    return attr;
}

void glia__to_onnx_int(glia_to_onnx *w, const char *name, int64_t value) {
    glia_to_onnx_attr *attr = add_attr(w, name, GLIA_TO_INT);
    if (attr) attr->value.i = value;
}

void glia__to_onnx_float(glia_to_onnx *w, const char *name, double value) {
    glia_to_onnx_attr *attr = add_attr(w, name, GLIA_TO_FLOAT);
    if (attr) attr->value.f = (float)value;
}

static void *copy(glia_to_onnx *w, const void *data, size_t bytes) {
    char *own = allocate(w, bytes + 1);
    if (own && bytes) memcpy(own, data, bytes);
    return own;
}

static void add_text(glia_to_onnx *w, const char *name, glia_to_onnx_kind kind, const char *value) {
    glia_to_onnx_attr *attr = add_attr(w, name, kind);
    if (attr) attr->value.text = copy(w, value, strlen(value));
}

void glia__to_onnx_text(glia_to_onnx *w, const char *name, const char *value) {
    add_text(w, name, GLIA_TO_TEXT, value);
}

void glia__to_onnx_texts(glia_to_onnx *w, const char *name, const char *only) {
    add_text(w, name, GLIA_TO_TEXTS, only);
}

void glia__to_onnx_ints(glia_to_onnx *w, const char *name, const int64_t *values, int count) {
    glia_to_onnx_attr *attr = add_attr(w, name, GLIA_TO_INTS);
    if (!attr) return;
    attr->value.ints = copy(w, values, (size_t)count * sizeof *values);
    attr->count = count;
}

void glia__to_onnx_dtype(glia_to_onnx *w, const char *name, glia_dtype dtype) {
    glia_to_onnx_attr *attr = add_attr(w, name, GLIA_TO_DTYPE);
    if (attr) attr->value.i = (int64_t)dtype;
}

void glia__to_onnx_floats(glia_to_onnx *w, const char *name, const float *values, int count) {
    glia_to_onnx_attr *attr = add_attr(w, name, GLIA_TO_FLOATS);
    if (!attr) return;
    attr->value.floats = copy(w, values, (size_t)count * sizeof *values);
    attr->count = count;
}

/* A word of a choice: "none|tanh" and 1 give "tanh". */
static void add_choice(glia_to_onnx *w, const char *name, const glia_field *f) {
    const char *choices = f->choices;
    int index = *(const int *)((const char *)w->node->attrs + f->offset);
    for (; index > 0 && *choices; index--) choices += strcspn(choices, "|") + 1;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(choices, "|"), choices);
    glia__to_onnx_text(w, name, word);
}

void glia__to_onnx_choice(glia_to_onnx *w, const char *name, const char *field) {
    for (const glia_field *f = w->node->op->attrs; f->name; f++)
        if (strcmp(f->name, field) == 0) add_choice(w, name, f);
}

void glia__to_onnx_fields(glia_to_onnx *w) {
    for (const glia_field *f = w->node->op->attrs; f && f->name; f++) {
        const char *name = f->onnx ? f->onnx : f->name;
        const void *at = (const char *)w->node->attrs + f->offset;
        const glia_shape *dims = at;
        switch (f->kind) {
        case GLIA_FIELD_INT:
        case GLIA_FIELD_BYTES:
            glia__to_onnx_int(w, name, *(const int64_t *)at);
            break;
        case GLIA_FIELD_FLOAT:
            glia__to_onnx_float(w, name, *(const double *)at);
            break;
        case GLIA_FIELD_BOOL:
            glia__to_onnx_int(w, name, *(const glia_bool *)at == GLIA_YES);
            break;
        case GLIA_FIELD_CHOICE:
            add_choice(w, name, f);
            break;
        case GLIA_FIELD_INTS:
            glia__to_onnx_ints(w, name, at, f->count);
            break;
        case GLIA_FIELD_DIMS:
            if (dims->rank) glia__to_onnx_ints(w, name, dims->dim, dims->rank);
            break;
        case GLIA_FIELD_STRING:
            glia__to_onnx_text(w, name, *(const char *const *)at);
            break;
        }
    }
}

/* --- constants -------------------------------------------------------------------------------------------- */

void glia__to_onnx_borrow(glia_to_onnx *w, const char *name, const glia_type *type, const void *data,
                          bool constant) {
    glia_to_onnx_array *array = allocate(w, sizeof *array);
    if (!array) return;
    *array = (glia_to_onnx_array){name, type->dtype, type->shape, data, constant, NULL};
    if (w->last_array)
        w->last_array->next = array;
    else
        w->arrays = array;
    w->last_array = array;
}

/* A constant of the same bytes. */
static const char *find_same(const glia_to_onnx *w, const glia_type *type, const void *data, size_t bytes) {
    for (const glia_to_onnx_array *a = w->arrays; a; a = a->next)
        if (a->constant && a->dtype == type->dtype && glia_shape_equal(&a->shape, &type->shape) &&
            memcmp(a->data, data, bytes) == 0)
            return a->name;
    return NULL;
}

const char *glia__to_onnx_array(glia_to_onnx *w, glia_dtype dtype, glia_shape shape, const void *data) {
    const glia_type type = {dtype, shape};
    const size_t bytes = (size_t)glia_shape_elems(&shape) * glia_dtype_bytes(dtype);
    const char *name = w->status == GLIA_OK ? find_same(w, &type, data, bytes) : "";
    if (name) return name;
    name = glia__to_onnx_name(w, "const");
    const void *own = copy(w, data, bytes);
    if (own) glia__to_onnx_borrow(w, name, &type, own, true);
    return name;
}

const char *glia__to_onnx_number(glia_to_onnx *w, glia_dtype dtype, double number) {
    double storage = 0; /* wide enough for every dtype */
    glia_tensor scalar = glia_tensor_wrap(&storage, dtype, (glia_shape){0});
    glia_tensor_set(&scalar, 0, number);
    return glia__to_onnx_array(w, dtype, scalar.shape, &storage);
}

const char *glia__to_onnx_list(glia_to_onnx *w, const int64_t *values, int count) {
    return glia__to_onnx_array(w, GLIA_I64, GLIA_SHAPE(count), values);
}

/* --- what several ops need -------------------------------------------------------------------------------- */

const char *glia__to_onnx_i64(glia_to_onnx *w, int i) {
    if (w->node->inputs[i]->type.dtype == GLIA_I64) return w->x[i];
    const char *y = GLIA_TO_ONNX(w, NULL, "Cast", w->x[i]);
    glia__to_onnx_dtype(w, "to", GLIA_I64);
    return y;
}

const char *glia__to_onnx_transpose(glia_to_onnx *w, const char *out, const char *x, const int64_t *perm,
                                    int rank) {
    const char *y = GLIA_TO_ONNX(w, out, "Transpose", x);
    glia__to_onnx_ints(w, "perm", perm, rank);
    return y;
}

const char *glia__to_onnx_channels_first(glia_to_onnx *w, const char *out, const char *x, int rank) {
    int64_t perm[GLIA_MAX_RANK] = {0, rank - 1};
    for (int i = 2; i < rank; i++) perm[i] = i - 1;
    return glia__to_onnx_transpose(w, out, x, perm, rank);
}

const char *glia__to_onnx_channels_last(glia_to_onnx *w, const char *out, const char *x, int rank) {
    int64_t perm[GLIA_MAX_RANK] = {0};
    for (int i = 1; i < rank - 1; i++) perm[i] = i + 1;
    perm[rank - 1] = 1;
    return glia__to_onnx_transpose(w, out, x, perm, rank);
}

/* --- one node --------------------------------------------------------------------------------------------- */

void glia__to_onnx_same(glia_to_onnx *w) {
    const glia_op *op = w->node->op;
    if (w->opset < op->onnx_since) {
        glia__to_onnx_refuse(w, "ONNX has it since opset %d (--opset %d)", op->onnx_since, op->onnx_since);
        return;
    }
    glia__to_onnx_node(w, w->y[0], op->onnx, w->x, GLIA_MAX_INPUTS); /* absent ones are left out */
    int read = w->node->n_outputs;
    while (read > 1 && !*w->y[read - 1]) read--;
    for (int o = 1; o < read; o++) glia__to_onnx_output(w, w->y[o]);
    glia__to_onnx_fields(w);
}

void glia__to_onnx_op(glia_to_onnx *w) {
    const glia_node *node = w->node;
    bool bf16 = false;
    for (int i = 0; i < node->n_inputs; i++)
        bf16 |= node->inputs[i] && node->inputs[i]->type.dtype == GLIA_BF16;
    for (int o = 0; o < node->n_outputs; o++) bf16 |= node->outputs[o].type.dtype == GLIA_BF16;
    if (bf16)
        glia__to_onnx_refuse(w, "it works on bf16, beside f32 weights, which ONNX has no operators for");
    else if (node->op->onnx_write)
        node->op->onnx_write(w);
    else if (node->op->onnx)
        glia__to_onnx_same(w);
    else
        glia__to_onnx_refuse(w, "ONNX has nothing like it");
}

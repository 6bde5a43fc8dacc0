/* weights.c: weights of other frameworks into a model and out of it: which array is which parameter, and a report of it. */
#include "glia/weights.h"

#include <stdio.h>
#include <stdlib.h>

#include "train/model.h"
#include "train/names.h"

/* How one parameter is found in the file. */
typedef struct pairing {
    size_t tensor; /* SIZE_MAX: nowhere */
    const glia_names_row *row;
    glia_layout layout;
    bool fits; /* in shape and dtype */
} pairing;

/* A way to read the file: one pairing a parameter. */
typedef struct file_reading {
    const char *name;        /* of the convention, or "order" */
    const glia_names *names; /* whose unexpected arrays are ignored; NULL: none are */
    pairing *of_param;
    bool *used; /* a flag a tensor */
    size_t loaded, misshaped, left;
} file_reading;

typedef struct import {
    const glia_allocator *allocator;
    const glia_weights *file;
    size_t n_params, n_tensors;
    const glia_names_param *params;
} import;

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while importing weights");
}

static glia_status reading_new(const import *m, file_reading *r, glia_error *err) {
    *r = (file_reading){.of_param = glia__calloc(m->allocator, m->n_params, sizeof(pairing)),
                        .used = glia__calloc(m->allocator, m->n_tensors, sizeof(bool))};
    if (!r->of_param || !r->used) return out_of_memory(err);
    for (size_t i = 0; i < m->n_params; i++) r->of_param[i].tensor = SIZE_MAX;
    return GLIA_OK;
}

static void reading_free(const import *m, file_reading *r) {
    glia__free(m->allocator, r->of_param, m->n_params * sizeof(pairing));
    glia__free(m->allocator, r->used, m->n_tensors * sizeof(bool));
}

static bool is_half(const glia_names_row *row) {
    return row && (row->share == GLIA_NAMES_FIRST || row->share == GLIA_NAMES_SECOND);
}

/* What parameter and array make of each other. */
static pairing pair(const import *m, const glia_names *names, size_t param, size_t tensor,
                    const glia_names_row *row) {
    pairing p = {.tensor = tensor, .row = row};
    glia_tensor t = glia_weights_tensor(m->file, tensor);
    p.fits = glia__layout_make(names, &m->params[param], row, &p.layout) && glia_dtype_is_float(t.dtype);
    glia_shape wanted = p.layout.theirs;
    if (is_half(row)) {
        wanted = (glia_shape){.rank = p.layout.theirs.rank + 1, .dim = {2}};
        for (int d = 1; d < wanted.rank; d++) wanted.dim[d] = p.layout.theirs.dim[d - 1];
    }
    p.fits = p.fits && glia_shape_equal(&t.shape, &wanted);
    return p;
}

static void take(file_reading *r, size_t param, pairing p) {
    r->of_param[param] = p;
    r->used[p.tensor] = true;
    if (p.fits)
        r->loaded++;
    else
        r->misshaped++;
}

static void count_left(const import *m, file_reading *r) {
    for (size_t t = 0; t < m->n_tensors; t++)
        r->left += !r->used[t] && !(r->names && glia__names_ignored(r->names, glia_weights_name(m->file, t)));
}

/* --- by name ------------------------------------------------------------------------------------------- */

static void read_by_name(const import *m, const glia_names *names, file_reading *r) {
    r->name = names->name;
    r->names = names;
    for (size_t i = 0; i < m->n_params; i++)
        for (size_t t = 0; t < m->n_tensors; t++) {
            const glia_names_row *row;
            if (!glia__names_match(names, &m->params[i], glia_weights_name(m->file, t), &row)) continue;
            if (r->used[t] && !(row && row->share)) continue;
            take(r, i, pair(m, names, i, t, row));
            break;
        }
    count_left(m, r);
}

static bool better(const file_reading *a, const file_reading *b) {
    if (a->loaded != b->loaded) return a->loaded > b->loaded;
    if (a->misshaped != b->misshaped) return a->misshaped > b->misshaped;
    if (a->left != b->left) return a->left < b->left;
    return a->names->order < b->names->order;
}

/* --- by order ------------------------------------------------------------------------------------------ */

/* Numbers in names count as numbers: "2.weight" comes before "10.weight". */
static int compare_naturally(const char *a, const char *b) {
    while (*a && *b) {
        size_t m = strspn(a, "0123456789"), n = strspn(b, "0123456789");
        if (m && n) {
            if (m != n) return m < n ? -1 : 1;
            int order = strncmp(a, b, m);
            if (order) return order;
            a += m, b += n;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++, b++;
        }
    }
    return *a ? 1 : *b ? -1 : 0;
}

typedef struct ordered {
    const char *name;
    size_t tensor;
} ordered;

static int compare_ordered(const void *a, const void *b) {
    return compare_naturally(((const ordered *)a)->name, ((const ordered *)b)->name);
}

/* Whether tensor `t`, under any convention, is an array as parameter `i` is one, of its shape, and of the same layer as
 * `layer` (NULL: of any). */
static bool suits(const import *m, size_t i, size_t t, const char *layer, size_t *length, pairing *out) {
    const char *name = glia_weights_name(m->file, t);
    for (size_t n = 0; n < glia__all_names_count; n++) {
        const glia_names *names = glia__all_names[n];
        const glia_names_row *row;
        size_t before;
        if (!*m->params[i].kind || !glia__names_match_array(names, &m->params[i], name, &before, &row))
            continue;
        if (layer && (before != *length || strncmp(layer, name, before) != 0)) continue;
        *out = pair(m, names, i, t, row);
        *length = before;
        if (out->fits) return true;
    }
    return false;
}

static size_t layer_end(const import *m, size_t first) {
    size_t end = first + 1;
    while (end < m->n_params && *m->params[first].kind &&
           strcmp(m->params[end].layer, m->params[first].layer) == 0)
        end++;
    return end;
}

/* The first layer of the file, in the order of its names, that has all arrays of our layer of parameters first … end−1. */
static void take_layer(const import *m, const ordered *order, size_t first, size_t end, file_reading *r) {
    for (size_t k = 0; k < m->n_tensors; k++) {
        const char *layer = order[k].name;
        pairing found[16];
        size_t n = end - first, have = 0, length = 0;
        if (n > GLIA_COUNT(found) || r->used[order[k].tensor] ||
            !suits(m, first, order[k].tensor, NULL, &length, &found[0]))
            continue;
        for (have = 1; have < n; have++) {
            bool there = false;
            for (size_t t = 0; t < m->n_tensors && !there; t++)
                there = !r->used[t] && suits(m, first + have, t, layer, &length, &found[have]);
            if (!there) break;
        }
        if (have < n) continue;
        for (size_t i = 0; i < n; i++) take(r, first + i, found[i]);
        return;
    }
}

/* What no layer of the file suits takes the next array of its very shape. */
static void take_by_shape(const import *m, const ordered *order, size_t param, file_reading *r) {
    for (size_t k = 0; k < m->n_tensors; k++) {
        if (r->used[order[k].tensor]) continue;
        pairing p = pair(m, glia__all_names[0], param, order[k].tensor, NULL);
        if (!p.fits) continue;
        take(r, param, p);
        return;
    }
}

static glia_status read_by_order(const import *m, file_reading *r, glia_error *err) {
    size_t bytes = m->n_tensors * sizeof(ordered);
    ordered *order = glia__alloc(m->allocator, bytes);
    if (!order) return out_of_memory(err);
    r->name = "order";
    for (size_t t = 0; t < m->n_tensors; t++) order[t] = (ordered){glia_weights_name(m->file, t), t};
    qsort(order, m->n_tensors, sizeof *order, compare_ordered);
    for (size_t first = 0, end; first < m->n_params; first = end) {
        end = layer_end(m, first);
        take_layer(m, order, first, end, r);
        for (size_t i = first; i < end; i++)
            if (r->of_param[i].tensor == SIZE_MAX) take_by_shape(m, order, i, r);
    }
    count_left(m, r);
    glia__free(m->allocator, order, bytes);
    return GLIA_OK;
}

/* The reading that `names` asks for. */
static glia_status read_as(const import *m, const char *names, file_reading *best, glia_error *err) {
    if (strcmp(names, "order") == 0) {
        GLIA_TRY(reading_new(m, best, err));
        return read_by_order(m, best, err);
    }
    if (strcmp(names, "auto") != 0) {
        const glia_names *one = glia__names_find(names, err);
        if (!one) return GLIA_INVALID_ARGUMENT;
        GLIA_TRY(reading_new(m, best, err));
        read_by_name(m, one, best);
        return GLIA_OK;
    }
    for (size_t i = 0; i < glia__all_names_count; i++) {
        file_reading r;
        glia_status status = reading_new(m, &r, err);
        if (status == GLIA_OK) read_by_name(m, glia__all_names[i], &r);
        if (status == GLIA_OK && (!best->name || better(&r, best))) {
            file_reading worse = *best;
            *best = r;
            r = worse;
        }
        reading_free(m, &r);
        GLIA_TRY(status);
    }
    return GLIA_OK;
}

/* --- the report ---------------------------------------------------------------------------------------- */

typedef struct report_build {
    glia_import_report public; /* first */
    glia_arena arena;
    glia_import_entry *entries;
} report_build;

void glia_import_report_free(glia_import_report *r) {
    if (!r) return;
    glia_arena arena = ((report_build *)(void *)r)->arena; /* it holds the report itself */
    glia__arena_free(&arena);
}

/* "oihw → hwio", as the file has it first. */
static const char *change_text(report_build *r, const import *m, const pairing *p, size_t param) {
    if (p->row && p->row->share == GLIA_NAMES_ZERO) return "0: there both are one";
    if (p->layout.copies) return is_half(p->row) ? "a half" : "";
    const char *axes = p->row && p->row->axes ? p->row->axes : ":", *colon = strchr(axes, ':');
    bool picture = p->layout.rank > p->layout.theirs.rank && m->params[param].before_flatten.rank;
    return glia__arena_printf(&r->arena, "%s → %.*s%s%s", colon + 1, (int)(colon - axes), axes,
                              picture ? ", channels first" : "",
                              p->row && p->row->gates ? is_half(p->row) ? ", gates, a half" : ", gates" : "");
}

static bool add_param(report_build *r, const import *m, const file_reading *reading, size_t i) {
    const pairing *p = &reading->of_param[i];
    glia_import_entry *e = &r->entries[r->public.count++];
    *e = (glia_import_entry){.state = GLIA_IMPORT_MISSING, .ours_shape = m->params[i].shape, .change = ""};
    e->ours = glia__arena_strdup(&r->arena, m->params[i].full);
    if (p->tensor == SIZE_MAX) {
        r->public.missing++;
        return e->ours;
    }
    e->theirs = glia__arena_strdup(&r->arena, glia_weights_name(m->file, p->tensor));
    e->theirs_shape = glia_weights_tensor(m->file, p->tensor).shape;
    e->state = p->fits ? GLIA_IMPORT_LOADED : GLIA_IMPORT_MISSHAPED;
    if (p->fits)
        r->public.loaded++, e->change = change_text(r, m, p, i);
    else
        r->public.misshaped++;
    return e->ours && e->theirs && e->change;
}

static bool add_left(report_build *r, const import *m, const file_reading *reading, size_t t) {
    if (reading->used[t]) return true;
    const char *name = glia_weights_name(m->file, t);
    bool ignored = reading->names && glia__names_ignored(reading->names, name);
    glia_import_entry *e = &r->entries[r->public.count++];
    *e = (glia_import_entry){.state = ignored ? GLIA_IMPORT_IGNORED : GLIA_IMPORT_UNEXPECTED,
                             .theirs = glia__arena_strdup(&r->arena, name),
                             .theirs_shape = glia_weights_tensor(m->file, t).shape,
                             .change = ""};
    if (ignored)
        r->public.ignored++;
    else
        r->public.unexpected++;
    return e->theirs;
}

static glia_status make_report(const import *m, const file_reading *reading, glia_import_report **out,
                               glia_error *err) {
    glia_arena arena;
    glia__arena_init(&arena, m->allocator);
    report_build *r = glia__arena_alloc(&arena, sizeof *r);
    bool ok = r;
    if (ok) {
        r->entries = glia__arena_alloc(&arena, (m->n_params + m->n_tensors) * sizeof *r->entries);
        r->arena = arena;
        r->public = (glia_import_report){.names = reading->name, .entries = r->entries};
        ok = r->entries;
        for (size_t i = 0; i < m->n_params && ok; i++) ok = add_param(r, m, reading, i);
        for (size_t t = 0; t < m->n_tensors && ok; t++) ok = add_left(r, m, reading, t);
        arena = r->arena;
    }
    if (ok) {
        *out = &r->public;
        return GLIA_OK;
    }
    glia__arena_free(&arena);
    return out_of_memory(err);
}

/* --- importing ----------------------------------------------------------------------------------------- */

static glia_status not_all(const glia_import_report *r, glia_error *err) {
    char ours[96], theirs[96];
    for (size_t i = 0; i < r->count; i++) {
        const glia_import_entry *e = &r->entries[i];
        if (e->state == GLIA_IMPORT_MISSHAPED)
            return glia_error_set(err, GLIA_BAD_SHAPE,
                                  "the weights are not all of this model (%zu of %zu fit): '%.80s' is %s "
                                  "there, '%.80s' needs %s",
                                  r->loaded, r->loaded + r->missing + r->misshaped, e->theirs,
                                  glia_shape_text(&e->theirs_shape, theirs, sizeof theirs), e->ours,
                                  glia_shape_text(&e->ours_shape, ours, sizeof ours));
        if (e->state == GLIA_IMPORT_MISSING)
            return glia_error_set(err, GLIA_NOT_FOUND,
                                  "the weights are not all of this model (%zu of %zu fit, by the names of "
                                  "%s): there is nothing for '%.80s'",
                                  r->loaded, r->loaded + r->missing + r->misshaped, r->names, e->ours);
    }
    return GLIA_OK;
}

static glia_status load(const import *m, const file_reading *r, glia_model *model, glia_error *err) {
    if (!glia__model_has_weights(model)) GLIA_TRY(glia_model_initialize(model, 0, err));
    for (size_t i = 0; i < m->n_params; i++) {
        const pairing *p = &r->of_param[i];
        if (p->tensor == SIZE_MAX || !p->fits) continue;
        glia_tensor theirs = glia_weights_tensor(m->file, p->tensor);
        float *ours = model->block + model->params[i].offset;
        const size_t half = glia_tensor_bytes(&theirs) / 2;
        if (p->row && p->row->share == GLIA_NAMES_SECOND) theirs.data = (char *)theirs.data + half;
        if (p->row && p->row->share == GLIA_NAMES_ZERO)
            memset(ours, 0, (size_t)glia_shape_elems(&p->layout.theirs) * sizeof *ours);
        else
            glia__layout_read(&p->layout, &theirs, ours);
    }
    return GLIA_OK;
}

static glia_status import_as(const import *m, glia_model *model, glia_import_options options,
                             glia_import_report **out, glia_error *err) {
    file_reading r = {.name = NULL};
    glia_import_report *report = NULL;
    glia_status status = read_as(m, options.names ? options.names : "auto", &r, err);
    if (status == GLIA_OK) status = make_report(m, &r, &report, err);
    if (status == GLIA_OK && !options.partial) status = not_all(report, err);
    if (status == GLIA_OK && options.partial && report->loaded == 0)
        status = glia_error_set(err, GLIA_NOT_FOUND, "none of the file's %zu arrays is of this model",
                                m->n_tensors);
    if (status == GLIA_OK) status = load(m, &r, model, err);
    reading_free(m, &r);
    if (out)
        *out = report;
    else
        glia_import_report_free(report);
    return status;
}

/* The model's parameters taken apart; free as an array of glia_model_params(model). */
static glia_names_param *all_params(const glia_model *model) {
    glia_names_param *params = glia__alloc(model->allocator, model->n_params * sizeof *params);
    for (size_t i = 0; params && i < model->n_params; i++)
        params[i] = glia__names_param(model->graph, model->params[i].value);
    return params;
}

glia_status glia_model_import_with(glia_model *model, const glia_weights *weights,
                                   glia_import_options options, glia_import_report **out, glia_error *err) {
    if (out) *out = NULL;
    GLIA_TRY(glia_model_status(model, err));
    glia_names_param *params = all_params(model);
    if (!params) return out_of_memory(err);
import m = {model->allocator, weights, model->n_params, glia_weights_count(weights), params };
    glia_status status = import_as(&m, model, options, out, err);
    glia__free(model->allocator, params, model->n_params * sizeof *params);
    return status;
}

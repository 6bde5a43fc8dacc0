/* names.c: matching the names of other frameworks' weights by the tables of a convention. */
#include "train/names.h"

#include <fnmatch.h>
#include <stdio.h>

#include "train/model.h"

const glia_names *glia__names_find(const char *name, glia_error *err) {
    char list[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < glia__all_names_count; i++) {
        if (strcmp(glia__all_names[i]->name, name) == 0) return glia__all_names[i];
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                     glia__all_names[i]->name);
    }
    (void)glia_error_set(err, GLIA_INVALID_ARGUMENT, "unknown names '%.40s'; known: %s", name, list);
    return NULL;
}

const char *glia_names_list(size_t index, const char **doc) {
    if (index >= glia__all_names_count) return NULL;
    if (doc) *doc = glia__all_names[index]->doc;
    return glia__all_names[index]->name;
}

/* --- a parameter --------------------------------------------------------------------------------------- */

/* Whether the features that go with `param` come from a flattened picture, of which shape. Layers in between that leave the
 * features alone (activations, dropout, normalisation) do not count. */
static glia_shape before_flatten(const glia_graph *graph, const glia_value *param) {
    const glia_value *x = NULL;
    for (size_t i = 0; i < graph->n_nodes && !x; i++)
        for (int k = 1; k < graph->nodes[i]->n_inputs; k++)
            if (graph->nodes[i]->inputs[k] == param) x = graph->nodes[i]->inputs[0];
    while (x && x->node && x->type.shape.rank == 2 && x->node->inputs[0]) {
        const glia_value *in = x->node->inputs[0];
        glia_shape from = in->type.shape, example = {.rank = from.rank - 1};
        for (int d = 0; d < example.rank; d++) example.dim[d] = from.dim[d + 1];
        if (from.rank > 2 && (x->node->op->traits & GLIA_TRAIT_ALIAS) &&
            glia_shape_elems(&example) == x->type.shape.dim[1])
            return example;
        if (!glia_shape_equal(&from, &x->type.shape)) break;
        x = in;
    }
    return (glia_shape){.rank = 0};
}

glia_names_param glia__names_param(const glia_graph *graph, const glia_value *value) {
    const glia_model *model = graph->owner;
    glia_names_param p = {.full = value->name, .kind = "", .array = value->name, .shape = value->type.shape};
    size_t longest = 0;
    p.before_flatten = before_flatten(graph, value);
    for (size_t i = 0; model && i < model->n_layers; i++) {
        size_t length = strlen(model->layers[i].name);
        if (length <= longest || length >= sizeof p.layer || p.full[length] != '.' ||
            strncmp(p.full, model->layers[i].name, length) != 0)
            continue;
        longest = length;
        p.kind = model->layers[i].kind;
        p.array = p.full + length + 1;
        snprintf(p.layer, sizeof p.layer, "%s", model->layers[i].name);
    }
    return p;
}

/* --- matching ------------------------------------------------------------------------------------------ */

/* "features.0" may be called features_0 here: names of layers have no dots, nor slashes. */
static bool same_name(const char *theirs, size_t length, const char *ours) {
    size_t i = 0;
    for (; i < length && ours[i]; i++) {
        char c = theirs[i] == '.' || theirs[i] == '/' ? '_' : theirs[i];
        char d = ours[i] == '.' || ours[i] == '/' ? '_' : ours[i];
        if (c != d) return false;
    }
    return i == length && !ours[i];
}

/* What a layer that was never named is called there: "batch_norm_1" gives "batch_normalization_1"; else its own name. */
static const char *name_there(const glia_names *names, const glia_names_param *p, char *out,
                              size_t capacity) {
    size_t length = strlen(p->kind);
    bool unnamed = length && strncmp(p->layer, p->kind, length) == 0 &&
                   (!p->layer[length] || p->layer[length] == '_') &&
                   p->layer[length + strspn(p->layer + length, "_0123456789")] == 0;
    const char *kind = NULL;
    for (const char *const *pair = names->kinds; unnamed && pair && pair[0]; pair += 2)
        if (strcmp(pair[0], p->kind) == 0) kind = pair[1];
    snprintf(out, capacity, "%s%s", kind ? kind : p->layer, kind ? p->layer + length : "");
    return out;
}

/* Cuts off what means nothing: gives the rest and its length. */
static const char *strip(const glia_names *names, const char *theirs, size_t *length) {
    bool again = true;
    while (again) {
        again = false;
        for (const char *const *p = names->prefixes; p && *p && !again; p++)
            if (strncmp(theirs, *p, strlen(*p)) == 0) theirs += strlen(*p), again = true;
    }
    *length = strlen(theirs);
    size_t suffix = names->suffix ? strlen(names->suffix) : 0;
    if (suffix && *length > suffix && strcmp(theirs + *length - suffix, names->suffix) == 0)
        *length -= suffix;
    return theirs;
}

/* The length of what stands before the array's name; SIZE_MAX when the name is another. */
static size_t before_array(const glia_names *names, const char *theirs, size_t length, const char *array) {
    size_t tail = strlen(array);
    if (length == tail && strncmp(theirs, array, tail) == 0) return 0;
    if (length <= tail || theirs[length - tail - 1] != names->separator ||
        strncmp(theirs + length - tail, array, tail) != 0)
        return SIZE_MAX;
    return length - tail - 1;
}

static bool fits_where(const char *where, const char *layer, size_t length) {
    char name[256];
    if (!where) return true;
    snprintf(name, sizeof name, "%.*s", (int)GLIA_MIN(length, sizeof name - 1), layer);
    return *where == '!' ? fnmatch(where + 1, name, 0) != 0 : fnmatch(where, name, 0) == 0;
}

static bool row_is_for(const glia_names_row *row, const glia_names_param *p) {
    return strcmp(row->layer, p->kind) == 0 && strcmp(row->ours, p->array) == 0;
}

/* The next row, from *at on, by which the stripped name may end with the array; false past the last. Without any row for
 * the parameter it has our own name, once. */
static bool next_row(const glia_names *names, const glia_names_param *p, const char *theirs, size_t length,
                     size_t *at, const glia_names_row **row, size_t *layer) {
    bool any = false;
    for (size_t i = 0; names->rows && names->rows[i].layer; i++) {
        *row = &names->rows[i];
        if (!row_is_for(*row, p)) continue;
        any = true;
        if (i < *at) continue;
        *layer = before_array(names, theirs, length, (*row)->theirs);
        *at = i + 1;
        if (*layer != SIZE_MAX && fits_where((*row)->where, theirs, *layer)) return true;
    }
    *row = NULL;
    if (any || *at) return false;
    *at = 1;
    *layer = before_array(names, theirs, length, p->array);
    return *layer != SIZE_MAX;
}

bool glia__names_match_array(const glia_names *names, const glia_names_param *param, const char *theirs,
                             size_t *layer_length, const glia_names_row **row) {
    size_t length, at = 0, layer;
    const char *rest = strip(names, theirs, &length);
    if (!next_row(names, param, rest, length, &at, row, &layer)) return false;
    *layer_length = (size_t)(rest - theirs) + layer;
    return true;
}

static bool layer_fits(const glia_names *names, const glia_names_param *p, const char *theirs,
                       size_t length) {
    char there[128];
    const char *called[] = {p->layer, name_there(names, p, there, sizeof there)};
    const char *first_end = memchr(theirs, names->separator, length), *last = theirs + length;
    while (last > theirs && last[-1] != names->separator) last--;
    for (size_t i = 0; i < GLIA_COUNT(called); i++) {
        if (same_name(theirs, length, called[i])) return true;
        if (!names->any_part || !first_end) continue;
        if (same_name(theirs, (size_t)(first_end - theirs), called[i]) ||
            same_name(last, (size_t)(theirs + length - last), called[i]))
            return true;
    }
    return false;
}

bool glia__names_match(const glia_names *names, const glia_names_param *param, const char *theirs,
                       const glia_names_row **row) {
    size_t length, at = 0, layer = 0;
    const char *rest = strip(names, theirs, &length);
    *row = NULL;
    if (!*param->kind) return same_name(rest, length, param->full);
    while (next_row(names, param, rest, length, &at, row, &layer))
        if (layer_fits(names, param, rest, layer)) return true;
    return false;
}

bool glia__names_ignored(const glia_names *names, const char *theirs) {
    for (const char *const *pattern = names->ignored; pattern && *pattern; pattern++)
        if (fnmatch(*pattern, theirs, 0) == 0) return true;
    return false;
}

void glia__names_write(const glia_names *names, const glia_names_param *param, glia_text *out,
                       const glia_names_row **row) {
    char there[128];
    *row = NULL;
    if (!*param->kind) {
        glia__text_add(out, param->full);
        return;
    }
    name_there(names, param, there, sizeof there);
    for (size_t i = 0; names->rows && names->rows[i].layer && !*row; i++)
        if (row_is_for(&names->rows[i], param) && fits_where(names->rows[i].where, there, strlen(there)))
            *row = &names->rows[i];
    glia__text_printf(out, "%s%c%s", there, names->separator, *row ? (*row)->theirs : param->array);
}

/* scope.c: scopes: how layers inside layers are called, whether they are trained, whose weights they have. */

#include <stdio.h>

#include "train/model.h"

bool glia__scope_open(glia_model *model, const char *names, const glia_scope_options *options,
                      const char *from, const char *to) {
    const glia_scope *outer = model->scope;
    glia_graph *graph = model->graph;
    if (!names || !*names)
        names = graph->scope;
    else
        names = *graph->scope ? glia__arena_printf(&model->arena, "%s.%s", graph->scope, names)
                              : glia__arena_strdup(&model->arena, names);
    glia_scope scope = {.names = names, .rate = 1, .from = from, .to = to, .outer = outer};
    if (outer) scope.frozen = outer->frozen, scope.rate = outer->rate;
    if (options) {
        scope.frozen |= options->trainable == GLIA_NO;
        if (options->learning_rate_scale != 0) scope.rate *= options->learning_rate_scale;
    }
    const glia_scope *copy = names ? glia__arena_copy(&model->arena, &scope, sizeof scope) : NULL;
    if (!copy) {
        (void)glia_graph_fail(graph, GLIA_OUT_OF_MEMORY, NULL, "out of memory");
        return false;
    }
    model->scope = copy;
    graph->scope = names;
    return true;
}

void glia__scope_back(glia_model *model, const glia_scope *scope) {
    model->scope = scope;
    model->graph->scope = scope ? scope->names : "";
}

bool glia__model_frozen(const glia_model *model) {
    return model->scope && model->scope->frozen;
}

void glia_scope_begin_with(glia_model *model, const char *name, glia_scope_options options) {
    if (!model) return;
    if (options.learning_rate_scale < 0)
        (void)glia_graph_fail(model->graph, GLIA_INVALID_ARGUMENT, name,
                              "learning_rate_scale: expected a number above 0, found %g",
                              options.learning_rate_scale);
    (void)glia__scope_open(model, name, &options, NULL, NULL);
}

void glia_scope_end(glia_model *model) {
    if (!model) return;
    if (model->scope)
        glia__scope_back(model, model->scope->outer);
    else
        (void)glia_graph_fail(model->graph, GLIA_INVALID_ARGUMENT, model->name,
                              "model '%s': glia_scope_end without a glia_scope_begin", model->name);
}

/* --- shared weights -------------------------------------------------------------------------------------- */

const glia_applied *glia__applied_find(const glia_model *model, const char *name) {
    const glia_applied *a = model->applied;
    while (a && strcmp(a->name, name) != 0) a = a->before;
    return a;
}

/* The names of the other layer's parameters stand where those of this one would: from the innermost scope outwards, as a
 * layer that shares may itself lie in one that does. */
const char *glia__scope_shared(const glia_model *model, const char *name, char *out, size_t capacity) {
    char other[256];
    bool shared = false;
    snprintf(out, capacity, "%s", name);
    for (const glia_scope *s = model->scope; s; s = s->outer) {
        size_t length = s->from ? strlen(s->from) : 0;
        if (!s->from || strncmp(out, s->from, length) != 0 || out[length] != '.') continue;
        snprintf(other, sizeof other, "%s%s%s", s->to, *s->to ? "." : "", out + length + 1);
        snprintf(out, capacity, "%s", other);
        shared = true;
    }
    return shared ? out : NULL;
}

/* The layer called `name` as seen from the current scope: a layer in the same scope, or one by its whole name. */
static const glia_applied *find_seen(const glia_model *model, const char *name) {
    char full[256];
    const char *scope = model->graph->scope;
    snprintf(full, sizeof full, "%s%s%s", scope, *scope ? "." : "", name);
    const glia_applied *a = glia__applied_find(model, full);
    return a ? a : glia__applied_find(model, name);
}

glia_value *glia_layer_result(glia_model *model, const char *layer, const char *name) {
    if (!model) return NULL;
    const glia_applied *of = find_seen(model, layer ? layer : "");
    const glia_result *r = of ? model->results : NULL;
    while (r && (strcmp(r->layer, of->name) != 0 || strcmp(r->name, name ? name : "") != 0)) r = r->before;
    if (r) return r->value;
    if (!of)
        return glia_graph_fail(model->graph, GLIA_NOT_FOUND, layer, "there is no layer '%s'",
                               layer ? layer : "");
    return glia_graph_fail(model->graph, GLIA_NOT_FOUND, layer, "%s '%s' has no result '%s'%s%s",
                           of->def->name, layer, name ? name : "", of->def->results ? "; it has " : "",
                           of->def->results ? of->def->results : "");
}

glia_value *glia_share(const char *layer, const char *name, glia_value *const *inputs, int count) {
    glia_model *model = NULL;
    for (int i = 0; i < count && !model; i++) model = glia__model_of(inputs[i]);
    if (!model) return NULL;
    const glia_applied *of = find_seen(model, layer ? layer : "");
    if (!of)
        return glia_graph_fail(model->graph, GLIA_NOT_FOUND, name,
                               "there is no layer '%s' before this one whose weights could be shared",
                               layer ? layer : "");
    return glia__layer_share(model, of, name, inputs, count);
}

/* pass.c: runs the passes one after another; see pass.h. */

#include "passes/pass.h"

#include <stdio.h>

/* --- for passes ------------------------------------------------------------------------------------------- */

glia_value *glia__rewrite_value(const glia_rewrite *r, const glia_value *value) {
    return value ? r->map[value->id] : NULL;
}

bool glia__node_is(const glia_node *node, const char *op) {
    return node && strcmp(node->op->name, op) == 0;
}

glia_value *glia__rewrite_apply(glia_rewrite *r, const glia_node *like, const char *op,
                                glia_value *const *inputs, int count, const void *attrs) {
    glia_graph *to = r->to;
    to->scope = like->name; /* borrowed: `from` lives longer than the pass, and errors copy it */
    glia_value *y = glia_graph_apply(to, op, inputs, count, attrs);
    to->scope = "";
    if (!y) return NULL;
    const char *name = glia__arena_strdup(&to->arena, like->name);
    if (!name)
        return glia_graph_fail(to, GLIA_OUT_OF_MEMORY, like->name,
                               "out of memory while planning the program");
    y->node->name = name;
    for (int o = 0; o < y->node->n_outputs; o++) y->node->outputs[o].name = name;
    return y;
}

void glia__rewrite_copy(glia_rewrite *r, const glia_node *node) {
    glia_value *inputs[GLIA_MAX_INPUTS];
    for (int i = 0; i < node->n_inputs; i++) inputs[i] = glia__rewrite_value(r, node->inputs[i]);
    glia_value *y = glia__rewrite_apply(r, node, node->op->name, inputs, node->n_inputs, node->attrs);
    for (int o = 0; y && o < node->n_outputs; o++) r->map[node->outputs[o].id] = &y->node->outputs[o];
}

const glia_node *glia__reader(const glia_rewrite *r, const glia_value *value, const char *op) {
    const glia_node *found = NULL;
    for (int i = 0; i < r->n_readers[value->id]; i++) {
        const glia_node *reader = r->readers[r->first_reader[value->id] + i];
        if (!glia__node_is(reader, op)) continue;
        if (found) return NULL;
        found = reader;
    }
    return found;
}

const glia_node *glia__only_reader(const glia_rewrite *r, const glia_value *value, const char *op) {
    return r->n_readers[value->id] == 1 && !r->is_output[value->id] ? glia__reader(r, value, op) : NULL;
}

const glia_kernel *glia__find_kernel(const glia_rewrite *r, const char *op, const glia_type *in, int n_in,
                                     const glia_type *out, int n_out, const void *attrs) {
    glia_kernel_query query = {.op = glia__op_find(op),
                               .attrs = attrs,
                               .in = in,
                               .out = out,
                               .n_in = n_in,
                               .n_out = n_out,
                               .threads = 1,
                               .training = r->options->training,
                               .allocator = r->options->allocator};
    return query.op ? glia__kernel_choose(&query, NULL) : NULL;
}

/* --- one pass --------------------------------------------------------------------------------------------- */

static glia_status out_of_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while planning the program");
}

/* Lists the needed readers of every value: counts, then places. */
static bool list_readers(glia_rewrite *r) {
    const glia_graph *from = r->from;
    size_t total = 0;
    for (size_t n = 0; n < from->n_nodes; n++)
        for (int i = 0; r->needed[n] && i < from->nodes[n]->n_inputs; i++)
            if (from->nodes[n]->inputs[i]) r->n_readers[from->nodes[n]->inputs[i]->id]++, total++;
    r->readers = glia__arena_alloc(&r->arena, (total + 1) * sizeof(const glia_node *));
    if (!r->readers) return false;
    int at = 0;
    for (size_t v = 0; v < from->n_values; v++) {
        r->first_reader[v] = at;
        at += r->n_readers[v];
        r->n_readers[v] = 0;
    }
    for (size_t n = 0; n < from->n_nodes; n++)
        for (int i = 0; r->needed[n] && i < from->nodes[n]->n_inputs; i++) {
            const glia_value *value = from->nodes[n]->inputs[i];
            if (value) r->readers[r->first_reader[value->id] + r->n_readers[value->id]++] = from->nodes[n];
        }
    return true;
}

/* From the sources on: nodes come after their inputs. */
static void mark_fixed(glia_rewrite *r) {
    const glia_graph *from = r->from;
    for (size_t v = 0; v < from->n_values; v++) r->fixed[v] = from->values[v]->kind == GLIA_VALUE_PARAM;
    for (size_t n = 0; n < from->n_nodes; n++) {
        const glia_node *node = from->nodes[n];
        bool any = false, all = !(node->op->traits & GLIA_TRAIT_RANDOM);
        for (int i = 0; i < node->n_inputs; i++) {
            const glia_value *x = node->inputs[i];
            if (!x) continue;
            any |= r->fixed[x->id];
            all &= r->fixed[x->id] || x->kind == GLIA_VALUE_CONST;
        }
        for (int o = 0; o < node->n_outputs; o++) r->fixed[node->outputs[o].id] = any && all;
    }
}

static bool allocate(glia_rewrite *r) {
    const size_t values = r->from->n_values + 1, nodes = r->from->n_nodes + 1;
    glia_arena *arena = &r->arena;
    r->map = glia__arena_alloc(arena, values * sizeof *r->map);
    r->is_output = glia__arena_alloc(arena, values * sizeof *r->is_output);
    r->fixed = glia__arena_alloc(arena, values * sizeof *r->fixed);
    r->first_reader = glia__arena_alloc(arena, values * sizeof *r->first_reader);
    r->n_readers = glia__arena_alloc(arena, values * sizeof *r->n_readers);
    r->needed = glia__arena_alloc(arena, nodes * sizeof *r->needed);
    r->roles = glia__arena_alloc(arena, nodes * sizeof *r->roles);
    r->partner = glia__arena_alloc(arena, nodes * sizeof *r->partner);
    return r->map && r->is_output && r->fixed && r->first_reader && r->n_readers && r->needed && r->roles &&
           r->partner;
}

/* A constant's data stay where they are in the user's graph. Those of a number that a pass made go along. */
static bool take_data(glia_rewrite *r, const glia_value *value, glia_value *copy) {
    copy->borrowed = !r->pass || value->borrowed;
    if (copy->borrowed || !value->data) return true;
    const size_t bytes = (size_t)glia_shape_elems(&value->type.shape) * glia_dtype_bytes(value->type.dtype);
    copy->data = glia__arena_copy(&r->to->arena, value->data, bytes);
    return copy->data != NULL;
}

/* A source with its dimensions bound. */
static glia_status copy_source(glia_rewrite *r, const glia_value *value, glia_error *err) {
    glia_shape shape = value->type.shape;
    for (int i = 0; i < shape.rank; i++) {
        const int64_t dim = shape.dim[i], bound = dim < 0 ? r->options->dims[-dim - 1] : dim;
        if (dim < 0 && bound < 1)
            return glia_error_set(err, GLIA_INVALID_ARGUMENT,
                                  "'%s' has a dimension %s that is not bound; set options.dims[%lld]",
                                  value->name,
                                  dim == GLIA_DIM_BATCH  ? "N (batch)"
                                  : dim == GLIA_DIM_TIME ? "T (time)"
                                                         : "by symbol",
                                  (long long)(-dim - 1));
        shape.dim[i] = bound;
    }
    if (glia_shape_elems(&shape) < 0)
        return glia_error_set(err, GLIA_BAD_SHAPE, "'%s' has too many elements", value->name);
    glia_value *copy = glia__graph_copy_source(r->to, value, shape);
    if (!copy) return glia_graph_status(r->to, err);
    if (!take_data(r, value, copy)) return out_of_memory(err);
    r->map[value->id] = copy;
    return GLIA_OK;
}

/* Sources are copied when a node, or the program, needs them. */
static glia_status copy_sources(glia_rewrite *r, const glia_node *node, glia_error *err) {
    for (int i = 0; i < node->n_inputs; i++) {
        const glia_value *x = node->inputs[i];
        if (x && !x->node && !r->map[x->id]) GLIA_TRY(copy_source(r, x, err));
    }
    return GLIA_OK;
}

/* In inference dropout and the like are their input. */
static bool is_asleep(const glia_rewrite *r, const glia_node *node) {
    return (node->op->traits & GLIA_TRAIT_TRAINING_ONLY) && !r->options->training;
}

static glia_status rewrite_nodes(glia_rewrite *r, glia_error *err) {
    if (r->pass && r->pass->begin) r->pass->begin(r);
    for (size_t n = 0; n < r->from->n_nodes; n++) {
        const glia_node *node = r->from->nodes[n];
        if (!r->needed[n]) continue;
        GLIA_TRY(copy_sources(r, node, err));
        if (is_asleep(r, node))
            r->map[node->outputs[0].id] = glia__rewrite_value(r, node->inputs[0]);
        else if (!r->pass || !r->pass->node(r, node))
            glia__rewrite_copy(r, node);
        GLIA_TRY(glia_graph_status(r->to, err));
    }
    return GLIA_OK;
}

/* From `from` to a new graph; `outputs` are replaced by what stands for them. */
static glia_status run_pass(glia_rewrite *r, glia_value **outputs, int count, glia_error *err) {
    if (!allocate(r)) return out_of_memory(err);
    r->to = glia_graph_new(r->options->allocator);
    if (!r->to) return out_of_memory(err);
    glia__graph_mark(r->from, outputs, count, r->needed);
    for (int i = 0; i < count; i++) r->is_output[outputs[i]->id] = true;
    mark_fixed(r);
    if (!list_readers(r)) return out_of_memory(err);
    GLIA_TRY(rewrite_nodes(r, err));
    for (int i = 0; i < count; i++) {
        if (!outputs[i]->node && !r->map[outputs[i]->id]) GLIA_TRY(copy_source(r, outputs[i], err));
        outputs[i] = r->map[outputs[i]->id];
    }
    return GLIA_OK;
}

/* --- all passes ------------------------------------------------------------------------------------------- */

/* The pass after `order` (position in the registry breaks ties), or NULL. */
static const glia_pass *next_pass(int *order, size_t *position) {
    const glia_pass *best = NULL;
    size_t best_at = 0;
    for (size_t i = 0; i < glia__passes_count; i++) {
        const glia_pass *pass = glia__passes[i];
        bool later = pass->order > *order || (pass->order == *order && i > *position);
        if (!later || (best && pass->order >= best->order)) continue;
        best = pass;
        best_at = i;
    }
    if (best) {
        *order = best->order;
        *position = best_at;
    }
    return best;
}

/* Replaces *graph by what `pass` (NULL: only binding) makes of it, and follows it in `map` and `outputs`. */
static glia_status apply_pass(glia_graph **graph, const glia_graph *from, glia_value **map, size_t n_values,
                              glia_value **outputs, int count, const glia_pass *pass,
                              const glia_pass_options *options, glia_error *err) {
    glia_rewrite r = {.pass = pass, .options = options, .from = from};
    glia__arena_init(&r.arena, options->allocator);
    glia_status status = run_pass(&r, outputs, count, err);
    if (status == GLIA_OK) {
        for (size_t v = 0; v < n_values; v++) map[v] = map[v] ? r.map[map[v]->id] : NULL;
        glia_graph_free(*graph);
        *graph = r.to;
    } else {
        glia_graph_free(r.to);
    }
    glia__arena_free(&r.arena);
    return status;
}

static glia_status apply_all(glia_graph **graph, glia_value **map, size_t n_values, const glia_graph *user,
                             glia_value **outputs, int count, const glia_pass_options *options, bool plain,
                             glia_error *err) {
    int order = INT32_MIN;
    size_t position = 0;
    const glia_pass *pass;
    GLIA_TRY(apply_pass(graph, user, map, n_values, outputs, count, NULL, options, err));
    while (!plain && (pass = next_pass(&order, &position)))
        if (pass->for_c || !options->c)
            GLIA_TRY(apply_pass(graph, *graph, map, n_values, outputs, count, pass, options, err));
    return GLIA_OK;
}

glia_status glia__rewrite_all(glia_graph **out, glia_value **map, size_t n_values, const glia_graph *graph,
                              glia_value *const *outputs, int count, const glia_pass_options *options,
                              bool plain, glia_error *err) {
    *out = NULL;
    const size_t bytes = ((size_t)count + 1) * sizeof(glia_value *);
    glia_value **now = glia__alloc(options->allocator, bytes);
    if (!now) return out_of_memory(err);
    for (int i = 0; i < count; i++) now[i] = outputs[i];
    for (size_t v = 0; v < n_values; v++) map[v] = graph->values[v];
    glia_status status = apply_all(out, map, n_values, graph, now, count, options, plain, err);
    glia__free(options->allocator, now, bytes);
    if (status != GLIA_OK) {
        glia_graph_free(*out);
        *out = NULL;
    }
    return status;
}

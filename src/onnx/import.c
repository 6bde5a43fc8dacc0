/* import.c: an ONNX graph becomes a graph of Glia's: names are resolved, the nodes that the outputs need are found and
 * read one after the other, in the file's order, and what is refused is collected. */

#include "onnx/import.h"

#include "onnx/carried.h"

#include <stdio.h>

/* --- names ------------------------------------------------------------------------------------------------ */

static uint64_t hash(const char *name) {
    uint64_t h = UINT64_C(1469598103934665603); /* FNV-1a */
    for (; *name; name++) h = (h ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

glia_onnx_slot *glia__onnx_slot(glia_onnx_import *import, const char *name, bool add) {
    size_t place = (size_t)hash(name) & (import->places - 1);
    for (; import->table[place]; place = (place + 1) & (import->places - 1)) {
        glia_onnx_slot *slot = &import->slots[import->table[place] - 1];
        if (strcmp(slot->name, name) == 0) return slot;
    }
    if (!add || import->n_slots == import->capacity) return NULL;
    import->slots[import->n_slots] = (glia_onnx_slot){.name = name};
    import->table[place] = (uint32_t)++import->n_slots;
    return &import->slots[import->n_slots - 1];
}

static glia_status no_memory(glia_error *err) {
    return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory while reading an ONNX model");
}

/* Room for every name that the graph can define. */
static glia_status reserve_slots(glia_onnx_import *import, glia_error *err) {
    const glia_onnx_graph *graph = import->file->model.graph;
    size_t names = graph->n_initializers + graph->n_inputs;
    for (size_t i = 0; i < graph->n_nodes; i++) names += graph->nodes[i].n_outputs;
    if (names > UINT32_MAX / 4) return glia_error_set(err, GLIA_BAD_FORMAT, "the graph has too many names");
    import->places = 64;
    while (import->places < 2 * names) import->places *= 2;
    import->capacity = names;
    import->slots = glia__arena_alloc(&import->arena, (names + 1) * sizeof *import->slots);
    import->table = glia__arena_alloc(&import->arena, import->places * sizeof *import->table);
    return import->slots && import->table ? GLIA_OK : no_memory(err);
}

static glia_status bad_name(const glia_onnx_import *import, glia_error *err, const char *format,
                            const char *name) {
    char text[160];
    (void)snprintf(text, sizeof text, format, name);
    (void)glia_error_set(err, GLIA_BAD_FORMAT, "%s", text);
    glia_error_at(err, import->file->path, 0, 0);
    return GLIA_BAD_FORMAT;
}

static glia_status define_sources(glia_onnx_import *import, glia_error *err) {
    glia_onnx_graph *graph = import->file->model.graph;
    for (size_t i = 0; i < graph->n_initializers; i++) {
        glia_onnx_slot *slot = glia__onnx_slot(import, graph->initializers[i].name, true);
        if (slot->defined) return bad_name(import, err, "two initializers are called '%s'", slot->name);
        slot->initializer = &graph->initializers[i];
        if (glia__onnx_narrow(slot->initializer->data_type))
            slot->carried = (int)slot->initializer->data_type;
        slot->defined = true;
    }
    for (size_t i = 0; i < import->file->n_inputs; i++) {
        glia_onnx_slot *slot = glia__onnx_slot(import, import->file->inputs[i]->name, true);
        if (slot->initializer) continue; /* an input with a default value: it keeps that */
        if (slot->defined) return bad_name(import, err, "two inputs are called '%s'", slot->name);
        slot->defined = true;
    }
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (size_t k = 0; k < graph->nodes[i].n_outputs; k++)
            if (*graph->nodes[i].outputs[k]) (void)glia__onnx_slot(import, graph->nodes[i].outputs[k], true);
    return GLIA_OK;
}

/* --- what is needed --------------------------------------------------------------------------------------- */

static bool node_needed(glia_onnx_import *import, const glia_onnx_node *node) {
    for (size_t k = 0; k < node->n_outputs; k++)
        if (*node->outputs[k] && glia__onnx_slot(import, node->outputs[k], false)->needed) return true;
    return false;
}

static size_t output_count(const glia_onnx_import *import) {
    return import->options->n_outputs ? import->options->n_outputs : import->file->model.graph->n_outputs;
}

static const char *output_name(const glia_onnx_import *import, size_t i) {
    return import->options->n_outputs ? import->options->outputs[i]
                                      : import->file->model.graph->outputs[i].name;
}

/* Marks what the outputs need. Nodes come after what they use, so one pass from the end is enough; a cycle is found when
 * the nodes are read. */
static glia_status mark_needed(glia_onnx_import *import, glia_error *err) {
    const glia_onnx_graph *graph = import->file->model.graph;
    for (size_t i = 0; i < output_count(import); i++) {
        glia_onnx_slot *slot = glia__onnx_slot(import, output_name(import, i), false);
        if (!slot) return bad_name(import, err, "there is no tensor called '%s'", output_name(import, i));
        slot->needed = true;
    }
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const glia_onnx_node *node = &graph->nodes[i];
        if (!node_needed(import, node)) continue;
        for (size_t k = 0; k < node->n_inputs; k++) {
            if (!*node->inputs[k]) continue;
            glia_onnx_slot *slot = glia__onnx_slot(import, node->inputs[k], false);
            if (!slot) return bad_name(import, err, "nothing makes the tensor '%s'", node->inputs[k]);
            slot->needed = true;
        }
    }
    return GLIA_OK;
}

/* Whether the batch was opened that the file has fixed to one. */
static void note_batch(glia_onnx_import *import, size_t i) {
    glia_dtype dtype;
    glia_shape shape;
    glia_error err = {0};
    const glia_shape fed = glia_value_shape(import->options->inputs[i]);
    if (glia_onnx_input_type(import->file, i, &dtype, &shape, &err) == GLIA_OK && shape.rank > 0 &&
        fed.rank > 0)
        import->opened_batch |= shape.dim[0] == 1 && fed.dim[0] == GLIA_DIM_BATCH;
}

/* Which narrow type the input carries, if it does. */
static int carried_by(const glia_onnx_value *input, const glia_value *value) {
    const glia_onnx_tensor_type *type = input->type ? input->type->tensor : NULL;
    const glia_narrow_type *narrow = type ? glia__onnx_narrow(type->elem_type) : NULL;
    return narrow && value->type.dtype == narrow->carrier ? narrow->onnx : 0;
}

/* Gives the inputs their values: those of the caller, or new ones of the graph. */
static glia_status feed(glia_onnx_import *import, glia_error *err) {
    for (size_t i = 0; i < import->file->n_inputs; i++) {
        glia_onnx_slot *slot = glia__onnx_slot(import, import->file->inputs[i]->name, false);
        if (slot->initializer) continue;
        if (i < import->options->n_known && import->options->known[i].data)
            slot->known = &import->options->known[i];
        if (i < import->options->n_inputs) {
            slot->value = import->options->inputs[i];
            if (!slot->value->file_name)
                slot->value->file_name = glia__arena_strdup(&import->graph->arena, slot->name);
            note_batch(import, i);
        } else if (slot->needed) {
            glia_dtype dtype;
            glia_shape shape;
            GLIA_TRY(glia_onnx_input_type(import->file, i, &dtype, &shape, err));
            slot->value = glia_graph_input(import->graph, slot->name, dtype, shape);
            if (!slot->value) return glia_graph_status(import->graph, err);
        }
        if (slot->value) slot->carried = carried_by(import->file->inputs[i], slot->value);
    }
    return GLIA_OK;
}

/* --- nodes ------------------------------------------------------------------------------------------------ */

static bool is_main_domain(const char *domain) {
    return !domain || !*domain || strcmp(domain, "ai.onnx") == 0;
}

static const glia_onnx_op *find_block(const char *op_type, int64_t opset) {
    for (size_t i = 0; i < glia__onnx_ops_count; i++) {
        const glia_onnx_op *op = glia__onnx_ops[i];
        if (strcmp(op->op_type, op_type) == 0 && opset >= op->since && (!op->until || opset <= op->until))
            return op;
    }
    return NULL;
}

/* Whether the node has graphs of its own: If, Loop, Scan. */
static bool is_control_flow(const glia_onnx_node *node) {
    for (size_t i = 0; i < node->n_attrs; i++)
        if (node->attrs[i].graph) return true;
    return false;
}

static bool is_known_operator(const glia_onnx_import *import, const glia_onnx_node *node) {
    const int64_t opset = import->file->opset;
    return is_main_domain(node->domain) &&
           (find_block(node->op_type, opset) || glia__onnx_find_op(node->op_type, opset));
}

/* Glia plans memory before it runs, from shapes. */
static bool is_sized_by_data(const glia_onnx_node *node) {
    static const char *const operators[] = {"NonMaxSuppression", "NonZero", "Unique"};
    for (size_t i = 0; i < GLIA_COUNT(operators); i++)
        if (is_main_domain(node->domain) && strcmp(node->op_type, operators[i]) == 0) return true;
    return false;
}

static void refuse_operator(glia_onnx_import *import, const glia_onnx_node *node) {
    glia__onnx_add_refusal(import, node,
                           is_control_flow(node)    ? "control flow is not supported"
                           : is_sized_by_data(node) ? "the size of its result depends on the data"
                                                    : NULL);
}

/* GLIA_OK also when an input is the result of a refused node: then *ready is false. */
static glia_status check_inputs(glia_onnx_import *import, const glia_onnx_node *node, bool *ready,
                                glia_error *err) {
    *ready = true;
    for (size_t k = 0; k < node->n_inputs; k++) {
        if (!*node->inputs[k]) continue;
        const glia_onnx_slot *slot = glia__onnx_slot(import, node->inputs[k], false);
        if (!slot->defined && !slot->failed)
            return bad_name(
                import, err,
                "the tensor '%s' is used before a node makes it: the graph has a cycle, or its nodes are "
                "not in order",
                slot->name);
        if (slot->failed) *ready = false;
    }
    return GLIA_OK;
}

/* Attributes that the read function did not ask for would be silently wrong. */
static void refuse_unasked(glia_onnx_read *r) {
    for (size_t i = 0; i < r->node->n_attrs && !r->refused; i++)
        if (i >= 64 || !(r->asked >> i & 1))
            (void)glia__onnx_refuse(r, "the attribute '%s' is not supported",
                                    r->node->attrs[i].name ? r->node->attrs[i].name : "");
}

static void take_graph_error(glia_onnx_read *r) {
    glia_error *error = &r->graph->error;
    if (error->status == GLIA_OUT_OF_MEMORY) r->import->error = *error;
    if (error->status != GLIA_OK && !r->refused) (void)glia__onnx_refuse(r, "%s", error->message);
    glia_error_clear(error); /* the next nodes want to be tried too */
}

static void read_operator(glia_onnx_read *r) {
    if (r->op)
        r->op->read(r);
    else
        glia__onnx_one_to_one(r, NULL, 0);
}

static bool takes_bf16(glia_onnx_read *r) {
    glia_type type;
    for (int i = 0; i < r->n_in; i++)
        if (glia__onnx_type_in(r, i, &type) && type.dtype == GLIA_BF16) return true;
    return false;
}

/* A second try for what an op does not have in bf16: in f32, with results of f32 as bf16 again. */
static void read_widened(glia_onnx_read *r) {
    glia_value **kept = glia__arena_alloc(&r->import->arena, ((size_t)r->n_in + 1) * sizeof(glia_value *));
    if (!kept || r->graph->error.status == GLIA_OUT_OF_MEMORY || !takes_bf16(r)) return;
    glia_error_clear(&r->graph->error);
    for (int i = 0; i < r->n_in; i++) {
        glia_value *x = glia__onnx_in(r, i);
        if (!x || x->type.dtype != GLIA_BF16) continue;
        kept[i] = x;
        glia__onnx_slot(r->import, r->node->inputs[i], false)->value = glia_op_cast(x, GLIA_F32);
    }
    read_operator(r);
    for (int i = 0; i < r->n_in; i++)
        if (kept[i]) glia__onnx_slot(r->import, r->node->inputs[i], false)->value = kept[i];
    for (int k = 0; k < r->n_out; k++)
        if (r->out[k] && r->out[k]->type.dtype == GLIA_F32 && !(r->op && r->op->own_types >> k & 1))
            r->out[k] = glia_op_cast(r->out[k], GLIA_BF16);
}

/* Reads a node whose inputs are there; its results go to r->out, or it is refused. */
static void read_node(glia_onnx_read *r) {
    const size_t first = r->graph->n_nodes;
    const glia_onnx_op *op = r->op;
    if (op && op->max_inputs && (r->n_in < op->min_inputs || r->n_in > op->max_inputs))
        (void)glia__onnx_refuse(r, "it has %d inputs; expected %d to %d", r->n_in, op->min_inputs,
                                op->max_inputs);
    else if (glia__onnx_read_ints(r))
        return; /* known without running anything */
    else
        read_operator(r);
    if (!r->refused && r->graph->error.status != GLIA_OK) read_widened(r);
    if (!r->refused) glia__onnx_carry(r);
    take_graph_error(r);
    if (!r->refused) refuse_unasked(r);
    if (r->refused) return;
    glia_status status = glia__onnx_fold(r->graph, first, &r->import->fold_budget, &r->import->error);
    if (status != GLIA_OK && status != GLIA_OUT_OF_MEMORY) {
        (void)glia__onnx_refuse(r, "%s", r->import->error.message);
        glia_error_clear(&r->import->error);
    }
}

/* Results keep the names of the file, for when they are written again; an Identity gives what has one. */
static void keep_names(const glia_onnx_read *r) {
    for (int k = 0; k < r->n_out; k++) {
        glia_value *value = r->refused ? NULL : r->out[k];
        if (value && value->node && !value->file_name)
            value->file_name = glia__arena_strdup(&r->graph->arena, r->node->outputs[k]);
    }
}

static glia_status define_outputs(glia_onnx_read *r, glia_error *err) {
    for (int k = 0; k < r->n_out; k++) {
        const char *name = r->node->outputs[k];
        if (!*name) continue;
        glia_onnx_slot *slot = glia__onnx_slot(r->import, name, false);
        if (slot->defined || slot->failed)
            return bad_name(r->import, err, "the tensor '%s' is made twice", name);
        if (!r->refused && !r->out[k] && !slot->ints) {
            if (slot->needed) (void)glia__onnx_refuse(r, "its output %d is not supported", k);
        } else {
            slot->value = r->out[k];
            slot->carried = r->carried[k];
        }
        slot->defined = !r->refused && (r->out[k] || slot->ints);
        slot->failed = r->refused;
    }
    return GLIA_OK;
}

static glia_status import_node(glia_onnx_import *import, const glia_onnx_node *node, glia_error *err) {
    bool ready;
    GLIA_TRY(check_inputs(import, node, &ready, err));
    glia_value **out = glia__arena_alloc(&import->arena, (node->n_outputs + 1) * sizeof *out);
    int *carried = glia__arena_alloc(&import->arena, (node->n_outputs + 1) * sizeof *carried);
    if (!out || !carried) return no_memory(err);
    glia_onnx_read r = {.graph = import->graph,
                        .opset = import->file->opset,
                        .n_in = (int)node->n_inputs,
                        .n_out = (int)node->n_outputs,
                        .out = out,
                        .carried = carried,
                        .import = import,
                        .node = node};
    if (is_main_domain(node->domain)) r.op = find_block(node->op_type, r.opset);
    if (!is_known_operator(import, node)) {
        refuse_operator(import, node);
        r.refused = true;
    } else if (ready) {
        const char *outer = import->graph->scope;
        const char *name = node->name && *node->name ? node->name : node->n_outputs ? node->outputs[0] : "";
        const char *scope =
            glia__arena_printf(&import->graph->arena, "%s%s%.80s", outer, *outer ? "." : "", name);
        if (scope) import->graph->scope = scope;
        read_node(&r);
        keep_names(&r);
        import->graph->scope = outer;
    } else {
        r.refused = true; /* because of another, which is on the list */
    }
    return import->error.status != GLIA_OK
               ? glia_error_set(err, import->error.status, "%s", import->error.message)
               : define_outputs(&r, err);
}

/* --- the whole -------------------------------------------------------------------------------------------- */

static glia_status check_opset(const glia_onnx *file, glia_error *err) {
    char text[160];
    if (file->model.graph->sparse || file->model.functions) {
        (void)glia_error_set(err, GLIA_UNSUPPORTED, "the file has %s, which are not supported",
                             file->model.functions ? "functions of its own" : "sparse initializers");
    } else if (file->opset < GLIA_ONNX_FIRST_OPSET || file->opset > GLIA_ONNX_LAST_OPSET) {
        (void)snprintf(text, sizeof text,
                       file->opset ? "opset %lld is not supported" : "the file names no opset",
                       (long long)file->opset);
        (void)glia_error_set(err, GLIA_UNSUPPORTED, "%s; expected %d to %d", text, GLIA_ONNX_FIRST_OPSET,
                             GLIA_ONNX_LAST_OPSET);
    } else {
        return GLIA_OK;
    }
    glia_error_at(err, file->path, 0, 0);
    return GLIA_UNSUPPORTED;
}

/* The value that an output has become. */
static glia_value *finish_output(glia_onnx_import *import, const char *name) {
    static const glia_onnx_node none = {.op_type = "output"};
    const char *inputs[] = {name};
    glia_onnx_node node = none;
    node.inputs = inputs;
    node.n_inputs = 1;
    node.name = name;
    glia_onnx_read r = {.graph = import->graph, .n_in = 1, .import = import, .node = &node};
    return glia__onnx_in(&r, 0);
}

static glia_status build(glia_onnx_import *import, glia_value **outputs, size_t capacity, glia_error *err) {
    const glia_onnx_graph *graph = import->file->model.graph;
    GLIA_TRY(check_opset(import->file, err));
    if (output_count(import) > capacity)
        return glia_error_set(err, GLIA_INVALID_ARGUMENT, "the model has %zu outputs; there is room for %zu",
                              output_count(import), capacity);
    GLIA_TRY(reserve_slots(import, err));
    GLIA_TRY(define_sources(import, err));
    GLIA_TRY(mark_needed(import, err));
    GLIA_TRY(feed(import, err));
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (node_needed(import, &graph->nodes[i])) GLIA_TRY(import_node(import, &graph->nodes[i], err));
    for (size_t i = 0; i < output_count(import) && !import->refusals; i++)
        outputs[i] = finish_output(import, output_name(import, i));
    return import->refusals ? glia__onnx_refused(import, err) : GLIA_OK;
}

glia_status glia_onnx_build(glia_onnx *file, glia_graph *graph, glia_onnx_options options,
                            glia_value **outputs, size_t capacity, glia_error *err) {
    GLIA_TRY(glia_graph_status(graph, err));
    glia_onnx_import import = {
        .file = file, .graph = graph, .options = &options, .fold_budget = (size_t)256 << 20};
    glia_error own = {0};
    import.last_refusal = &import.refusals;
    glia__arena_init(&import.arena, file->allocator);
    glia_status status = build(&import, outputs, capacity, err ? err : &own);
    glia__arena_free(&import.arena);
    if (status != GLIA_OK) (void)glia_graph_fail(graph, status, NULL, "%s", (err ? err : &own)->message);
    return status;
}

glia_status glia__onnx_check_operators(glia_onnx *file, glia_error *err) {
    static const glia_onnx_options options = {.inputs = NULL};
    const glia_onnx_graph *graph = file->model.graph;
    glia_onnx_import import = {.file = file, .options = &options};
    import.last_refusal = &import.refusals;
    glia__arena_init(&import.arena, file->allocator);
    glia_status status = check_opset(file, err);
    for (size_t i = 0; i < graph->n_nodes && status == GLIA_OK; i++)
        if (!is_known_operator(&import, &graph->nodes[i])) refuse_operator(&import, &graph->nodes[i]);
    if (import.error.status != GLIA_OK) status = no_memory(err);
    if (status == GLIA_OK && import.refusals) status = glia__onnx_refused(&import, err);
    glia__arena_free(&import.arena);
    return status;
}

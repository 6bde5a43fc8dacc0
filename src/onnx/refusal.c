/* refusal.c: what cannot be read is collected, so that one message names everything. */

#include <stdio.h>

#include "onnx/import.h"

void glia__onnx_add_refusal(glia_onnx_import *import, const glia_onnx_node *node, const char *why) {
    enum { MOST = 1000 }; /* more are counted, not listed */
    if (import->n_refusals++ >= MOST) return;
    glia_onnx_refusal *refusal = glia__arena_alloc(&import->arena, sizeof *refusal);
    if (!refusal) {
        (void)glia_error_set(&import->error, GLIA_OUT_OF_MEMORY, "out of memory while reading an ONNX model");
        return;
    }
    const bool foreign = node->domain && *node->domain && strcmp(node->domain, "ai.onnx") != 0;
    const char *name = node->name && *node->name ? node->name : node->n_outputs ? node->outputs[0] : "";
    *refusal = (glia_onnx_refusal){
        .op_type = foreign ? glia__arena_printf(&import->arena, "%s.%s", node->domain, node->op_type)
                           : node->op_type,
        .node = name,
        .why = why ? glia__arena_strdup(&import->arena, why) : NULL};
    *import->last_refusal = refusal;
    import->last_refusal = &refusal->next;
}

static bool same_reason(const glia_onnx_refusal *a, const glia_onnx_refusal *b) {
    const char *x = a->why ? a->why : "", *y = b->why ? b->why : "";
    return a->op_type && b->op_type && strcmp(a->op_type, b->op_type) == 0 && strcmp(x, y) == 0;
}

static void log_line(const glia_logger *logger, const glia_onnx_refusal *r, int64_t opset) {
    char line[512];
    if (!logger || !logger->line) return;
    (void)snprintf(line, sizeof line, "%s '%s', opset %lld: %s", r->op_type, r->node, (long long)opset,
                   r->why ? r->why : "the operator is not supported");
    logger->line(logger->ctx, GLIA_LOG_ERROR, line);
}

/* "LSTM ('lstm_1' and 3 more)", "Resize ('up': mode cubic is not supported)": each operator and reason once. */
static void add_entry(glia_text *text, const glia_onnx_refusal *first) {
    size_t more = 0;
    for (const glia_onnx_refusal *r = first->next; r; r = r->next) more += same_reason(first, r);
    glia__text_printf(text, "%s%s ('%.60s'", text->length ? ", " : "", first->op_type, first->node);
    if (more) glia__text_printf(text, " and %zu more", more);
    if (first->why) glia__text_printf(text, ": %s", first->why);
    glia__text_add(text, ")");
}

glia_status glia__onnx_refused(glia_onnx_import *import, glia_error *err) {
    const int64_t opset = import->file->opset;
    glia_text text;
    glia__text_init(&text, import->file->allocator);
    for (const glia_onnx_refusal *r = import->refusals; r; r = r->next) {
        bool named = false;
        log_line(import->options->logger, r, opset);
        for (const glia_onnx_refusal *k = import->refusals; k != r && !named; k = k->next)
            named = same_reason(k, r);
        if (!named) add_entry(&text, r);
    }
    if (text.failed) {
        glia__text_free(&text);
        return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    }
    (void)glia_error_set(err, GLIA_UNSUPPORTED, "%zu node%s of opset %lld cannot be read: %s",
                         import->n_refusals, import->n_refusals == 1 ? "" : "s", (long long)opset, text.data);
    glia_error_at(err, import->file->path, 0, 0);
    glia__text_free(&text);
    return GLIA_UNSUPPORTED;
}

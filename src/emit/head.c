/* head.c: a step of gradient descent for the last dense layer: learning on the device. The layer's weights are in memory of
 * the caller; everything before it stays as it was trained. */

#include "emit/file.h"
#include "passes/pass.h"

static int array_of(const emit_plan *p, const glia_value *value) {
    return value ? p->array_of[glia__emit_root(value)->id] : -1;
}

static glia_status refuse(const char *why, glia_error *err) {
    return glia_error_set(
        err, GLIA_UNSUPPORTED,
        "train_head needs a model of one output that ends with a dense layer without activation, or "
        "with softmax or sigmoid; %s",
        why);
}

/* What follows the products: nothing, a rider, or one more function. */
static const char *result_of(const emit_plan *p, int function) {
    const emit_function *f = &p->functions[function];
    const glia_node *after = f->n_riders ? f->riders[0] : NULL;
    if (function + 1 < p->n_functions) {
        const emit_function *next = &p->functions[function + 1];
        if (after || next->n_riders || glia__emit_root(next->node->inputs[0]) != f->result) return NULL;
        after = next->node;
    }
    if (!after) return "";
    if (f->n_riders > 1) return NULL;
    return glia__node_is(after, "softmax") ? "softmax" : glia__node_is(after, "sigmoid") ? "sigmoid" : NULL;
}

glia_status glia__emit_head_find(emit_file *f, glia_error *err) {
    emit_plan *p = f->plan;
    emit_head *h = &f->head;
    if (p->n_outputs != 1 || p->n_inputs != 1 || p->copied[0] >= 0) return refuse("it has several", err);
    h->function = p->n_functions - 1;
    if (h->function > 0 && !glia__node_is(p->functions[h->function].node, "linear")) h->function--;
    const glia_node *node = h->function >= 0 ? p->functions[h->function].node : NULL;
    if (!node || !glia__node_is(node, "linear")) return refuse("its last function is no dense layer", err);
    h->result = result_of(p, h->function);
    const glia_field *activation = glia__field_find(node->op->attrs, "activation");
    const bool plain = *(const int *)(const void *)((const char *)node->attrs + activation->offset) == 0;
    if (!h->result || !plain) return refuse("its dense layer has another activation", err);
    h->x = array_of(p, node->inputs[0]);
    h->w = array_of(p, node->inputs[1]);
    h->b = node->n_inputs > 2 ? array_of(p, node->inputs[2]) : -1;
    h->inputs = node->inputs[1]->type.shape.dim[1];
    h->units = node->inputs[1]->type.shape.dim[0];
    if (!p->arrays[h->w].data || glia__rows_of(&node->outputs[0].type.shape) != 1)
        return refuse("its weights are no constants", err);
    p->arrays[h->x].last = p->n_functions; /* what the layer reads is read again by the step */
    return GLIA_OK;
}

static void add_head_function(const emit_file *f, const char *type, const char *name, const char *rest,
                              glia_text *out) {
    const char *split = f->options->split_weights ? "const void *weights, " : "";
    glia__text_printf(out, "%s %s_%s(%s%s", type, f->options->name, name, split, rest);
}

static void add_arguments(const emit_file *f, glia_text *out) {
    glia__text_printf(out, "%s_arena *arena, const float in[%s_IN]", f->options->name, f->upper);
}

static void add_predict(const emit_file *f, glia_text *out) {
    add_head_function(f, "int", "head_predict", "", out);
    glia__text_printf(out, "const %s_head *head, ", f->options->name);
    add_arguments(f, out);
    glia__text_printf(out, ", float out[%s_OUT])", f->upper);
}

static void add_step(const emit_file *f, glia_text *out) {
    add_head_function(f, "int", "train_step", "", out);
    glia__text_printf(out, "%s_head *head, ", f->options->name);
    add_arguments(f, out);
    glia__text_printf(out, ", const float target[%s_OUT], float rate)", f->upper);
}

static void add_init(const emit_file *f, glia_text *out) {
    add_head_function(f, "void", "head_init", "", out);
    glia__text_printf(out, "%s_head *head)", f->options->name);
}

void glia__emit_head_declare(const emit_file *f) {
    const emit_head *h = &f->head;
    glia_text *out = f->header;
    glia__text_printf(out,
                      "/* The last layer, which can go on learning where it is. */\n"
                      "typedef struct %s_head {\n    float w[%lld]; /* %lld rows of %lld */\n",
                      f->options->name, (long long)(h->units * h->inputs), (long long)h->units,
                      (long long)h->inputs);
    if (h->b >= 0) glia__text_printf(out, "    float b[%lld];\n", (long long)h->units);
    glia__text_printf(out, "} %s_head;\n\n/* As it was trained. */\n", f->options->name);
    add_init(f, out);
    glia__text_add(out, ";\n\n/* A prediction with that layer. */\n");
    add_predict(f, out);
    glia__text_printf(
        out,
        ";\n\n/* One step of gradient descent with that rate on one example: `target` is what the "
        "prediction should be%s.\n * The loss is the %s. */\n",
        *h->result ? ", 1 for its class and 0 elsewhere" : "",
        strcmp(h->result, "softmax") == 0   ? "cross-entropy"
        : strcmp(h->result, "sigmoid") == 0 ? "mean binary cross-entropy"
                                            : "mean squared error");
    add_step(f, out);
    glia__text_add(out, ";\n\n");
}

/* The functions of a prediction, the last layer's with the weights of `head`. */
static void write_predict(const emit_file *f) {
    const emit_plan *p = f->plan;
    const emit_head *h = &f->head;
    glia_text *out = f->source;
    add_predict(f, out);
    glia__text_add(out, " {\n");
    if (f->ram <= sizeof(float)) glia__text_add(out, "    (void)arena;\n");
    if (f->options->split_weights) glia__text_add(out, "    (void)weights;\n");
    for (int i = 0; i < p->n_functions; i++) {
        const emit_function *function = &p->functions[i];
        if (i != h->function) {
            glia__emit_call(f, function, out);
            continue;
        }
        glia__text_printf(out, "    %s(", function->name);
        for (int k = 0; k < function->n_arguments; k++) {
            const int array = function->arguments[k].array;
            glia__text_add(out, k ? ", " : "");
            if (array == h->w || array == h->b)
                glia__text_add(out, array == h->w ? "head->w" : "head->b");
            else
                glia__emit_array_text(f, &p->arrays[array], out);
        }
        glia__text_add(out, ");\n");
    }
    glia__text_add(out, "    return 0;\n}\n\n");
}

static void write_init(const emit_file *f) {
    const emit_head *h = &f->head;
    add_init(f, f->source);
    glia__text_printf(f->source, " {\n    for (int i = 0; i < %lld; i++) head->w[i] = (",
                      (long long)(h->units * h->inputs));
    glia__emit_array_text(f, &f->plan->arrays[h->w], f->source);
    glia__text_add(f->source, ")[i];\n");
    if (h->b >= 0) {
        glia__text_printf(f->source, "    for (int i = 0; i < %lld; i++) head->b[i] = (",
                          (long long)h->units);
        glia__emit_array_text(f, &f->plan->arrays[h->b], f->source);
        glia__text_add(f->source, ")[i];\n");
    }
    glia__text_add(f->source, "}\n\n");
}

/* Softmax with cross-entropy, sigmoid with binary cross-entropy, and half of squared errors have one gradient: the
 * difference. */
void glia__emit_head(const emit_file *f) {
    const emit_head *h = &f->head;
    glia_text *out = f->source;
    write_init(f);
    write_predict(f);
    add_step(f, out);
    glia__text_printf(
        out, " {\n    float out[%s_OUT];\n    if (%s_head_predict(%shead, arena, in, out)) return -1;\n",
        f->upper, f->options->name, f->options->split_weights ? "weights, " : "");
    glia__text_add(out, "    const float *x = ");
    glia__emit_array_text(f, &f->plan->arrays[h->x], out);
    glia__text_printf(out, ";\n    for (int o = 0; o < %lld; o++) {\n", (long long)h->units);
    const bool softmax = strcmp(h->result, "softmax") == 0, squares = !*h->result;
    glia__text_printf(out, "        const float d = rate * (out[o] - target[o])%s", squares ? " * 2" : "");
    if (!softmax && h->units > 1) glia__text_printf(out, " / %lld", (long long)h->units);
    glia__text_printf(out, ";\n        for (int i = 0; i < %lld; i++) head->w[o * %lld + i] -= d * x[i];\n",
                      (long long)h->inputs, (long long)h->inputs);
    if (h->b >= 0) glia__text_add(out, "        head->b[o] -= d;\n");
    glia__text_add(out, "    }\n    return 0;\n}\n\n");
}

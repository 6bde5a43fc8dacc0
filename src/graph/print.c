/* print.c: a graph for people: one node a line, or Graphviz. */

#include "graph/graph.h"

/* Names of several values of one scope are equal, so the id tells them apart. */
static void print_value(const glia_value *value, FILE *out) {
    if (!value)
        fputs("-", out);
    else if (value->node)
        fprintf(out, "%%%lld", (long long)value->id);
    else if (value->kind == GLIA_VALUE_CONST)
        fprintf(out, "const%lld", (long long)value->id);
    else
        fputs(value->name, out);
}

static void print_type(const glia_type *type, FILE *out) {
    char text[128];
    fprintf(out, "%s %s", glia_dtype_name(type->dtype), glia_shape_text(&type->shape, text, sizeof text));
}

static void print_attrs(const glia_node *node, const glia_allocator *allocator, FILE *out) {
    if (!node->op->attrs) return;
    glia_text text;
    glia__text_init(&text, allocator);
    glia__fields_print(node->op->attrs, node->attrs, false, &text);
    if (text.length) fprintf(out, " [%s]", text.data);
    glia__text_free(&text);
}

static void print_sources(const glia_graph *graph, FILE *out) {
    static const char *const kinds[] = {"input", "param", "const", ""};
    for (size_t i = 0; i < graph->n_values; i++) {
        const glia_value *value = graph->values[i];
        if (value->node) continue;
        fprintf(out, "%-5s ", kinds[value->kind]);
        print_value(value, out);
        fputs(": ", out);
        print_type(&value->type, out);
        fputc('\n', out);
    }
}

static void print_node(const glia_graph *graph, const glia_node *node, FILE *out) {
    for (int o = 0; o < node->n_outputs; o++) {
        if (o) fputs(", ", out);
        print_value(&node->outputs[o], out);
        fputs(": ", out);
        print_type(&node->outputs[o].type, out);
    }
    fprintf(out, " = %s(", node->op->name);
    for (int i = 0; i < node->n_inputs; i++) {
        if (i) fputs(", ", out);
        print_value(node->inputs[i], out);
    }
    fputc(')', out);
    print_attrs(node, graph->allocator, out);
    fprintf(out, "  # %s\n", node->name);
}

/* Marks what `outputs` need, or everything; NULL when out of memory. Free with n_nodes + 1 bytes. */
static bool *marks_of(const glia_graph *graph, glia_value *const *outputs, int count) {
    bool *marks = glia__calloc(graph->allocator, graph->n_nodes + 1, sizeof *marks);
    if (!marks) return NULL;
    if (count > 0)
        glia__graph_mark(graph, outputs, count, marks);
    else
        memset(marks, true, graph->n_nodes);
    return marks;
}

void glia_graph_print(const glia_graph *graph, glia_value *const *outputs, int count, FILE *out) {
    if (!graph) return;
    bool *marks = marks_of(graph, outputs, count);
    if (!marks) return;
    print_sources(graph, out);
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (marks[i]) print_node(graph, graph->nodes[i], out);
    glia__free(graph->allocator, marks, graph->n_nodes + 1);
}

/* Names may hold anything a model file allows; quotes and backslashes would end the label. */
static void print_escaped(const char *text, FILE *out) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', out);
        fputc(*text, out);
    }
}

void glia_graph_print_dot(const glia_graph *graph, glia_value *const *outputs, int count, FILE *out) {
    if (!graph) return;
    bool *marks = marks_of(graph, outputs, count);
    if (!marks) return;
    char text[128];
    fputs("digraph glia {\n  node [shape=box, fontname=\"sans-serif\"];\n", out);
    for (size_t i = 0; i < graph->n_values; i++) {
        const glia_value *value = graph->values[i];
        if (value->node || value->kind == GLIA_VALUE_CONST) continue;
        fprintf(out, "  v%lld [shape=ellipse, label=\"", (long long)value->id);
        print_escaped(value->name, out);
        fprintf(out, "\\n%s\"];\n", glia_shape_text(&value->type.shape, text, sizeof text));
    }
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const glia_node *node = graph->nodes[n];
        if (!marks[n]) continue;
        fprintf(out, "  n%zu [label=\"%s\\n", n, node->op->name);
        print_escaped(node->name, out);
        fputs("\"];\n", out);
        for (int i = 0; i < node->n_inputs; i++) {
            const glia_value *in = node->inputs[i];
            if (!in || in->kind == GLIA_VALUE_CONST) continue;
            fprintf(out, "  %c%lld -> n%zu [label=\"%s\"];\n", in->node ? 'n' : 'v',
                    (long long)(in->node ? in->node->id : in->id), n,
                    glia_shape_text(&in->type.shape, text, sizeof text));
        }
    }
    fputs("}\n", out);
    glia__free(graph->allocator, marks, graph->n_nodes + 1);
}

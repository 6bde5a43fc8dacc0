/* print.c: the resolved model file, and its reference page, from the tables. */
#include <stdio.h>

#include "data/reader.h"
#include "recipe/recipe.h"
#include "train/loss.h"

/* --- the resolved file --------------------------------------------------------------------------------- */

bool glia__recipe_print_field(const glia_field *field, const void *object, glia_text *out) {
    glia_text value;
    const char *string =
        field->kind == GLIA_FIELD_STRING ? *(const char *const *)((const char *)object + field->offset) : "";
    if (field->kind == GLIA_FIELD_STRING && (!string || !string[0])) return false;
    glia__text_printf(out, "%s: ", field->name);
    if (field->kind == GLIA_FIELD_STRING) {
        glia__yaml_quote(out, string);
        return true;
    }
    glia__text_init(&value, out->allocator);
    glia__field_print(field, object, &value);
    bool list = field->kind == GLIA_FIELD_INTS || field->kind == GLIA_FIELD_DIMS;
    if (list) glia__text_add(out, "[");
    for (const char *c = value.data; *c; c++) {
        glia__text_add_bytes(out, c, 1);
        if (list && *c == ',') glia__text_add(out, " ");
    }
    if (list) glia__text_add(out, "]");
    out->failed |= value.failed;
    glia__text_free(&value);
    return true;
}

static void print_keys(const glia_recipe *recipe, const glia_recipe_key *keys, int indent, glia_text *out) {
    for (const glia_recipe_key *k = keys; k->field.name; k++) {
        if (k->hidden && !recipe->trained.input_shape.rank) continue;
        if (k->section) {
            glia__text_printf(out, "%*s%s:\n", indent, "", k->field.name);
            print_keys(recipe, k->section, indent + 2, out);
        } else if (k->print) {
            k->print(recipe, &k->field, indent, out);
        } else {
            size_t before = out->length;
            glia__text_printf(out, "%*s", indent, "");
            if (glia__recipe_print_field(&k->field, recipe, out)) {
                glia__text_add(out, "\n");
            } else if (!out->failed) { /* nothing to say: take the indentation back */
                out->length = before;
                out->data[before] = 0;
            }
        }
    }
}

void glia__recipe_print(const glia_recipe *recipe, glia_text *out) {
    print_keys(recipe, glia__recipe_root, 0, out);
}

glia_status glia__recipe_resolve(glia_recipe *recipe, glia_error *err) {
    glia_text text;
    glia__text_init(&text, recipe->arena.allocator);
    glia__recipe_print(recipe, &text);
    char *copy = text.failed ? NULL : glia__arena_strdup(&recipe->arena, text.data);
    glia__text_free(&text);
    if (!copy) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    recipe->resolved = copy;
    return GLIA_OK;
}

/* --- the reference page -------------------------------------------------------------------------------- */

/* A bar would end the cell of the table. */
static void document_text(const char *text, glia_text *out) {
    for (const char *c = text ? text : ""; *c; c++) {
        if (*c == '|') glia__text_add(out, "\\");
        glia__text_add_bytes(out, c, 1);
    }
}

static void document_bounds(const glia_field *f, glia_text *out) {
    static const char *const kinds[] = {
        [GLIA_FIELD_INT] = "integer",    [GLIA_FIELD_FLOAT] = "number",
        [GLIA_FIELD_BOOL] = "yes or no", [GLIA_FIELD_STRING] = "text",
        [GLIA_FIELD_CHOICE] = "",        [GLIA_FIELD_INTS] = "integers",
        [GLIA_FIELD_DIMS] = "integers",  [GLIA_FIELD_BYTES] = "bytes: 80MB, 1.5GiB",
    };
    if (f->kind == GLIA_FIELD_CHOICE) {
        for (const char *c = f->choices; *c; c++) {
            if (*c == '|')
                glia__text_add(out, ", ");
            else
                glia__text_add_bytes(out, c, 1);
        }
        return;
    }
    if (f->kind == GLIA_FIELD_INTS) glia__text_printf(out, "%d ", f->count);
    glia__text_add(out, kinds[f->kind]);
    if (!(f->min < f->max)) return;
    if (f->max < 1e9)
        glia__text_printf(out, ", %.10g … %.10g", f->min, f->max);
    else if (f->min > -1e9)
        glia__text_printf(out, ", at least %.10g", f->min);
}

static void document_field(const char *path, const glia_field *f, bool plain, glia_text *out) {
    glia__text_printf(out, "| `%s%s` | ", path, f->name);
    if (plain) document_bounds(f, out);
    glia__text_add(out, " | ");
    if (f->initial && f->initial[0])
        glia__text_printf(out, "`%s`", f->initial);
    else if (plain && !f->initial)
        glia__text_add(out, "**required**");
    glia__text_add(out, " | ");
    document_text(f->doc, out);
    glia__text_add(out, " |\n");
}

static void document_keys(const char *path, const glia_recipe_key *keys, glia_text *out) {
    for (const glia_recipe_key *k = keys; k->field.name; k++) {
        if (k->hidden) continue;
        document_field(path, &k->field, !k->section && !k->read, out);
        if (!k->section) continue;
        char inner[128];
        snprintf(inner, sizeof inner, "%s%s.", path, k->field.name);
        document_keys(inner, k->section, out);
    }
}

static const char table_head[] = "| key | value | default | meaning |\n|---|---|---|---|\n";

static void document_fields(const char *name, const char *doc, const char *note, const glia_field *fields,
                            glia_text *out) {
    glia__text_printf(out, "\n### %s\n\n%s%s%s\n", name, doc, note ? "\n\n" : "", note ? note : "");
    if (!fields || !fields->name) return;
    glia__text_printf(out, "\n%s", table_head);
    for (const glia_field *f = fields; f->name; f++) document_field("", f, true, out);
}

static void document_layer(const glia_layer_def *def, glia_text *out) {
    char note[320] = "";
    size_t used = 0;
    if (def->shorthand)
        used += (size_t)snprintf(note, sizeof note, "`- %s: VALUE` sets `%s`. ", def->name, def->shorthand);
    if (def->max_inputs > 1)
        used += (size_t)snprintf(note + used, sizeof note - used, "Takes %d to %d `inputs`. ",
                                 def->min_inputs, def->max_inputs);
    for (const char *r = def->results; r; r = strchr(r, '|') ? strchr(r, '|') + 1 : NULL)
        used += (size_t)snprintf(note + used, sizeof note - used, "%s`NAME.%.*s`",
                                 r == def->results ? "Later layers can have as input, besides its result: "
                                                   : ", ",
                                 (int)strcspn(r, "|"), r);
    if (def->results) snprintf(note + used, sizeof note - used, ". ");
    if (note[0]) note[strlen(note) - 1] = '\0';
    document_fields(def->name, def->doc, note[0] ? note : NULL, def->fields, out);
}

/* An op that is no activation: one row of a table is enough. */
static bool is_plain_op(const glia_layer_def *def) {
    return def->op && !(def->op->traits & GLIA_TRAIT_ACTIVATION);
}

static void document_op(const glia_layer_def *def, glia_text *out) {
    glia__text_printf(out, "| `%s` | %d", def->name, def->min_inputs);
    if (def->max_inputs > def->min_inputs) glia__text_printf(out, " to %d", def->max_inputs);
    glia__text_add(out, " |");
    for (const glia_field *f = def->fields; f && f->name; f++)
        glia__text_printf(out, "%s `%s`%s", f == def->fields ? "" : ",", f->name,
                          f->initial ? "" : " (required)");
    glia__text_add(out, " | ");
    document_text(def->doc, out);
    glia__text_add(out, " |\n");
}

static void document_row(const char *name, const char *doc, glia_text *out) {
    glia__text_printf(out, "| `%s` | ", name);
    document_text(doc, out);
    glia__text_add(out, " |\n");
}

static void document_source(const glia_reader *reader, glia_text *out) {
    const char *const *files = reader->files;
    glia__text_printf(out, "| `%s` |", reader->example);
    if (files[0]) glia__text_printf(out, " `{%s: {", reader->name);
    for (size_t i = 0; i < GLIA_COUNT(reader->files) && files[i]; i++)
        glia__text_printf(out, "%s%s: …", i ? ", " : "", files[i]);
    glia__text_add(out, files[0] ? "}}` | " : " | ");
    document_text(reader->doc, out);
    glia__text_add(out, " |\n");
}

void glia__recipe_document(glia_text *out) {
    glia__text_add(
        out,
        "# The model file\n\n"
        "<!-- Generated by `glia help model-file` from the tables in the code; do not edit. -->\n\n"
        "A YAML file (UTF-8, without aliases and tags) that says what to learn from, the network, and how to "
        "train it. Every key below may be left out unless it is marked as required; unknown keys are errors. "
        "On the command line `key.sub=value` replaces a value: `glia train model.yaml train.epochs=3 "
        "model.conv2d.filters=16`. An item of the list of layers is named by its position from 1, its kind, "
        "or "
        "its `name`.\n\n"
        "A path of a file that is not absolute is looked for beside the model file, then in the "
        "current folder, then in the folder of data sets (`GLIA_DATA`).\n\n## Keys\n\n");
    glia__text_add(out, table_head);
    document_keys("", glia__recipe_root, out);
    glia__text_add(out, "\n## Sources\n\n| source | with files by name | what |\n|---|---|---|\n");
    for (size_t i = 0; i < glia__readers_count; i++) document_source(glia__readers[i], out);
    glia__text_add(
        out, "\n## Layers\n\n"
             "`model` is a list. An item is a word (`- flatten`), a word with its main value "
             "(`- dense: 10`) or a word with settings (`- conv2d: {filters: 32, kernel: 3}`). Every "
             "layer also takes `name`; `inputs`: the names of earlier layers, or `input` for the "
             "model's input (without it, a layer takes the one before); `share: NAME`: the settings and "
             "the weights are those of the earlier layer of that name; `trainable: no`: its weights stay "
             "as they are; and `learning_rate_scale`: how many times the optimizer's learning rate they "
             "have.\n\n"
             "`blocks` gives lists of layers a name by which the model, and later blocks, use them as "
             "one layer (`- NAME`, or `- NAME: 3` for three of them, one after the other, each with "
             "weights of its own). In a block `input` is the block's, and names are its own.\n");
    glia_layer_def layer;
    for (size_t i = 0; glia__layer_def_at(i, &layer); i++)
        if (!is_plain_op(&layer)) document_layer(&layer, out);
    glia__text_add(
        out,
        "\n## Operations\n\n"
        "Every operation of graphs is a layer too (`- cumsum: {axis: 1}`). Shapes and axes are those of "
        "whole arrays here: axis 0 is the batch. `inputs: [NAME.1]` names the second result of one that has "
        "several.\n\n| operation | inputs | settings | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; glia__layer_def_at(i, &layer); i++)
        if (is_plain_op(&layer)) document_op(&layer, out);
    glia__text_add(out, "\n## Losses\n");
    for (size_t i = 0; i < glia__losses_count; i++) {
        const glia_loss *l = glia__losses[i];
        document_fields(l->name, l->doc, l->source, l->fields, out);
    }
    glia__text_add(out, "\n## Optimizers\n");
    for (size_t i = 0; i < glia__optimizers_count; i++) {
        const glia_optimizer *o = glia__optimizers[i];
        document_fields(o->name, o->doc, o->source, o->fields, out);
    }
    glia__text_add(out, "\n## Metrics\n\n| name | meaning |\n|---|---|\n");
    for (const glia_figure *m = glia__figures; m->name; m++) document_row(m->name, m->doc, out);
}

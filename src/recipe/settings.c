/* settings.c: the keys of a model file and the sections with functions of their own: loss, optimizer,
 * metrics. */
#include <stdio.h>

#include "recipe/recipe.h"
#include "train/loss.h"
#include "train/schedule.h"

/* --- loss, optimiser, metrics -------------------------------------------------------------------------- */

static glia_status unknown_loss(const glia_yaml *at, const char *name, glia_error *err) {
    const char *words[64] = {"auto"};
    size_t count = 1;
    for (size_t i = 0; i < glia__losses_count && count < GLIA_COUNT(words); i++)
        words[count++] = glia__losses[i]->name;
    return glia__recipe_unknown(at, "loss", name, words, count, err);
}

/* `one`: {name: settings}. */
static glia_status read_loss_settings(glia_recipe *recipe, const glia_yaml *one, const char **out,
                                      glia_error *err) {
    const glia_loss *loss = glia__loss_find(one->key);
    char what[64];
    glia_error inner = {0};
    glia_loss_choice choice;
    if (!loss) return unknown_loss(one, one->key, err);
    if (one->next)
        return glia__yaml_key_error(one->next, err, GLIA_INVALID_ARGUMENT,
                                    "expected one loss, found '%.60s' after '%.60s'; settings stand inside: "
                                    "{%.60s: {%.60s: …}}",
                                    one->next->key, one->key, one->key, one->next->key);
    GLIA_TRY(glia__recipe_expect_map(one, one->key, err));
    void *options = glia__arena_alloc(&recipe->arena, loss->options_size + 1);
    if (!options) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    glia__fields_init(loss->fields, options);
    snprintf(what, sizeof what, "setting of %s", loss->name);
    GLIA_TRY(glia__recipe_fields(one, loss->fields, options, what, NULL, &recipe->arena, err));
    glia_text text;
    glia__text_init(&text, recipe->arena.allocator);
    glia__text_printf(&text, "%s ", loss->name);
    glia__fields_print(loss->fields, options, false, &text);
    glia_status status = text.failed ? glia_error_set(&inner, GLIA_OUT_OF_MEMORY, "out of memory")
                                     : glia__loss_parse(&choice, text.data, &recipe->arena, &inner);
    glia__text_free(&text);
    if (status != GLIA_OK) return glia__yaml_key_error(one, err, status, "%s", inner.message);
    *out = choice.text;
    return GLIA_OK;
}

glia_status glia__recipe_read_loss(glia_recipe *recipe, const glia_yaml *node, const char *name,
                                   const char **out, glia_error *err) {
    char found[120];
    if (node->kind == GLIA_YAML_MAP && node->first) return read_loss_settings(recipe, node->first, out, err);
    if (node->kind != GLIA_YAML_TEXT)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "%s: expected the name of a loss or {name: settings}, found %s", name,
                                    glia__yaml_found(node, found, sizeof found));
    const glia_loss *loss = strchr(node->text, ' ') ? NULL : glia__loss_find(node->text);
    glia_yaml at = *node;
    at.key = NULL; /* the value is wrong, not the key */
    if (!loss && strcmp(node->text, "auto") != 0) return unknown_loss(&at, node->text, err);
    *out = loss ? loss->name : "auto";
    return GLIA_OK;
}

static glia_status read_loss(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                             glia_error *err) {
    return glia__recipe_read_loss(recipe, node, field->name, &recipe->loss, err);
}

static glia_status set_optimizer(glia_recipe *recipe, const char *name, const glia_yaml *at,
                                 glia_error *err) {
    const char *words[64];
    size_t count = 0;
    recipe->optimizer = glia__optimizer_find(name);
    if (!recipe->optimizer) {
        for (size_t i = 0; i < glia__optimizers_count && count < GLIA_COUNT(words); i++)
            words[count++] = glia__optimizers[i]->name;
        return glia__recipe_unknown(at, "optimizer", name, words, count, err);
    }
    memset(&recipe->optimizer_options, 0, sizeof recipe->optimizer_options);
    glia__fields_init(recipe->optimizer->fields, &recipe->optimizer_options);
    recipe->optimizer_options.name = recipe->optimizer->name;
    return GLIA_OK;
}

static glia_status read_optimizer(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                  glia_error *err) {
    char found[120];
    if (node->kind == GLIA_YAML_TEXT) {
        glia_yaml at = *node;
        at.key = NULL;
        return set_optimizer(recipe, node->text, &at, err);
    }
    if (node->kind != GLIA_YAML_MAP || !node->first)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "%s: expected a name or {name: settings}, found %s", field->name,
                                    glia__yaml_found(node, found, sizeof found));
    const glia_yaml *one = node->first;
    GLIA_TRY(set_optimizer(recipe, one->key, one, err));
    if (one->next)
        return glia__yaml_key_error(one->next, err, GLIA_INVALID_ARGUMENT,
                                    "expected one optimizer, found '%.60s' after '%.60s'; settings stand "
                                    "inside: {%.60s: {%.60s: …}}",
                                    one->next->key, one->key, one->key, one->next->key);
    GLIA_TRY(glia__recipe_expect_map(one, one->key, err));
    char what[64];
    snprintf(what, sizeof what, "setting of %s", one->key);
    return glia__recipe_fields(one, recipe->optimizer->fields, &recipe->optimizer_options, what, NULL,
                               &recipe->arena, err);
}

static glia_status add_metric(glia_recipe *recipe, const glia_yaml *node, glia_error *err) {
    const char *words[32];
    size_t count = 0;
    char found[120];
    if (node->kind != GLIA_YAML_TEXT)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "metrics: expected the name of a metric, found %s",
                                glia__yaml_found(node, found, sizeof found));
    for (const glia_figure *m = glia__figures; m->name; m++) {
        words[count++] = m->name;
        if (strcmp(m->name, node->text) != 0) continue;
        for (int i = 0; i < recipe->n_metrics; i++)
            if (recipe->metrics[i] == m)
                return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT, "metrics: '%s' stands here twice",
                                        m->name);
        recipe->metrics[recipe->n_metrics++] = m;
        return GLIA_OK;
    }
    glia_yaml at = *node;
    at.key = NULL;
    return glia__recipe_unknown(&at, "metric", node->text, words, count, err);
}

static glia_status read_metrics(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                glia_error *err) {
    char found[120];
    recipe->n_metrics = 0;
    if (node->kind == GLIA_YAML_TEXT && strcmp(node->text, "auto") == 0) return GLIA_OK;
    if (node->kind == GLIA_YAML_TEXT) return add_metric(recipe, node, err);
    if (node->kind != GLIA_YAML_LIST)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "%s: expected a list of names, found %s", field->name,
                                    glia__yaml_found(node, found, sizeof found));
    for (const glia_yaml *n = node->first; n; n = n->next) GLIA_TRY(add_metric(recipe, n, err));
    return GLIA_OK;
}

/* {name: {setting: value, …}}, all of them. */
static void print_named(const char *key, const char *name, const glia_field *fields, const void *options,
                        int indent, glia_text *out) {
    glia__text_printf(out, "%*s%s:\n%*s%s: {", indent, "", key, indent + 2, "", name);
    bool first = true;
    for (const glia_field *f = fields; f && f->name; f++) {
        const char *const *text =
            f->kind == GLIA_FIELD_STRING ? (const void *)((const char *)options + f->offset) : NULL;
        if (text && !(*text && **text)) continue;
        if (!first) glia__text_add(out, ", ");
        first = false;
        glia__recipe_print_field(f, options, out);
    }
    glia__text_add(out, "}\n");
}

void glia__recipe_print_loss(const glia_recipe *recipe, const char *loss, const char *name, int indent,
                             glia_text *out) {
    glia_arena arena;
    glia_loss_choice choice;
    glia__arena_init(&arena, recipe->arena.allocator);
    if (!strchr(loss, ' '))
        glia__text_printf(out, "%*s%s: %s\n", indent, "", name, loss);
    else if (glia__loss_parse(&choice, loss, &arena, NULL) == GLIA_OK)
        print_named(name, choice.loss->name, choice.loss->fields, choice.options, indent, out);
    else
        out->failed = true;
    glia__arena_free(&arena);
}

static void print_loss(const glia_recipe *recipe, const glia_field *field, int indent, glia_text *out) {
    if (!recipe->n_losses) glia__recipe_print_loss(recipe, recipe->loss, field->name, indent, out);
}

static void print_optimizer(const glia_recipe *recipe, const glia_field *field, int indent, glia_text *out) {
    print_named(field->name, recipe->optimizer->name, recipe->optimizer->fields, &recipe->optimizer_options,
                indent, out);
}

static void print_metrics(const glia_recipe *recipe, const glia_field *field, int indent, glia_text *out) {
    glia__text_printf(out, "%*s%s: ", indent, "", field->name);
    if (!recipe->n_metrics) {
        glia__text_add(out, "auto\n");
        return;
    }
    for (int i = 0; i < recipe->n_metrics; i++)
        glia__text_printf(out, "%s%s", i ? ", " : "[", recipe->metrics[i]->name);
    glia__text_add(out, "]\n");
}

glia_status glia__recipe_settings_init(glia_recipe *recipe, glia_error *err) {
    glia_yaml adam = {.kind = GLIA_YAML_TEXT, .text = "adam", .origin = recipe->path};
    recipe->loss = "auto";
    recipe->n_metrics = 0;
    recipe->train.initial_weights = "";
    recipe->train.early_stopping.monitor = "val_loss";
    return set_optimizer(recipe, "adam", &adam, err);
}

/* --- initial weights ------------------------------------------------------------------------------------ */

/* The whole path, when it is there: a run is also read where its first weights have gone. */
static glia_status read_initial_weights(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                        glia_error *err) {
    char found[120];
    if (node->kind != GLIA_YAML_TEXT)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT,
                                    "%s: expected the name of a file or run, found %s", field->name,
                                    glia__yaml_found(node, found, sizeof found));
    recipe->train.initial_weights = node->text;
    glia_error inner = {0};
    glia_status status =
        *node->text ? glia__recipe_find_file(recipe, node->text, &recipe->train.initial_weights, &inner)
                    : GLIA_OK;
    if (status != GLIA_OUT_OF_MEMORY) return GLIA_OK;
    return glia_error_set(err, status, "%s", inner.message);
}

static void print_initial_weights(const glia_recipe *recipe, const glia_field *field, int indent,
                                  glia_text *out) {
    if (!*recipe->train.initial_weights) return;
    glia__text_printf(out, "%*s%s: ", indent, "", field->name);
    glia__yaml_quote(out, recipe->train.initial_weights);
    glia__text_add(out, "\n");
}

/* --- what says which epoch is best ---------------------------------------------------------------------- */

/* "val_f1", or of one of several outputs "kind.val_f1": whether there is such an output shows when all is read. */
static glia_status read_monitor(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                                glia_error *err) {
    enum { MOST = 64 };
    const char *names[MOST];
    char found[120];
    size_t count = 0;
    const char *dot = strchr(node->text, '.'), *figure = dot ? dot + 1 : node->text;
    const bool val = strncmp(figure, "val_", 4) == 0;
    recipe->train.early_stopping.monitor = node->text;
    if (val && glia__figure_find(figure + 4)) return GLIA_OK;
    for (const glia_figure *m = glia__figures; m->name && count < MOST; m++) names[count++] = m->name;
    const char *nearest = glia__nearest_word(val ? figure + 4 : figure, names, count);
    return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                            "%s: expected val_loss, val_accuracy, val_f1, or val_ and another metric, found "
                            "%s%s%s%s",
                            field->name, glia__yaml_found(node, found, sizeof found),
                            nearest ? " (did you mean val_" : "", nearest ? nearest : "",
                            nearest ? "?)" : "");
}

static void print_monitor(const glia_recipe *recipe, const glia_field *field, int indent, glia_text *out) {
    glia__text_printf(out, "%*s%s: %s\n", indent, "", field->name, recipe->train.early_stopping.monitor);
}

glia_status glia__recipe_check_monitor(const glia_recipe *recipe, glia_error *err) {
    const char *monitor = recipe->train.early_stopping.monitor, *dot = strchr(monitor, '.');
    const glia_yaml *node = glia__yaml_get(glia__yaml_get(recipe->root, "train"), "early_stopping");
    const char *words[GLIA_RECIPE_PARTS];
    char name[64];
    node = glia__yaml_get(node, "monitor");
    if (!node || (!dot && (!recipe->n_losses || strcmp(monitor, "val_loss") == 0))) return GLIA_OK;
    if (!dot)
        return glia__yaml_error(node, err, GLIA_INVALID_ARGUMENT,
                                "monitor: there are several outputs; say whose: %s.%.40s, or val_loss of all",
                                recipe->losses[0].layer, monitor);
    snprintf(name, sizeof name, "%.*s", (int)GLIA_MIN(dot - monitor, 60), monitor);
    for (int i = 0; i < recipe->n_losses; i++) {
        words[i] = recipe->losses[i].layer;
        if (strcmp(words[i], name) == 0) return GLIA_OK;
    }
    glia_yaml at = *node;
    at.key = NULL;
    return glia__recipe_unknown(&at, "loss to monitor", name, words, (size_t)recipe->n_losses, err);
}

/* --- trained: lists of words and numbers --------------------------------------------------------------- */

/* The list that a key is about, and how many words it has. */
static const char ***words_of(glia_recipe_trained *t, const char *name, int64_t **count) {
    const bool vocabulary = strcmp(name, "vocabulary") == 0, origin = strcmp(name, "origin") == 0;
    *count = vocabulary ? &t->n_vocabulary : origin ? &t->n_origin : &t->n_class_names;
    return vocabulary ? &t->vocabulary : origin ? &t->origin : &t->class_names;
}

static glia_status read_names(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                              glia_error *err) {
    if (node->kind != GLIA_YAML_LIST)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "%s: expected a list", field->name);
    const char **names = glia__arena_alloc(&recipe->arena, (size_t)(node->count + 1) * sizeof *names);
    if (!names) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    int64_t count = 0;
    for (const glia_yaml *n = node->first; n; n = n->next) names[count++] = n->text;
    int64_t *n;
    *words_of(&recipe->trained, field->name, &n) = names;
    *n = count;
    return GLIA_OK;
}

static void print_names(const glia_recipe *recipe, const glia_field *field, int indent, glia_text *out) {
    glia_recipe_trained t = recipe->trained;
    int64_t *n;
    const char *const *words = *words_of(&t, field->name, &n);
    if (!*n) return;
    glia__text_printf(out, "%*s%s: [", indent, "", field->name);
    for (int64_t i = 0; i < *n; i++) {
        if (i) glia__text_add(out, ", ");
        glia__yaml_quote(out, words[i]);
    }
    glia__text_add(out, "]\n");
}

/* The list that a key is about, and how many numbers it has. */
static float **floats_of(glia_recipe_trained *t, const char *name, int64_t **count) {
    bool mean = strcmp(name, "mean") == 0, std = strcmp(name, "std") == 0;
    *count = mean ? &t->n_mean : std ? &t->n_std : &t->n_fill;
    return mean ? &t->mean : std ? &t->std : &t->fill;
}

static glia_status read_floats(glia_recipe *recipe, const glia_yaml *node, const glia_field *field,
                               glia_error *err) {
    if (node->kind != GLIA_YAML_LIST)
        return glia__yaml_key_error(node, err, GLIA_INVALID_ARGUMENT, "%s: expected a list", field->name);
    float *numbers = glia__arena_alloc(&recipe->arena, (size_t)(node->count + 1) * sizeof *numbers);
    if (!numbers) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    int64_t count = 0, *kept;
    static const glia_field number = {.name = "number", .kind = GLIA_FIELD_FLOAT, .min = -1e38, .max = 1e38};
    for (const glia_yaml *n = node->first; n; n = n->next) {
        double value;
        GLIA_TRY(glia__recipe_field(n, &number, &value, &recipe->arena, err));
        numbers[count++] = (float)value;
    }
    *floats_of(&recipe->trained, field->name, &kept) = numbers;
    *kept = count;
    return GLIA_OK;
}

static void print_floats(const glia_recipe *recipe, const glia_field *field, int indent, glia_text *out) {
    glia_recipe_trained t = recipe->trained;
    int64_t *n;
    const float *numbers = *floats_of(&t, field->name, &n);
    int64_t count = *n;
    if (!count) return;
    glia__text_printf(out, "%*s%s: [", indent, "", field->name);
    for (int64_t i = 0; i < count; i++) glia__text_printf(out, "%s%.9g", i ? ", " : "", (double)numbers[i]);
    glia__text_add(out, "]\n");
}

/* --- the tables ---------------------------------------------------------------------------------------- */

#define AT(member) .offset = offsetof(glia_recipe, member)

static const glia_recipe_key trained_keys[] = {
    {.field = {"glia", GLIA_FIELD_STRING, AT(trained.version), "", "version that trained"}},
    {.field = {"substitute", GLIA_FIELD_STRING, AT(trained.substitute), "",
               "which data set was read in place of the one that `data.source` names"}},
    {.field = {"input_shape", GLIA_FIELD_DIMS, AT(trained.input_shape), "", "of one example", .min = 1,
               .max = 1 << 30}},
    {.field = {"target", GLIA_FIELD_CHOICE, AT(trained.target), "none", "kind of target",
               "none|class|values"}},
    {.field = {"target_shape", GLIA_FIELD_DIMS, AT(trained.target_shape), "", "of one example", .min = 1,
               .max = 1 << 30}},
    {.field = {"classes", GLIA_FIELD_INT, AT(trained.classes), "0", "number of classes", .min = 0,
               .max = 1 << 24}},
    {.field = {"class_names", .doc = "in order"}, .read = read_names, .print = print_names},
    {.field = {"vocabulary", .doc = "tokens, in the order of their numbers"},
     .read = read_names,
     .print = print_names},
    {.field = {"origin", .doc = "what the file that was imported says of itself: key=value"},
     .read = read_names,
     .print = print_names},
    {.field = {"scale", GLIA_FIELD_FLOAT, AT(trained.scale), "1", "input = (raw · scale − mean) / std",
               .min = -1e30, .max = 1e30}},
    {.field = {"channel_axis", GLIA_FIELD_INT, AT(trained.channel_axis), "0",
               "dimension of an example that channels lie along", .min = 0, .max = GLIA_MAX_RANK}},
    {.field = {"mean", .doc = "per channel"}, .read = read_floats, .print = print_floats},
    {.field = {"std", .doc = "per channel"}, .read = read_floats, .print = print_floats},
    {.field = {"fill", .doc = "per feature: what a missing value becomes"},
     .read = read_floats,
     .print = print_floats},
    {.field = {.name = NULL}},
};

static const glia_recipe_key stop_keys[] = {
    {.field = {"patience", GLIA_FIELD_INT, AT(train.early_stopping.patience), "0",
               "stop after so many validations without improvement, with the best weights; 0: never",
               .min = 0, .max = 1e9}},
    {.field = {"min_delta", GLIA_FIELD_FLOAT, AT(train.early_stopping.min_delta), "0",
               "how much counts as improvement", .min = 0, .max = 1e9}},
    {.field = {"monitor", .initial = "val_loss",
               .doc =
                   "what must improve; also decides which weights are the best: val_ and the name of a "
                   "metric (see Metrics), or of one of several `losses` LAYER.val_loss, LAYER.val_accuracy, "
                   "…"},
     .read = read_monitor,
     .print = print_monitor},
    {.field = {.name = NULL}},
};

#define SCHEDULE_KEY(...) {.field = __VA_ARGS__},
static const glia_recipe_key schedule_keys[] = {
    {.field = {"kind", GLIA_FIELD_CHOICE, AT(train.schedule_kind), "constant",
               "constant; step: falls by gamma; linear, cosine: falls to final, in a straight line or as a "
               "cosine does",
               GLIA_SCHEDULES}},
    GLIA_SCHEDULE_FIELDS(SCHEDULE_KEY, offsetof(glia_recipe, train.schedule)){.field = {.name = NULL}},
};

static const glia_recipe_key train_keys[] = {
    {.field = {"epochs", GLIA_FIELD_INT, AT(train.epochs), "10", "passes over the training data", .min = 1,
               .max = 1e9}},
    {.field = {"batch_size", GLIA_FIELD_INT, AT(train.batch_size), "32",
               "examples a step; the last batch may be smaller", .min = 1, .max = 1 << 24}},
    {.field =
         {"steps_per_epoch", GLIA_FIELD_INT, AT(train.steps_per_epoch), "0",
          "an epoch ends after so many steps, before all examples were seen; the next draws anew; 0: all",
          .min = 0, .max = 1e15}},
    {.field = {"shuffle", GLIA_FIELD_BOOL, AT(train.shuffle), "yes", "draw a new order every epoch"}},
    {.field = {"validate_every", GLIA_FIELD_INT, AT(train.validate_every), "1", "epochs between validations",
               .min = 1, .max = 1e9}},
    {.field =
         {"initial_weights", .initial = "",
          .doc =
              "a run, or a file of weights (.safetensors, .npz, .h5, …), to begin with; what is not in it, "
              "or has another shape, begins anew, and the log says so"},
     .read = read_initial_weights,
     .print = print_initial_weights},
    {.field = {"schedule", .doc = "how the learning rate changes from step to step"},
     .section = schedule_keys},
    {.field = {"early_stopping", .doc = "when to stop before the last epoch"}, .section = stop_keys},
    {.field = {"seed", GLIA_FIELD_INT, AT(train.seed), "0",
               "of splits, initial weights, shuffling and dropout", .min = 0, .max = 9e15}},
    {.field = {"threads", GLIA_FIELD_INT, AT(train.threads), "0", "workers; 0: every core", .min = 0,
               .max = 1024}},
    {.field = {"precision", GLIA_FIELD_CHOICE, AT(train.precision), "f32",
               "bf16: mixed, weights and sums stay f32; faster on processors with matrix units", "f32|bf16"}},
    {.field = {"memory_limit", GLIA_FIELD_BYTES, AT(train.memory_limit), "0",
               "most that the training may allocate beside the data set; batches that need more are run in "
               "pieces; 0: "
               "no limit"}},
    {.field = {.name = NULL}},
};

const glia_recipe_key glia__recipe_root[] = {
    {.field = {"name", GLIA_FIELD_STRING, AT(name), "",
               "name of the runs; default: the file's name without its ending"}},
    {.field = {"data", .doc = "what to learn from"}, .section = glia__recipe_data_keys},
    {.field =
         {"inputs",
          .doc =
              "several inputs, by the names of arrays of the data (npz, safetensors): shapes of one "
              "example, `image: [1, 28, 28]`, or {shape: …, dtype: f32, i64 or i32, scale: …, normalize: "
              "yes, axis: 0}; layers name them as `inputs`. f32 ones are scaled or normalized (by channels "
              "along `axis`, negative ones count from the last) as each says, else as `data.scale` and "
              "`data.normalize` say, in the model itself: see the layer normalize"},
     .read = glia__recipe_read_inputs,
     .print = glia__recipe_print_inputs},
    {.field = {"blocks", .doc = "layers that the model uses as one: a list of layers for each name"},
     .read = glia__recipe_read_blocks,
     .print = glia__recipe_print_blocks},
    {.field = {"model", .doc = "the layers, in order"},
     .read = glia__recipe_read_layers,
     .print = glia__recipe_print_layers},
    {.field = {"outputs",
               .doc = "with `losses`: layers whose numbers the model gives; default: those that are compared "
                      "with targets, or, where the losses are layers, what these look at first"},
     .read = glia__recipe_read_outputs,
     .print = glia__recipe_print_outputs},
    {.field =
         {"losses",
          .doc =
              "several losses, which are added up: for the name of a layer that of a loss, or {loss: …, "
              "weight: "
              "1, target: ARRAY}; the targets are the array of the layer's name, if no other is given; mean: "
              "the layer's numbers themselves, for layers that are losses (contrastive, ctc, …)"},
     .read = glia__recipe_read_losses,
     .print = glia__recipe_print_losses},
    {.field = {"loss", .initial = "auto",
               .doc = "what is minimised: a name, or {name: settings}; auto: softmax_cross_entropy for "
                      "classes, mse for "
                      "numbers"},
     .read = read_loss,
     .print = print_loss},
    {.field = {"optimizer", .initial = "adam", .doc = "a name, or {name: settings}"},
     .read = read_optimizer,
     .print = print_optimizer},
    {.field = {"metrics", .initial = "auto",
               .doc = "the figures to show after training; auto: accuracy and f1, or mae and rmse"},
     .read = read_metrics,
     .print = print_metrics},
    {.field = {"train", .doc = "how long, in which steps"}, .section = train_keys},
    {.field = {"trained", .doc = "written by glia train to config.yaml"},
     .section = trained_keys,
     .hidden = true},
    {.field = {.name = NULL}},
};

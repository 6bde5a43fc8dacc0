/* keras.c: the `model_config` of a Keras file as a model file: plain sequences of the layers in the table. */
#include <stdio.h>

#include "glia/version.h"
#include "recipe/import.h"

#ifdef GLIA_HAVE_JSON
#include <jansson.h>

/* What a setting of theirs is here; `only`: it has no counterpart, and must have this value (or null). */
typedef struct setting {
    const char *theirs, *ours, *only;
} setting;

typedef struct known_layer {
    const char *theirs;  /* class */
    const char *counted; /* what its arrays are called in a .keras file, with _1, _2 … behind */
    const char *ours;
    setting settings[10];
} known_layer;

#define AS(theirs, ours) \
    { theirs, ours, NULL }
#define ONLY(theirs, value) \
    { theirs, NULL, value }
#define LAST   ONLY("data_format", "channels_last")
#define WINDOW AS("pool_size", "size"), AS("strides", "strides"), AS("padding", "padding"), LAST

/* clang-format off */
static const known_layer known[] = {
    {"Conv2D", "conv2d", "conv2d",
     {AS("filters", "filters"), AS("kernel_size", "kernel"), AS("strides", "strides"), AS("padding", "padding"),
      AS("dilation_rate", "dilation"), AS("groups", "groups"), AS("use_bias", "use_bias"), LAST}},
    {"Dense", "dense", "dense", {AS("units", "units"), AS("use_bias", "use_bias")}},
    {"MaxPooling2D", "max_pooling2d", "max_pool2d", {WINDOW}},
    {"AveragePooling2D", "average_pooling2d", "average_pool2d", {WINDOW}},
    {"GlobalAveragePooling2D", "global_average_pooling2d", "global_average_pool2d", {ONLY("keepdims", "false"), LAST}},
    {"Flatten", "flatten", "flatten", {LAST}},
    {"Dropout", "dropout", "dropout", {AS("rate", "rate")}},
    {"BatchNormalization", "batch_normalization", "batch_norm",
     {AS("epsilon", "epsilon"), AS("momentum", "momentum"), ONLY("center", "true"), ONLY("scale", "true")}},
    {"Activation", "activation", NULL, {ONLY(NULL, NULL)}},
    {"ReLU", "re_lu", "relu", {ONLY("max_value", "null"), ONLY("negative_slope", "0"), ONLY("threshold", "0")}},
    {"Softmax", "softmax", "softmax", {ONLY(NULL, NULL)}},
};
/* clang-format on */

/* Activations that are called otherwise here. */
static const char *const activations[][2] = {{"swish", "silu"}};

typedef struct writer {
    glia_text *out;
    const json_t *layers;
    bool counted;
    glia_error *err;
} writer;

static glia_status refuse(const writer *w, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return glia_error_set(
        w->err, GLIA_UNSUPPORTED,
        "the Keras model cannot be built here: %s; write it as a model file, and import its "
        "weights with --weights",
        text);
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* "[3, 3]", "same", "yes", "0.25" */
static void add_value(const json_t *value, glia_text *out) {
    if (json_is_array(value)) {
        glia__text_add(out, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i) glia__text_add(out, ", ");
            add_value(json_array_get(value, i), out);
        }
        glia__text_add(out, "]");
    } else if (json_is_string(value)) {
        glia__text_add_json(out, json_string_value(value));
    } else if (json_is_integer(value)) {
        glia__text_printf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        glia__text_add_number(out, json_real_value(value));
    } else {
        glia__text_add(out, json_is_true(value) ? "yes" : "no");
    }
}

static bool is_value(const json_t *value, const char *text) {
    if (json_is_string(value)) return strcmp(json_string_value(value), text) == 0;
    if (json_is_number(value)) return strcmp(text, "0") == 0 && json_number_value(value) == 0;
    return strcmp(text, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "") == 0;
}

static const known_layer *find_layer(const char *class) {
    for (size_t i = 0; i < GLIA_COUNT(known); i++)
        if (strcmp(known[i].theirs, class) == 0) return &known[i];
    return NULL;
}

/* --- layers -------------------------------------------------------------------------------------------- */

static glia_status add_settings(const writer *w, const known_layer *layer, const json_t *config) {
    const char *name = text_of(config, "name");
    for (const setting *s = layer->settings; s < layer->settings + GLIA_COUNT(layer->settings) && s->theirs;
         s++) {
        const json_t *value = json_object_get(config, s->theirs);
        if (!value || json_is_null(value)) continue;
        if (s->only && !is_value(value, s->only))
            return refuse(w, "layer '%.60s' (%s) has a %s that is not %s", name, layer->theirs, s->theirs,
                          s->only);
        if (!s->ours) continue;
        glia__text_printf(w->out, ", %s: ", s->ours);
        add_value(value, w->out);
    }
    return GLIA_OK;
}

/* The activation of a layer, as it is called here; "" for none. Keras 3 may write an object in place of a word. */
static glia_status activation_of(const writer *w, const json_t *config, const char **out) {
    const json_t *value = json_object_get(config, "activation");
    *out = json_is_string(value) ? json_string_value(value) : "";
    if (value && !json_is_null(value) && !json_is_string(value))
        return refuse(w, "layer '%.60s' has an activation of its own", text_of(config, "name"));
    if (strcmp(*out, "linear") == 0) *out = "";
    for (size_t i = 0; i < GLIA_COUNT(activations); i++)
        if (strcmp(activations[i][0], *out) == 0) *out = activations[i][1];
    return GLIA_OK;
}

/* The loss has the last layer's softmax or sigmoid in it. */
static bool is_in_loss(const char *activation) {
    return strcmp(activation, "softmax") == 0 || strcmp(activation, "sigmoid") == 0;
}

/* How many layers of its class come before layer `index`. */
static int count_before(const writer *w, size_t index, const char *class) {
    int count = 0;
    for (size_t i = 0; i < index; i++)
        count += strcmp(text_of(json_array_get(w->layers, i), "class_name"), class) == 0;
    return count;
}

static void add_name(const writer *w, size_t index, const known_layer *layer, const json_t *config) {
    char name[49];
    int before = count_before(w, index, layer->theirs);
    if (!w->counted)
        snprintf(name, sizeof name, "%s", text_of(config, "name"));
    else if (before)
        snprintf(name, sizeof name, "%s_%d", layer->counted, before);
    else
        snprintf(name, sizeof name, "%s", layer->counted);
    for (char *c = name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c)) *c = '_';
    glia__text_printf(w->out, "{name: \"%s\"", name);
}

static glia_status add_layer(const writer *w, size_t index, const char **activation) {
    const json_t *layer = json_array_get(w->layers, index), *config = json_object_get(layer, "config");
    const char *class = text_of(layer, "class_name"), *name = text_of(config, "name");
    bool last = index + 1 == json_array_size(w->layers);
    *activation = "";
    if (strcmp(class, "InputLayer") == 0) return GLIA_OK;
    const known_layer *k = find_layer(class);
    if (!k) return refuse(w, "there is no layer like '%.60s' (%.60s)", name, class);
    GLIA_TRY(activation_of(w, config, activation));
    if (k->ours && strcmp(k->ours, "softmax") == 0) *activation = "softmax";
    bool own = !k->ours || strcmp(k->ours, "softmax") == 0; /* the layer is its activation */
    if (last && is_in_loss(*activation) && own) return GLIA_OK;
    if (own && !(*activation)[0]) return GLIA_OK;
    glia__text_printf(w->out, "  - %s: ", k->ours && !own ? k->ours : *activation);
    add_name(w, index, k, config);
    GLIA_TRY(add_settings(w, k, config));
    if (!own && (*activation)[0] && !(last && is_in_loss(*activation)))
        glia__text_printf(w->out, ", activation: %s", *activation);
    glia__text_add(w->out, "}\n");
    return GLIA_OK;
}

/* --- the model ----------------------------------------------------------------------------------------- */

/* The shape of an example, channels first; a picture without channels has one. */
static glia_status input_shape(const writer *w, glia_shape *out) {
    static const char *const keys[] = {"batch_input_shape", "batch_shape"};
    const json_t *config = json_object_get(json_array_get(w->layers, 0), "config"), *shape = NULL;
    for (size_t i = 0; i < GLIA_COUNT(keys) && !json_is_array(shape); i++)
        shape = json_object_get(config, keys[i]);
    int64_t dim[3] = {0};
    size_t rank = json_array_size(shape);
    if (rank < 2 || rank > 4) return refuse(w, "it does not say the shape of its input");
    for (size_t i = 1; i < rank; i++) {
        dim[i - 1] = json_integer_value(json_array_get(shape, i));
        if (dim[i - 1] < 1) return refuse(w, "its input has a dimension that is open");
    }
    const char *next = text_of(json_array_get(w->layers, 0), "class_name");
    if (strcmp(next, "InputLayer") == 0) next = text_of(json_array_get(w->layers, 1), "class_name");
    if (rank == 3 && strcmp(next, "Flatten") != 0)
        return refuse(w, "its input has two dimensions, which only a Flatten may take");
    *out = rank == 2   ? (glia_shape){1, {dim[0]}}
           : rank == 3 ? (glia_shape){3, {1, dim[0], dim[1]}}
                       : (glia_shape){3, {dim[2], dim[0], dim[1]}};
    return GLIA_OK;
}

/* The numbers that the last layer with units gives. */
static int64_t count_outputs(const writer *w) {
    int64_t units = 0;
    for (size_t i = 0; i < json_array_size(w->layers); i++) {
        const json_t *config = json_object_get(json_array_get(w->layers, i), "config");
        const json_t *value = json_object_get(config, "units");
        if (!value) value = json_object_get(config, "filters");
        if (value) units = json_integer_value(value);
    }
    return units;
}

/* What data would have told. */
static void add_trained(const writer *w, const glia_shape *input, const char *last) {
    int64_t outputs = count_outputs(w);
    glia__text_printf(w->out, "trained: {glia: \"%s\", input_shape: [", glia_version());
    for (int d = 0; d < input->rank; d++)
        glia__text_printf(w->out, "%s%lld", d ? ", " : "", (long long)input->dim[d]);
    if (is_in_loss(last))
        glia__text_printf(w->out, "], target: class, classes: %lld}\n", (long long)GLIA_MAX(outputs, 2));
    else
        glia__text_printf(w->out, "], target: values, target_shape: [%lld]}\n", (long long)outputs);
}

static glia_status add_model(const writer *w, const char *name, bool data) {
    glia_shape input = {.rank = 0};
    const char *activation = "", *loss = "mse";
    size_t count = json_array_size(w->layers);
    GLIA_TRY(input_shape(w, &input));
    glia__text_add(w->out, "name: ");
    glia__text_add_json(w->out, name);
    glia__text_add(w->out, "\nmodel:\n");
    for (size_t i = 0; i < count; i++) GLIA_TRY(add_layer(w, i, &activation));
    if (strcmp(activation, "softmax") == 0) loss = "softmax_cross_entropy";
    if (strcmp(activation, "sigmoid") == 0) loss = "sigmoid_cross_entropy";
    glia__text_printf(w->out, "loss: %s\n", loss);
    if (!data) add_trained(w, &input, activation);
    return w->out->failed ? glia_error_set(w->err, GLIA_OUT_OF_MEMORY, "out of memory") : GLIA_OK;
}

glia_status glia__keras_recipe(const char *config, const char *name, bool counted, bool data, glia_text *out,
                               glia_error *err) {
    json_error_t problem;
    json_t *root = json_loads(config, 0, &problem);
    writer w = {.out = out, .counted = counted, .err = err};
    if (!root)
        return glia_error_set(err, GLIA_BAD_FORMAT, "the Keras model's config is not valid JSON: %s",
                              problem.text);
    const json_t *inner = json_object_get(root, "config");
    const char *class = text_of(root, "class_name");
    w.layers = json_is_array(inner) ? inner : json_object_get(inner, "layers");
    glia_status status = GLIA_OK;
    if (strcmp(class, "Sequential") != 0)
        status =
            refuse(&w, "it is no Sequential model but a %.40s", *class ? class : "thing without a class");
    else if (!json_array_size(w.layers))
        status = refuse(&w, "it has no layers");
    if (status == GLIA_OK) status = add_model(&w, name, data);
    json_decref(root);
    return status;
}

#else

glia_status glia__keras_recipe(const char *config, const char *name, bool counted, bool data, glia_text *out,
                               glia_error *err) {
    (void)config, (void)name, (void)counted, (void)data, (void)out;
    return glia_error_set(err, GLIA_UNSUPPORTED,
                          "this build has no jansson: cannot read a Keras model's config");
}

#endif

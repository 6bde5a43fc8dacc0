/* vit.c: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; as in torchvision. Without options: ViT-B/16. */

#include <stdio.h>

#include "glia/ops.h"
#include "train/layers_attention.h"
#include "zoo/zoo.h"

typedef struct vit_options {
    int64_t patch, width, layers, heads, units, classes;
    double dropout, attention_dropout;
} vit_options;

static glia_value *normed(glia_value *x, const char *name) {
    return glia_layer_norm(x, .epsilon = 1e-6, .name = name);
}

static glia_value *block(const vit_options *o, glia_value *x) {
    char options[96];
    snprintf(options, sizeof options, "heads=%lld attention_dropout=%.17g", (long long)o->heads,
             o->attention_dropout);
    glia_value *y = normed(x, "ln_1");
    y = glia_layer(NULL, "multi_head_attention", "self_attention", &y, 1, options);
    x = glia_add(x, glia_dropout(y, o->dropout));
    y = glia_dense(normed(x, "ln_2"), .units = o->units, .activation = "gelu", .name = "mlp.0");
    y = glia_dense(glia_dropout(y, o->dropout), .units = o->width, .name = "mlp.3");
    return glia_add(x, glia_dropout(y, o->dropout));
}

/* [N, C, H, W] → [N, 1 + patches, width]: the token of the class, and a vector for each patch; what is added tells where. */
static glia_value *tokens(const glia_layer_build *b, const vit_options *o) {
    glia_value *x = glia_conv2d(b->inputs[0], .filters = o->width, .kernel = {o->patch, o->patch},
                                .strides = {o->patch, o->patch}, .name = "conv_proj");
    const glia_shape shape = glia_value_shape(x);
    const int64_t patches = shape.dim[2] * shape.dim[3];
    if (!x) return NULL;
    x = glia_op_reshape(x, (glia_reshape_attrs){.shape = GLIA_SHAPE(0, o->width, patches)});
    x = glia_op_transpose(x, (glia_transpose_attrs){.perm = GLIA_SHAPE(0, 2, 1)});
    glia_value *token = glia_model_param(b->model, "class_token", GLIA_SHAPE(1, 1, o->width), "zeros", 1, 1);
    glia_value *position = glia_model_param(b->model, "encoder.pos_embedding",
                                            GLIA_SHAPE(1, 1 + patches, o->width), "normal:0.02", 1, 1);
    x = glia_op_pad(x, (glia_pad_attrs){.axis = 1, .begin = 1});
    token = glia_op_pad(token, (glia_pad_attrs){.axis = 1, .end = patches});
    return glia_op_add(x, glia_op_add(position, token));
}

static glia_value *build_vit(const glia_layer_build *b, const void *options) {
    const vit_options *o = options;
    const glia_shape shape = glia_value_shape(b->inputs[0]);
    char text[96];
    if (!glia__zoo_image(b)) return NULL;
    if (shape.dim[2] % o->patch || shape.dim[3] % o->patch)
        return glia__layer_fail(
            b, GLIA_BAD_SHAPE, "cuts images in patches of %lld×%lld, which do not fill %s",
            (long long)o->patch, (long long)o->patch, glia__example_text(b->inputs[0], text, sizeof text));
    if (o->width % o->heads)
        return glia__layer_fail(b, GLIA_BAD_SHAPE, "has %lld heads, which do not divide the width of %lld",
                                (long long)o->heads, (long long)o->width);
    glia_value *x = tokens(b, o);
    x = glia_dropout(x, o->dropout);
    for (int64_t i = 0; i < o->layers && x; i++) {
        glia__zoo_begin(x, "encoder.layers.encoder_layer_%lld", (long long)i);
        x = block(o, x);
        glia_scope_end(b->model);
    }
    x = normed(x, "encoder.ln");
    x = glia_op_slice(x, (glia_slice_attrs){.axis = 1, .end = 1}); /* of the class */
    x = glia_op_squeeze(x, (glia_squeeze_attrs){.axes = GLIA_SHAPE(1)});
    return glia_dense(x, .units = o->classes, .name = "heads.head");
}

GLIA_LAYER(vit) = {
    .name = "vit",
    .doc =
        "the vision Transformer, by default ViT-B/16: [N, C, H, W] → [N, classes]; weights as in torchvision "
        "(encoder.layers.encoder_layer_0.mlp.0.weight)",
    .min_inputs = 1,
    .max_inputs = 1,
    .fields =
        GLIA_FIELDS(GLIA_ZOO_COUNT(vit_options, patch, "16", "side of the parts that images are cut in"),
                    GLIA_ZOO_COUNT(vit_options, width, "768", "numbers of a part"),
                    GLIA_ZOO_COUNT(vit_options, layers, "12", "blocks of attention and dense layers"),
                    GLIA_ZOO_COUNT(vit_options, heads, "12", "of attention; they divide the width"),
                    GLIA_ZOO_COUNT(vit_options, units, "3072", "between the two dense layers of a block"),
                    GLIA_ZOO_CLASSES(vit_options),
                    {.name = "dropout",
                     .kind = GLIA_FIELD_FLOAT,
                     .offset = offsetof(vit_options, dropout),
                     .initial = "0",
                     .doc = "share that is dropped of what is added, while training",
                     .min = 0,
                     .max = 0.99},
                    GLIA_ATTENTION_DROPOUT_FIELD(vit_options)),
    .options_size = sizeof(vit_options),
    .network = true,
    .build = build_vit,
};

/* export.c: a model as an ONNX file. */
#include <libgen.h>
#include <stdio.h>

#include "core/field.h"
#include "core/file.h"
#include "onnx/write.h"

typedef struct onnx_options {
    int64_t opset, external;
    glia_bool preprocess, probabilities;
} onnx_options;

/* --- metadata --------------------------------------------------------------------------------------------- */

static void add_numbers(glia_text *out, const char *key, const float *numbers, int64_t count) {
    if (!numbers) return;
    glia__text_printf(out, ",\"%s\":[", key);
    for (int64_t i = 0; i < count; i++) {
        if (i) glia__text_add(out, ",");
        glia__text_add_number(out, (double)numbers[i]);
    }
    glia__text_add(out, "]");
}

/* {"scale":0.00392,"mean":[0.13],"std":[0.31]}: input = (raw · scale − mean) / std. Channels lie along dimension 1 of the
 * input, or "axis". */
static void add_preprocessing(glia_text *out, const glia_export *model) {
    const glia_shape *shape = &model->inputs[0]->type.shape;
    const int axis = 1 + model->channel_axis;
    const int64_t channels = shape->rank > axis ? shape->dim[axis] : 1;
    glia__text_add(out, "{\"scale\":");
    glia__text_add_number(out, model->scale);
    add_numbers(out, "mean", model->mean, channels);
    add_numbers(out, "std", model->std, channels);
    if (model->channel_axis && (model->mean || model->std)) glia__text_printf(out, ",\"axis\":%d", axis);
    glia__text_add(out, "}");
}

static void add_labels(glia_text *out, const glia_export *model) {
    for (int64_t i = 0; i < model->classes; i++) {
        glia__text_add(out, i ? "," : "[");
        glia__text_add_json(out, model->labels[i]);
    }
    glia__text_add(out, "]");
}

/* What is known of the model, and what its user must know: the names of classes, and what to do to raw data when the
 * graph does not. */
static glia_status set_metadata(glia_onnx_out *out, const glia_export *model, const onnx_options *o,
                                glia_arena *arena, glia_error *err) {
    glia_key_value *entries = glia__arena_alloc(arena, (model->n_facts + 2) * sizeof *entries);
    glia_text labels, preprocessing;
    glia__text_init(&labels, model->allocator);
    glia__text_init(&preprocessing, model->allocator);
    if (model->labels) add_labels(&labels, model);
    const bool raw = model->scale != 1 || model->mean || model->std;
    if (raw && o->preprocess != GLIA_YES) add_preprocessing(&preprocessing, model);
    bool failed = !entries || labels.failed || preprocessing.failed;
    for (size_t i = 0; i < model->n_facts && !failed; i++) entries[out->n_metadata++] = model->facts[i];
    const glia_text *texts[] = {&labels, &preprocessing};
    const char *const keys[] = {"labels", "preprocessing"};
    for (size_t i = 0; i < GLIA_COUNT(texts) && !failed; i++) {
        if (!texts[i]->length) continue;
        const char *copy = glia__arena_strdup(arena, texts[i]->data);
        failed = !copy;
        entries[out->n_metadata++] = (glia_key_value){keys[i], copy};
    }
    out->metadata = entries;
    glia__text_free(&labels);
    glia__text_free(&preprocessing);
    return failed ? glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory") : GLIA_OK;
}

/* --- files ------------------------------------------------------------------------------------------------ */

static glia_status put_pieces(glia_writer *writer, const glia_onnx_bytes *bytes, glia_error *err) {
    size_t at = 0;
    for (size_t i = 0; i < bytes->n_pieces; i++) {
        const glia_onnx_piece *piece = &bytes->pieces[i];
        GLIA_TRY(
            glia__writer_put(writer, piece->data ? piece->data : bytes->text.data + at, piece->bytes, err));
        if (!piece->data) at += piece->bytes;
    }
    return GLIA_OK;
}

static glia_status put_external(glia_writer *writer, const glia_to_onnx_array *arrays, uint64_t threshold,
                                glia_error *err) {
    static const char zeros[4096];
    uint64_t at = 0;
    for (const glia_to_onnx_array *a = arrays; a; a = a->next) {
        if (!glia__onnx_is_external(a, threshold)) continue;
        const uint64_t bytes = (uint64_t)glia_shape_elems(&a->shape) * glia_dtype_bytes(a->dtype);
        GLIA_TRY(glia__writer_put(writer, zeros, glia__onnx_aligned(at) - at, err));
        GLIA_TRY(glia__writer_put(writer, a->data, bytes, err));
        at = glia__onnx_aligned(at) + bytes;
    }
    return GLIA_OK;
}

/* The data first: a model that is there finds its data. */
static glia_status write_files(const glia_onnx_out *out, const glia_onnx_bytes *bytes, uint64_t threshold,
                               const char *path, const char *data_path, glia_export_result *result,
                               glia_error *err) {
    glia_writer writer = {0};
    glia_status status = GLIA_OK;
    if (bytes->external) {
        status = glia__writer_open(&writer, data_path, err);
        if (status == GLIA_OK) status = put_external(&writer, out->lists.arrays, threshold, err);
        if (status == GLIA_OK) status = glia__writer_commit(&writer, err);
        glia__writer_abandon(&writer);
        GLIA_TRY(status);
        glia__export_wrote(result, data_path, (int64_t)bytes->external);
    }
    writer = (glia_writer){0};
    status = glia__writer_open(&writer, path, err);
    if (status == GLIA_OK) status = put_pieces(&writer, bytes, err);
    if (status == GLIA_OK) status = glia__writer_commit(&writer, err);
    glia__writer_abandon(&writer);
    if (status == GLIA_OK) glia__export_wrote(result, path, (int64_t)bytes->total);
    return status;
}

static glia_status encode_and_write(const glia_onnx_out *out, uint64_t threshold, const char *path,
                                    glia_arena *arena, glia_export_result *result, glia_error *err) {
    enum { SMALL = 1024 };                     /* arrays below it stay in the file, whatever its size */
    const uint64_t most = (uint64_t)INT32_MAX; /* bytes of a protobuf file that every reader takes */
    glia_onnx_bytes bytes;
    char *data_path = glia__arena_printf(arena, "%s.data", path);
    char *copy = data_path ? glia__arena_strdup(arena, data_path) : NULL;
    if (!copy) return glia_error_set(err, GLIA_OUT_OF_MEMORY, "out of memory");
    const char *location = basename(copy);
    glia_status status = glia__onnx_encode(&bytes, out, threshold, location, arena, err);
    if (status == GLIA_OK && bytes.total > most && !threshold) {
        threshold = SMALL;
        glia__text_free(&bytes.text);
        status = glia__onnx_encode(&bytes, out, threshold, location, arena, err);
    }
    if (status == GLIA_OK && bytes.total > most)
        status =
            glia_error_set(err, GLIA_UNSUPPORTED,
                           "the ONNX file would have more than 2 GB without its large arrays; --external "
                           "lowers the size from which they go to a file beside it");
    if (status == GLIA_OK) status = write_files(out, &bytes, threshold, path, data_path, result, err);
    glia__text_free(&bytes.text);
    return status;
}

static glia_status write_inference(const glia_export *model, const glia_inference *inference,
                                   const onnx_options *o, const char *path, glia_export_result *result,
                                   glia_error *err) {
    glia_onnx_out out;
    glia_arena arena;
    glia__arena_init(&arena, model->allocator);
    glia_status status = glia__onnx_lists(&out, inference, (int)o->opset, &arena, err);
    out.name = model->name;
    if (status == GLIA_OK) status = set_metadata(&out, model, o, &arena, err);
    if (status == GLIA_OK) status = encode_and_write(&out, (uint64_t)o->external, path, &arena, result, err);
    if (status == GLIA_OK) {
        glia__export_figure(result, "opset", (double)o->opset, "");
        glia__export_figure(result, "nodes", (double)out.lists.n_nodes, "");
    }
    glia__arena_free(&arena);
    return status;
}

static glia_status write_onnx(const glia_export *model, const void *options, const char *path,
                              glia_export_result *result, glia_error *err) {
    const onnx_options *o = options;
    glia_inference inference;
    GLIA_TRY(
        glia__inference_new(&inference, model, o->preprocess == GLIA_YES, o->probabilities == GLIA_YES, err));
    glia_status status = write_inference(model, &inference, o, path, result, err);
    glia__inference_free(&inference);
    return status;
}

static glia_status check_onnx(const glia_export *model, const void *options, const char *path,
                              glia_export_result *result, glia_error *err) {
    const onnx_options *o = options;
    glia_inference inference;
    GLIA_TRY(
        glia__inference_new(&inference, model, o->preprocess == GLIA_YES, o->probabilities == GLIA_YES, err));
    glia_status status = glia__onnx_check(&inference, path, result, err);
    glia__inference_free(&inference);
    return status;
}

GLIA_EXPORTER(onnx) = {
    .name = "onnx",
    .extension = ".onnx",
    .doc = "network and weights, for ONNX Runtime and other engines",
    .options =
        GLIA_FIELDS({.name = "opset",
                     .kind = GLIA_FIELD_INT,
                     .offset = offsetof(onnx_options, opset),
                     .initial = "17",
                     .min = GLIA_ONNX_OPSET_LEAST,
                     .max = GLIA_ONNX_OPSET_MOST,
                     .doc = "version of the operators, 13 to 23"},
                    {.name = "preprocess",
                     .kind = GLIA_FIELD_BOOL,
                     .offset = offsetof(onnx_options, preprocess),
                     .initial = "no",
                     .doc = "the model takes raw data and scales and normalises them itself"},
                    {.name = "probabilities",
                     .kind = GLIA_FIELD_BOOL,
                     .offset = offsetof(onnx_options, probabilities),
                     .initial = "no",
                     .doc = "the model ends with softmax (or sigmoid), where the network gives logits"},
                    {.name = "external",
                     .kind = GLIA_FIELD_BYTES,
                     .offset = offsetof(onnx_options, external),
                     .initial = "0",
                     .min = 0,
                     .max = 9e15,
                     .doc = "arrays of at least so many bytes go to FILE.data; 0: only above 2 GB"}),
    .options_size = sizeof(onnx_options),
    .write = write_onnx,
    .check = check_onnx,
};

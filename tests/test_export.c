/* What exporters get: the inference graph with its preprocessing; and how they are found. */
#include "recipe/export.h"
#include "test.h"

#include "scratch.h"
#include "toy.h"

static void make(glia_model **model, glia_export_model *e) {
    glia_error err = {0};
    *model = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(glia_model_initialize(*model, 1, &err), &err);
    CHECK_OK(glia__export_of_model(e, *model, &err), &err);
}

static int nodes_of(const glia_graph *graph, const char *op) {
    int count = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) count += strcmp(graph->nodes[i]->op->name, op) == 0;
    return count;
}

/* Output 0 for one row of zeros. */
static void run(glia_inference *f, const float *row, float *y) {
    glia_error err = {0};
    glia_program *program = NULL;
    CHECK_OK(glia_program_new(&program, f->graph, f->outputs, 1, (glia_program_options){.dims = {1}}, &err),
             &err);
    CHECK_OK(glia_program_bind(program, f->inputs[0], (void *)(uintptr_t)row, &err), &err);
    for (size_t i = 0; i < f->graph->n_values; i++)
        if (f->graph->values[i]->kind == GLIA_VALUE_PARAM)
            CHECK_OK(glia_program_bind(program, f->graph->values[i],
                                       (void *)(uintptr_t)f->graph->values[i]->data, &err),
                     &err);
    CHECK_OK(glia_program_bind(program, f->outputs[0], y, &err), &err);
    CHECK_OK(glia_program_run(program, 0, &err), &err);
    glia_program_free(program);
}

TEST(inference_graph) {
    glia_error err = {0};
    glia_model *model;
    glia_export_model e;
    glia_inference plain, whole;
    make(&model, &e);
    CHECK_OK(glia__inference_new(&plain, &e.model, true, true, &err), &err); /* nothing to add */
    CHECK_INT(nodes_of(plain.graph, "dropout"), 0);
    CHECK_INT(plain.graph->n_nodes, 3);
    CHECK_STR(plain.graph->nodes[1]->name, "hidden.relu");
    CHECK_INT(plain.inputs[0]->type.shape.dim[0], GLIA_DIM_BATCH);

    const float mean[TOY_WIDTH] = {1, 2, 3, 4, 5, 6}, std[TOY_WIDTH] = {1, 2, 1, 2, 1, 2};
    e.model.scale = 0.5;
    e.model.mean = mean;
    e.model.std = std;
    e.model.to_probability = "softmax";
    CHECK_OK(glia__inference_new(&whole, &e.model, true, true, &err), &err);
    CHECK_INT(whole.graph->n_nodes, 3 + 3 + 1);
    float raw[TOY_WIDTH], x[TOY_WIDTH], logits[TOY_CLASSES], p[TOY_CLASSES], sum = 0;
    for (int i = 0; i < TOY_WIDTH; i++) {
        raw[i] = (float)(7 - i);
        x[i] = (raw[i] * 0.5f - mean[i]) / std[i];
    }
    run(&plain, x, logits);
    run(&whole, raw, p);
    for (int c = 0; c < TOY_CLASSES; c++) sum += expf(logits[c]);
    for (int c = 0; c < TOY_CLASSES; c++) CHECK_NEAR((double)p[c], (double)(expf(logits[c]) / sum), 1e-6);

    glia__inference_free(&plain);
    glia__inference_free(&whole);
    glia__export_free(&e);
    glia_model_free(model);
}

TEST(refused) {
    glia_error err = {0};
    glia_model *model = toy_model(2, NULL);
    glia_export_model e = {.outputs = NULL};
    CHECK_INT(glia__export_of_model(&e, model, &err), GLIA_INVALID_ARGUMENT);
    CHECK_HAS(err.message, "has no weights yet");
    glia__export_free(&e);
    glia_model_free(model);
}

TEST(formats) {
    glia_error err = {0};
    const glia_exporter *e;
    CHECK_OK(glia__exporter_find(&e, NULL, "a/b.safetensors", &err), &err);
    CHECK_STR(e->name, "safetensors");
    CHECK_OK(glia__exporter_find(&e, "safetensors", "a/b.else", &err), &err);
    CHECK_INT(glia__exporter_find(&e, "safetensor", NULL, &err), GLIA_INVALID_ARGUMENT);
    CHECK_HAS(err.message, "did you mean safetensors?");
    err = (glia_error){0};
    CHECK_INT(glia__exporter_find(&e, NULL, ".safetensors", &err),
              GLIA_INVALID_ARGUMENT); /* a name is missing */
    CHECK_HAS(err.message, "ends like none of them");
    for (size_t i = 0; i < glia__exporters_count; i++) {
        CHECK(glia__exporters[i]->doc && glia__exporters[i]->extension[0] == '.');
        /* One command line serves all formats: a word takes a value in all of them or in none. */
        for (const glia_field *f = glia__exporters[i]->options; f && f->name; f++)
            for (size_t k = 0; k < glia__exporters_count; k++) {
                const glia_field *same = glia__field_find(glia__exporters[k]->options, f->name);
                CHECK(!same || (same->kind == GLIA_FIELD_BOOL) == (f->kind == GLIA_FIELD_BOOL));
            }
    }
}

TEST(weights_as_safetensors) {
    glia_error err = {0}, refusal = {0};
    glia_model *model;
    glia_export_model e;
    glia_export_result result;
    const glia_exporter *exporter;
    scratch_make();
    const char *path = scratch_path("toy.safetensors");
    make(&model, &e);
    CHECK_OK(glia__exporter_find(&exporter, NULL, path, &err), &err);
    CHECK_OK(glia__export_write(&e.model, exporter, NULL, path, &result, &err), &err);
    CHECK_INT(result.n_files, 1);
    CHECK(result.files[0].bytes > 8 * TOY_WIDTH * 4);
    CHECK_INT(glia__export_write(&e.model, exporter, "opst=3", path, NULL, &refusal), GLIA_INVALID_ARGUMENT);
    CHECK_HAS(refusal.message, "unknown name 'opst'");
    glia_model *again = toy_model(TOY_CLASSES, NULL);
    CHECK_OK(glia_model_load_weights(again, path, &err), &err);
    CHECK(toy_same_weights(model, again));
    glia_model_free(again);
    glia__export_free(&e);
    glia_model_free(model);
    scratch_remove();
}

TEST_MAIN(TEST_ENTRY(inference_graph), TEST_ENTRY(refused), TEST_ENTRY(formats),
          TEST_ENTRY(weights_as_safetensors))

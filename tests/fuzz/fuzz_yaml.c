/* fuzz_yaml.c: any bytes as a model file, and as an override. */
#include <stdint.h>
#include <stdlib.h>

#include "recipe/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    glia_arena arena;
    glia_yaml *root;
    glia_error err = {0};
    glia__arena_init(&arena, NULL);
    /* The first line, when there is one, is the override; the rest is the file. */
    const uint8_t *newline = memchr(data, '\n', size);
    size_t first = newline ? (size_t)(newline - data) : 0;
    char *word = glia__arena_alloc(&arena, first + 1);
    if (word) memcpy(word, data, first);
    const char *text = (const char *)data + (newline ? first + 1 : 0);
    if (word && glia__yaml_parse(&root, &arena, text, size - (newline ? first + 1 : 0), "fuzz.yaml", &err) ==
                    GLIA_OK) {
        char found[100];
        glia__yaml_found(root, found, sizeof found);
        if (first && glia__yaml_override(root, &arena, word, &err) == GLIA_OK && !glia__yaml_get(root, "x"))
            glia__yaml_found(root, found, sizeof found);
    }
    glia__arena_free(&arena);
    return 0;
}

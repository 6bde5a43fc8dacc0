/* test.h: the test harness: one header, one process a file.
 *
 *     TEST(shape_text) { CHECK(1 + 1 == 2); CHECK_STR(text, "2×3"); }
 *     TEST_MAIN(TEST_ENTRY(shape_text), …)
 *
 * A failed check prints file, line and values, and the test goes on; the process then exits with 1. Arguments
 * name the tests to run (default: all). SKIP(reason) in the first lines leaves a test out, saying so. */
#ifndef GLIA_TEST_H
#define GLIA_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glia/status.h"

static int test_failures, test_checks;

#define TEST(name) __attribute__((unused)) static void test_##name(void)
#define CHECK(cond)                                                   \
    do {                                                              \
        test_checks++;                                                \
        if (!(cond)) {                                                \
            test_failures++;                                          \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
        }                                                             \
    } while (0)
#define CHECK_INT(a, b)                                                                                     \
    do {                                                                                                    \
        long long test_a_ = (long long)(a), test_b_ = (long long)(b);                                       \
        test_checks++;                                                                                      \
        if (test_a_ != test_b_) {                                                                           \
            test_failures++;                                                                                \
            printf("%s:%d: failed: %s is %lld, expected %lld\n", __FILE__, __LINE__, #a, test_a_, test_b_); \
        }                                                                                                   \
    } while (0)
#define CHECK_NEAR(a, b, tolerance)                                                                         \
    do {                                                                                                    \
        double test_a_ = (a), test_b_ = (b);                                                                \
        test_checks++;                                                                                      \
        if (!(fabs(test_a_ - test_b_) <= (tolerance))) {                                                    \
            test_failures++;                                                                                \
            printf("%s:%d: failed: %s is %.9g, expected %.9g\n", __FILE__, __LINE__, #a, test_a_, test_b_); \
        }                                                                                                   \
    } while (0)
#define CHECK_STR(a, b)                                                                      \
    do {                                                                                     \
        const char *test_a_ = (a), *test_b_ = (b);                                           \
        test_checks++;                                                                       \
        if (!test_a_ || strcmp(test_a_, test_b_) != 0) {                                     \
            test_failures++;                                                                 \
            printf("%s:%d: failed: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #a, \
                   test_a_ ? test_a_ : "NULL", test_b_);                                     \
        }                                                                                    \
    } while (0)
/* `text` holds `part`. */
#define CHECK_HAS(text, part)                                                             \
    do {                                                                                  \
        const char *test_a_ = (text), *test_b_ = (part);                                  \
        test_checks++;                                                                    \
        if (!test_a_ || !strstr(test_a_, test_b_)) {                                      \
            test_failures++;                                                              \
            printf("%s:%d: failed: \"%s\" does not contain \"%s\"\n", __FILE__, __LINE__, \
                   test_a_ ? test_a_ : "NULL", test_b_);                                  \
        }                                                                                 \
    } while (0)
/* The call succeeds; prints err's message when not. */
#define CHECK_OK(call, err)                                                                             \
    do {                                                                                                \
        glia_status test_s_ = (call);                                                                   \
        test_checks++;                                                                                  \
        if (test_s_ != GLIA_OK) {                                                                       \
            test_failures++;                                                                            \
            printf("%s:%d: failed: %s: %s: %s\n", __FILE__, __LINE__, #call, glia_status_name(test_s_), \
                   (err)->message);                                                                     \
        }                                                                                               \
    } while (0)
/* The call fails with `status` and a message that contains `part`; err is cleared. */
#define CHECK_ERR(call, expected, err, part)                           \
    do {                                                               \
        CHECK_STR(glia_status_name(call), glia_status_name(expected)); \
        CHECK_HAS((err)->message, part);                               \
        glia_error_clear(err);                                         \
    } while (0)
#define SKIP(reason)                       \
    do {                                   \
        printf("  skipped: %s\n", reason); \
        return;                            \
    } while (0)

typedef struct test_entry {
    const char *name;
    void (*run)(void);
} test_entry;
#define TEST_ENTRY(name) \
    { #name, test_##name }

static inline int test_run(const test_entry *tests, size_t count, int argc, char **argv) {
    int ran = 0;
    for (size_t i = 0; i < count; i++) {
        int wanted = argc < 2;
        for (int a = 1; a < argc; a++) wanted |= strcmp(argv[a], tests[i].name) == 0;
        if (!wanted) continue;
        ran++;
        int before = test_failures;
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].run();
        if (test_failures != before) printf("  FAILED: %s\n", tests[i].name);
    }
    printf("%d checks, %d failed\n", test_checks, test_failures);
    if (!ran) printf("no test has that name\n");
    return test_failures || !ran ? 1 : 0;
}
/* TEST_MAIN(TEST_ENTRY(a), TEST_ENTRY(b)) */
#define TEST_MAIN(...)                                                      \
    int main(int argc, char **argv) {                                       \
        static const test_entry tests[] = {__VA_ARGS__};                    \
        return test_run(tests, sizeof tests / sizeof tests[0], argc, argv); \
    }

#endif

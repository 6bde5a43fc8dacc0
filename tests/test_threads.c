/* Parallel loops: every part once, nested calls, two callers at a time, and after a fork. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/threads.h"

enum { MOST = 300 };

typedef struct tally {
    int64_t sums[MOST];
    atomic_int wrong;
} tally;

static void add_part(void *ctx, int part, int parts) {
    tally *t = ctx;
    int64_t begin, end;
    glia__part_range(1000, part, parts, &begin, &end);
    for (int64_t i = begin; i < end; i++) t->sums[part] += i;
}

static int64_t total(const tally *t) {
    int64_t sum = 0;
    for (int i = 0; i < MOST; i++) sum += t->sums[i];
    return sum;
}

TEST(every_part_once) {
    int parts[] = {1, 2, 3, 7, 300, 2};
    for (int i = 0; i < 6; i++) {
        tally t = {0};
        glia__parallel(parts[i], add_part, &t);
        CHECK_INT(total(&t), 499500);
    }
    tally t = {0};
    glia__parallel(0, add_part, &t);
    CHECK_INT(total(&t), 499500);
    for (int i = 0; i < 2000; i++) {
        tally again = {0};
        glia__parallel(2, add_part, &again);
        if (total(&again) != 499500) CHECK_INT(total(&again), 499500);
    }
}

TEST(part_ranges) {
    for (int64_t count = 0; count < 20; count++) {
        for (int parts = 1; parts < 9; parts++) {
            int64_t begin, end, last = 0;
            for (int part = 0; part < parts; part++) {
                glia__part_range(count, part, parts, &begin, &end);
                CHECK_INT(begin, last);
                CHECK(end - begin >= count / parts && end - begin <= count / parts + 1);
                last = end;
            }
            CHECK_INT(last, count);
        }
    }
}

static void nested(void *ctx, int part, int parts) {
    tally *outer = ctx, inner = {0};
    (void)parts;
    glia__parallel(4, add_part, &inner);
    outer->sums[part] = total(&inner);
}

TEST(nested_calls) {
    tally t = {0};
    glia__parallel(3, nested, &t);
    for (int i = 0; i < 3; i++) CHECK_INT(t.sums[i], 499500);
    glia__parallel(1, nested, &t); /* one part: the inner call may use the pool */
    CHECK_INT(t.sums[0], 499500);
}

static void *many_loops(void *ctx) {
    atomic_int *wrong = ctx;
    for (int i = 0; i < 300; i++) {
        tally t = {0};
        glia__parallel(3, add_part, &t);
        if (total(&t) != 499500) atomic_fetch_add(wrong, 1);
    }
    return NULL;
}

TEST(two_callers) {
    atomic_int wrong = 0;
    pthread_t other;
    CHECK(pthread_create(&other, NULL, many_loops, &wrong) == 0);
    many_loops(&wrong);
    pthread_join(other, NULL);
    CHECK_INT(atomic_load(&wrong), 0);
}

TEST(after_fork) {
#ifdef __SANITIZE_THREAD__
    SKIP("ThreadSanitizer allows no threads in the child of a fork");
#endif
    tally t = {0};
    glia__parallel(2, add_part, &t);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        tally mine = {0};
        alarm(20); /* waiting for threads that are not there */
        glia__parallel(3, add_part, &mine);
        _exit(total(&mine) == 499500 ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    glia__parallel(2, add_part, &t); /* the parent goes on */
    CHECK_INT(total(&t), 2 * 499500);
}

TEST(cores) {
    CHECK(glia__thread_cores() >= 1);
}

TEST_MAIN(TEST_ENTRY(every_part_once), TEST_ENTRY(part_ranges), TEST_ENTRY(nested_calls),
          TEST_ENTRY(two_callers), TEST_ENTRY(after_fork), TEST_ENTRY(cores))

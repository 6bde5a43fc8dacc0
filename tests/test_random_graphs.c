/* test_random_graphs.c: random graphs of the registry's ops; see random_check.h. */

#include "test.h"

#include "random_check.h"

TEST(planned_programs_give_what_plain_evaluation_gives) {
    check_seeds(programs_fail, random_graph_init, 60);
}

TEST(gradients_are_slopes) {
    check_seeds(slopes_fail, random_graph_init, 500);
}

TEST_MAIN(TEST_ENTRY(planned_programs_give_what_plain_evaluation_gives), TEST_ENTRY(gradients_are_slopes))

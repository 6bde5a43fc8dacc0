/* test_random_networks.c: random networks of layers; see random_network.h and random_check.h. */

#include "test.h"

#include "random_check.h"
#include "random_network.h"

TEST(planned_networks_give_what_plain_evaluation_gives) {
    check_seeds(programs_fail, random_network_init, 60);
}

TEST(gradients_of_networks_are_slopes) {
    check_seeds(slopes_fail, random_network_init, 60);
}

TEST_MAIN(TEST_ENTRY(planned_networks_give_what_plain_evaluation_gives),
          TEST_ENTRY(gradients_of_networks_are_slopes))

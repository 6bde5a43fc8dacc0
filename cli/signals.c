/* signals.c: Ctrl-C, for commands that end in order. */
#include "cli.h"

volatile sig_atomic_t cli_stop;

static void on_signal(int number) {
    (void)number;
    cli_stop = 1;
}

void cli_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

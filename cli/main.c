/* main.c: finds the command in the table and runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "help.h"

#define ADDRESS(name) &cli_##name,
const cli_command *const cli_commands[] = {CLI_COMMANDS(ADDRESS) NULL};

static const cli_command *find_command(const char *name) {
    for (const cli_command *const *c = cli_commands; *c; c++)
        if (strcmp((*c)->name, name) == 0) return *c;
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[GLIA_COUNT(cli_commands) + 2] = {"--help", "--version"};
    size_t count = 2;
    for (const cli_command *const *c = cli_commands; *c; c++) names[count++] = (*c)->name;
    const char *nearest = glia__nearest_word(name, names, count);
    if (name[0] == '-' && nearest)
        return cli_usage(NULL, "unknown flag '%s' (did you mean %s?)", name, nearest);
    if (name[0] == '-') return cli_usage(NULL, "unknown flag '%s'; expected a command", name);
    if (nearest) return cli_usage(NULL, "unknown command '%s' (did you mean %s?)", name, nearest);
    return cli_usage(NULL, "unknown command '%s'", name);
}

/* OpenMP's threads spin for some milliseconds while they wait for each other. Where another program holds a core, each wait
 * lasts that long: a training beside a compiler was twenty times slower than it is with shorter waits (2,200 and 44,000
 * examples a second), and alone it is as fast with them. The runtime reads its settings before main, so the program
 * begins again with them. */
static void wait_less(char **argv) {
#ifdef GLIA_HAVE_OPENMP
    char self[1024];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0 || getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
    self[length] = '\0';
    if (setenv("GOMP_SPINCOUNT", "10000", 1) == 0) (void)execv(self, argv);
#else
    (void)argv;
#endif
}

int main(int argc, char **argv) {
    cli_options options;
    wait_less(argv);
    if (argc < 2) {
        cli_help_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_help_overview(stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("glia %s\n", glia_version());
        return CLI_OK;
    }
    const cli_command *command = find_command(argv[1]);
    if (!command) return unknown_command(argv[1]);
    int count = argc - 2, status = cli_parse(command, &options, argv + 2, &count);
    if (status != CLI_OK) return status;
    if (options.help == GLIA_YES) {
        cli_help_command(command, stdout);
        return CLI_OK;
    }
    return command->run(&options, argv + 2, count);
}

/* main.c: finds the command in the table and runs it. */
#include <stdio.h>

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

int main(int argc, char **argv) {
    cli_options options;
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

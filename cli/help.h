/* help.h: help texts from the tables of commands and flags. */
#ifndef GLIA_CLI_HELP_H
#define GLIA_CLI_HELP_H

#include <stdio.h>

#include "cli.h"

void cli_help_overview(FILE *out);
void cli_help_command(const cli_command *command, FILE *out);

#endif

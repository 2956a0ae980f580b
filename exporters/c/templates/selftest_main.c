/* A program around the self-test, for machines with a standard output. */
#include "@NAME@_selftest.h"

#include <stdio.h>

static void print_line(const char *line, void *user)
{
    (void)user;
    (void)puts(line);
}

int main(void)
{
    return @NAME@_selftest(print_line, NULL) == 0 ? 0 : 1;
}

/* Runs @NAME@ on golden vectors and compares. */
#ifndef @UPPER@_SELFTEST_H
#define @UPPER@_SELFTEST_H

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the number of failures. Each line of the report goes to `print`, if there is one, with `user` beside it. Uses one
 * arena of its own: not to be called from two threads at once. */
int @NAME@_selftest(void (*print)(const char *line, void *user), void *user);

#ifdef __cplusplus
}
#endif

#endif

/* The load of the benchmark: HTTP clients on one core.
 *
 *   load streams   many event streams, events published by the clock, every delivery timed and counted
 *   load polls     the same with long polls: each asks again at once from where it is
 *   load publish   a few connections that publish one after the other
 *   load requests  connections that ask for one thing again and again, by the clock or (rate=0) one after the other
 *
 * Everything it found is one JSON object on stdout.
 */
#include "generator.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define DEFINE_INTEGER(name, value) int name = value;
#define DEFINE_NUMBER(name, value) double name = value;
#define DEFINE_TEXT(name, value) const char *name = value;
INTEGERS(DEFINE_INTEGER)
NUMBERS(DEFINE_NUMBER)
TEXTS(DEFINE_TEXT)

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int read_parameter(const char *name, const char *value) {
#define READ_NUMBER(parameter, default) \
    if (!strcmp(name, #parameter)) return parameter = atof(value), 1;
#define READ_TEXT(parameter, default) \
    if (!strcmp(name, #parameter)) return parameter = value, 1;
    INTEGERS(READ_NUMBER)
    NUMBERS(READ_NUMBER)
    TEXTS(READ_TEXT)
    return 0;
}

int main(int argc, char **argv) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value) *value++ = 0;
        if (!value || !read_parameter(argv[i], value)) {
            fprintf(stderr, "load: no parameter %s\n", argv[i]);
            return 2;
        }
    }
    prepare_connections();
    const char *kind = argc > 1 ? argv[1] : "";
    if (!strcmp(kind, "streams")) run_readers(STREAM);
    else if (!strcmp(kind, "polls")) run_readers(POLL);
    else if (!strcmp(kind, "publish")) run_publish();
    else if (!strcmp(kind, "requests")) run_requests();
    else {
        fprintf(stderr, "usage: load streams|polls|publish|requests name=value...\n");
        return 2;
    }
    return 0;
}

/* What the load has found, and how it says so. */
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct figures found = {.live_99 = -1, .live_all = -1};

double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Begin to count; the events keep their numbers. */
void forget_warm_up(void) {
    uint32_t published = found.published;
    memset(&found, 0, sizeof found);
    found.published = published;
    found.live_99 = found.live_all = -1;
}

void note(uint32_t *of, uint64_t began_at, uint64_t at) {
    uint64_t bucket = at > began_at ? (at - began_at) / 10000 : 0;
    of[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double percentile(const uint32_t *of, double share) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) total += of[i];
    if (!total) return -1;
    for (int i = 0; i < BUCKETS; i++) {
        seen += of[i];
        if (seen >= share * total) return i / 100.0;
    }
    return BUCKETS / 100.0;
}

static void times(const char *of, const uint32_t *histogram) {
    printf("\"%sp50_ms\": %.2f, \"%sp99_ms\": %.2f, \"%smax_ms\": %.2f, ", of, percentile(histogram, 0.5), of,
           percentile(histogram, 0.99), of, percentile(histogram, 1.0));
}

void report(double elapsed, double cpu) {
    printf("{\"published\": %u, \"acknowledged\": %u, \"refused\": %u, \"requests\": %u, \"unexpected\": %u, ",
           found.published, found.acknowledged, found.refused, found.requests, found.unexpected);
    printf("\"deliveries\": %llu, \"expected\": %llu, \"out_of_order\": %llu, \"lost_connections\": %llu, \"bytes\": %llu, ",
           (unsigned long long)found.deliveries, (unsigned long long)found.expected,
           (unsigned long long)found.out_of_order, (unsigned long long)found.lost_connections,
           (unsigned long long)found.bytes);
    times("", found.delivering);
    times("publish_", found.publishing);
    times("request_", found.requesting);
    printf("\"live_99_s\": %.2f, \"live_all_s\": %.2f, ", found.live_99, found.live_all);
    printf("\"seconds\": %.4f, \"busy\": %.3f, \"cpu\": %.3f}\n", elapsed, cpu / elapsed, cpu);
}

/* Wait for a line on stdin: the harness looks at the server in between. */
void meet(const char *where) {
    char line[64];
    printf("%s\n", where);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

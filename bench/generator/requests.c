/* Requests that are answered at once: publishes and questions, one after the other or by the clock. */
#include "generator.h"
#include <stdio.h>

static struct pool requesters;
static uint64_t ends_at; /* before which a connection that was answered asks again at once; 0: it waits for its turn */

void was_answered(struct connection *c, int status, uint64_t at) {
    int is_publisher = c->role == PUBLISHER;
    if (!is_publisher) {
        found.requests++;
        if (status != wanted && !found.unexpected++)
            fprintf(stderr, "load: a request was answered %d\n%.500s\n", status, c->answer);
    } else if (status >= 200 && status < 300)
        found.acknowledged++;
    else if (!found.refused++)
        fprintf(stderr, "load: a publish was answered %d\n%.500s\n", status, c->answer);
    note(is_publisher ? found.publishing : found.requesting, c->began_at, at);
    if (at >= ends_at) return;
    if (is_publisher)
        publish(c, at);
    else
        send_get(c, at);
}

static int busy(const struct pool *pool) {
    int count = 0;
    for (int i = 0; i < pool->count; i++) count += pool->all[i].is_busy;
    return count;
}

static void until_answered(const struct pool *pool) {
    for (uint64_t deadline = now_ns() + 5000000000ull; now_ns() < deadline && busy(pool);) turn(10);
}

/* Each sends the next when the last was answered, for so long. */
static void in_a_loop(struct pool *pool) {
    ends_at = now_ns() + seconds * 1e9;
    for (int i = 0; i < pool->count && seconds > 0; i++) {
        if (pool->all[i].role == PUBLISHER)
            publish(&pool->all[i], now_ns());
        else
            send_get(&pool->all[i], now_ns());
    }
    while (now_ns() < ends_at) turn(10);
    until_answered(pool);
    ends_at = 0;
}

/* A server that cannot keep up is left alone after twice the time. */
static void by_the_clock(struct pool *pool) {
    uint64_t began_at = now_ns(), now = began_at, total = rate * seconds;
    for (uint64_t sent = 0; sent < total && now < began_at + 2e9 * seconds;) {
        now = now_ns();
        uint64_t due_at = began_at + (uint64_t)(sent * (1e9 / rate));
        struct connection *c = now >= due_at ? free_one(pool) : NULL;
        if (c) {
            send_get(c, due_at);
            sent++;
        } else
            turn_ns(due_at > now ? due_at - now : 1000000);
    }
    until_answered(pool);
}

void run_publish(void) {
    open_publishers();
    meet("open");
    uint64_t began_at = now_ns();
    double cpu = cpu_seconds();
    in_a_loop(&publishers);
    report((now_ns() - began_at) / 1e9, cpu_seconds() - cpu);
    meet("done");
}

/* All have been answered once before it begins, so that nobody is new: with seconds=0 they then wait. */
void run_requests(void) {
    requesters = make_pool(connection_count);
    for (int i = 0; i < connection_count; i++) {
        struct connection *c = &requesters.all[i];
        connect_to_server(c, REQUESTER);
        while (!c->is_connected) turn(100);
        send_get(c, now_ns());
        if (i % connecting_at_once == connecting_at_once - 1) until_answered(&requesters);
    }
    until_answered(&requesters);
    if ((int)found.requests < connection_count) die("not everybody was answered");
    uint32_t unexpected = found.unexpected;
    forget_warm_up();
    found.unexpected = unexpected;
    meet("open");
    uint64_t began_at = now_ns();
    double cpu = cpu_seconds();
    if (rate > 0)
        by_the_clock(&requesters);
    else
        in_a_loop(&requesters);
    report((now_ns() - began_at) / 1e9, cpu_seconds() - cpu);
    meet("done");
}

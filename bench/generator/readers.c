/* Readers: streams and long polls that are told of events, published by the clock. */
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pool readers;
static int open_count;
static uint64_t started_at;

static void is_open(struct connection *c) {
    if (!c->is_open) open_count++;
    c->is_open = 1;
}

void reader_opened(struct connection *c) {
    send_get(c, now_ns());
    /* A poll waits when it has been sent, and says nothing; the warm-up shows that all do. */
    if (c->role == POLL) is_open(c);
}

void stream_received(struct connection *c, char *data, int length, uint64_t at) {
    if (!c->is_open && memmem(data, length, ready, strlen(ready))) is_open(c);
    scan(c, data, length, at);
    if (!c->is_open && !c->tail_length) { /* `ready` may be cut in two as well */
        c->tail_length = length < TAIL ? length : TAIL;
        memcpy(c->tail, data + length - c->tail_length, c->tail_length);
    }
}

/* 200 has events, 204 none within the time; either way the next poll goes on from there. */
void poll_answered(struct connection *c, int status, char *body, int length, uint64_t at) {
    found.requests++;
    if (status != 200 && status != 204 && !found.unexpected++)
        fprintf(stderr, "load: a poll was answered %d\n%.500s\n", status, c->answer);
    scan(c, body, length, at);
    c->tail_length = 0;
    send_get(c, at);
}

static void open_readers(enum role role) {
    uint64_t deadline = now_ns() + 120000000000ull;
    for (int i = 0; i < readers.count || open_count < readers.count;) {
        while (i < readers.count && i - open_count < connecting_at_once) connect_to_server(&readers.all[i++], role);
        turn(100);
        if (now_ns() > deadline) {
            fprintf(stderr, "load: only %d of %d readers opened\n", open_count, readers.count);
            exit(1);
        }
    }
}

/* How many readers have received event `number`. */
static int reached(uint32_t number) {
    int count = 0;
    for (int i = 0; i < readers.count; i++) count += readers.all[i].next > number;
    return count;
}

/* Live is who has the backlog and all that was published until half a second ago. */
static void look_who_is_live(uint64_t now, uint64_t began_at) {
    double since = (now - started_at) / 1e9, known = (now - began_at) / 1e9 - 0.5;
    int live = reached(live_from + (known > 0 ? 1 + (uint32_t)(known * rate) : 0));
    if (found.live_99 < 0 && live >= readers.count * 0.99) found.live_99 = since;
    if (found.live_all < 0 && live >= readers.count) found.live_all = since;
}

/* Publish for so long, whether or not earlier ones were answered. */
static void publish_by_the_clock(double for_seconds) {
    uint64_t began_at = now_ns(), sent = 0, probed_at = began_at, next_look_at = began_at;
    uint64_t total = rate * for_seconds;
    while (sent < total) {
        uint64_t now = now_ns();
        uint64_t due_at = began_at + (uint64_t)(sent * (1e9 / rate));
        struct connection *c = now >= due_at ? free_one(&publishers) : NULL;
        if (c) {
            publish(c, due_at);
            sent++;
            continue;
        }
        if (probe_every > 0 && !probe.is_busy && probe.is_connected && now - probed_at >= probe_every * 1e9) {
            probed_at = now;
            send_get(&probe, now);
        }
        if (is_herd && now > next_look_at) {
            next_look_at = now + 50000000;
            look_who_is_live(now, began_at);
        }
        uint64_t wait = due_at > now ? due_at - now : 1000000; /* all publishers are busy: until one is answered */
        if (probe_every > 0 && wait > probe_every * 1e9) wait = probe_every * 1e9;
        turn_ns(wait < 50000000 ? wait : 50000000);
    }
}

static void warm(void) {
    publish_by_the_clock(warm_up);
    for (uint64_t until = now_ns() + 300000000; now_ns() < until;) turn(10);
    counting_from = found.published;
    forget_warm_up();
}

/* How many deliveries there are of the events from `first` on to those before `end`. */
static uint64_t deliveries_of(uint64_t first, uint64_t end) {
    uint64_t count = 0;
    for (int i = 0; i < readers.count; i++) {
        uint64_t session = i % sessions;
        count += (end + sessions - 1 - session) / sessions - (first + sessions - 1 - session) / sessions;
    }
    return count;
}

void run_readers(enum role role) {
    readers = make_pool(stream_count);
    if (!is_herd) open_readers(role);
    open_publishers();
    if (probe_every > 0) connect_to_server(&probe, REQUESTER);
    if (!is_herd && rate > 0) warm();
    meet("open");
    started_at = now_ns();
    double cpu = cpu_seconds();
    if (is_herd) {
        found.published = live_from + 1;
        for (int i = 0; i < readers.count; i++) {
            connect_to_server(&readers.all[i], role);
            if (i % 100 == 99) turn(0);
        }
    }
    uint64_t began_at = now_ns();
    uint32_t first = found.published;
    found.expected = deliveries_of(is_herd ? 0 : first, first + (uint64_t)(rate * seconds));
    publish_by_the_clock(seconds);
    uint64_t deadline = now_ns() + settle * 1e9;
    while (now_ns() < deadline && (found.deliveries < found.expected || found.acknowledged < found.published - first))
        turn(10);
    double elapsed = ((found.last_delivery_at > began_at ? found.last_delivery_at : now_ns()) - began_at) / 1e9;
    report(elapsed, cpu_seconds() - cpu);
    meet("done");
}

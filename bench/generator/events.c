/* Events: publishing them, and finding them in what comes.
 *
 * A published event holds a marker, @ + 16 hex digits of nanoseconds + 8 hex digits of its number + @.  A reader must
 * find the numbers in order, each once; what it finds is looked for in the bytes as they come, whatever their framing.
 * With several sessions, event n goes to session n % sessions, and its readers expect every so-manieth number.
 */
#include "generator.h"
#include <stdio.h>
#include <string.h>

uint32_t counting_from;
struct pool publishers;

/* Last: a connection that says nothing for long is closed. */
void open_publishers(void) {
    publishers = make_pool(publisher_count);
    for (int i = 0; i < publisher_count; i++) connect_to_server(&publishers.all[i], PUBLISHER);
    for (uint64_t until = now_ns() + 100000000; now_ns() < until;) turn(10);
}

/* Publish `batch` events on a connection that is free; the time that counts is `due_at`. */
void publish(struct connection *c, uint64_t due_at) {
    static char request[REQUEST], body[REQUEST], event[REQUEST], text[REQUEST], target[1024], id[128];
    static uint64_t run;
    int length = 0;
    if (!run) run = now_ns(); /* so that keys and ids are not those of an earlier run */
    c->began_at = due_at;
    c->is_busy = 1;
    body[0] = 0;
    write_target(target, sizeof target, publish_target, found.published % sessions, c->number);
    for (int i = 0; i < batch; i++) {
        int size = snprintf(text, sizeof text, "@%016llx%08x@", (unsigned long long)due_at, found.published++);
        memset(text + size, 'x', content > size ? content - size : 0);
        text[content > size ? content : size] = 0;
        id[0] = 0;
        if (fresh_ids) snprintf(id, sizeof id, "\"messageId\":\"m%llx-%x\",", (unsigned long long)run, found.published);
        snprintf(event, sizeof event, event_format, id, text);
        length += snprintf(body + length, sizeof body - length, "%s%s", i ? "," : "", event);
    }
    snprintf(text, sizeof text, body_format, body);
    id[0] = 0;
    if (fresh_keys) snprintf(id, sizeof id, "Idempotency-Key: k%llx-%x\r\n", (unsigned long long)run, found.published);
    length = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s%sContent-Length: %zu\r\n\r\n%s",
                      target, headers, id, strlen(text), text);
    send_all(c, request, length);
}

static uint64_t hex(const char *digits, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) {
        char d = digits[i];
        value = value << 4 | (d <= '9' ? d - '0' : (d | 32) - 'a' + 10);
    }
    return value;
}

static void delivered(struct connection *c, const char *marker, uint64_t at) {
    uint32_t number = hex(marker + 17, 8);
    int is_next = c->next == number;
    c->next = number + sessions;
    if (number < counting_from) return; /* of the warm-up */
    found.out_of_order += !is_next;
    found.deliveries++;
    found.last_delivery_at = at;
    note(found.delivering, hex(marker + 1, 16), at);
}

/* A reader has received bytes: find the markers, and keep the beginning of one that is cut in two. */
void scan(struct connection *c, char *data, int length, uint64_t at) {
    char *end = data + length, *p = data;
    while ((p = memchr(p, '@', end - p)) && end - p >= MARKER) {
        if (p[MARKER - 1] == '@') {
            delivered(c, p, at);
            p += MARKER;
        } else
            p++;
    }
    c->tail_length = p ? end - p : 0;
    if (c->tail_length) memcpy(c->tail, p, c->tail_length);
}

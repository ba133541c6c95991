/* The load of the benchmark: HTTP clients on one core, without dependencies.
 *
 *   load streams  many event streams, events published by the clock, every delivery timed and counted
 *   load publish  a few connections that publish one after the other
 *
 * Everything it found is one JSON object on stdout.  Targets and headers are arguments: it knows no server.
 *
 * A published event holds a marker, @ + 16 hex digits of nanoseconds + 8 hex digits of its number + @.  A reader must
 * find the numbers in order, each once; what it finds is looked for in the bytes as they come, whatever their framing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MARKER = 26, TAIL = 32, BUFFER = 1 << 20, BUCKETS = 200000, REQUEST = 1 << 17 };

/* What a connection is for. */
enum Role { STREAM, PUBLISHER, PROBE };

struct connection {
    int fd;
    enum Role role;
    int is_connected, is_open, is_busy, tail_length, wants_write;
    uint32_t next;        /* the number that a stream expects */
    uint64_t began_at;    /* of the request that is on its way */
    char tail[TAIL];      /* the end of what was read: a marker may be cut in two */
    char *answer;         /* what has come of an answer */
    int answer_length;
    const char *cursor;   /* header of its own, or NULL */
};

static int port, stream_count = 1000, publisher_count = 64, batch = 1, connecting_at_once = 200, is_herd, content = 200;
static double rate = 100, seconds = 3, probe_every = 0, settle = 3, warm_up = 0.5;
static const char *stream_target = "/", *publish_target = "/", *probe_target = "/", *headers = "", *ready = "\r\n\r\n";
static const char *body_format = "%s", *event_format = "%s", *probe_headers = "", *stream_headers = "";
static int fresh_keys, fresh_ids;
static char *buffer;
static int poller;
static struct connection *streams, *publishers, probe;
static uint32_t published, acknowledged, refused, not_304, live_from;
static uint64_t deliveries, out_of_order, bytes_read, started_at, last_delivery_at, lost_connections;
static uint32_t histogram[BUCKETS];          /* of deliveries, 10 us each */
static uint32_t publish_histogram[BUCKETS];  /* of acknowledgements */
static uint32_t probe_histogram[BUCKETS];
static int streams_open;
static double live_99 = -1, live_all = -1;
static uint32_t counting_from;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void note(uint32_t *of, uint64_t began_at, uint64_t at) {
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

/* Edge-triggered: everything is read to its end anyway, and the kernel need not look at each socket a second time. */
static void watch(struct connection *c, int wants_write) {
    struct epoll_event event = {.events = EPOLLET | EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, c->wants_write < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
    c->wants_write = wants_write;
}

static void connect_to_server(struct connection *c, enum Role role) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->role = role;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    c->wants_write = -1;
    watch(c, 1);
}

static void send_all(struct connection *c, const char *data, int length) {
    while (length > 0) {
        ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) continue; /* requests are small; this is rare */
            lost_connections++;
            return;
        }
        data += sent;
        length -= sent;
    }
}

static void open_stream(struct connection *c) {
    char request[4096];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", stream_target, headers,
                          stream_headers);
    send_all(c, request, length);
}

static void send_get(struct connection *c) {
    char request[4096];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", probe_target, headers,
                          probe_headers);
    c->began_at = now_ns();
    c->is_busy = 1;
    send_all(c, request, length);
}

/* Publish `batch` events on a connection that is free; the time that counts is `due_at`. */
static void publish(struct connection *c, uint64_t due_at) {
    static char request[REQUEST], body[REQUEST], event[REQUEST], text[REQUEST], id[128];
    int length = 0;
    c->began_at = due_at;
    c->is_busy = 1;
    body[0] = 0;
    for (int i = 0; i < batch; i++) {
        int size = snprintf(text, sizeof text, "@%016llx%08x@", (unsigned long long)due_at, published++);
        memset(text + size, 'x', content > size ? content - size : 0);
        text[content > size ? content : size] = 0;
        id[0] = 0;
        if (fresh_ids) snprintf(id, sizeof id, "\"messageId\":\"m%llx-%x\",", (unsigned long long)started_at, published);
        snprintf(event, sizeof event, event_format, id, text);
        length += snprintf(body + length, sizeof body - length, "%s%s", i ? "," : "", event);
    }
    snprintf(text, sizeof text, body_format, body);
    id[0] = 0;
    if (fresh_keys) snprintf(id, sizeof id, "Idempotency-Key: k%llx-%x\r\n", (unsigned long long)started_at, published);
    length = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s%sContent-Length: %zu\r\n\r\n%s",
                      publish_target, headers, id, strlen(text), text);
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
    if (number < counting_from) { /* of the warm-up */
        c->next = number + 1;
        return;
    }
    if (c->next != number) out_of_order++;
    c->next = number + 1;
    deliveries++;
    last_delivery_at = at;
    note(histogram, hex(marker + 1, 16), at);
}

/* A stream has received bytes: find the markers, the one that was cut in two included. */
static void scan(struct connection *c, char *data, int length, uint64_t at) {
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

static void read_stream(struct connection *c) {
    uint64_t at = now_ns();
    for (;;) {
        memcpy(buffer, c->tail, c->tail_length);
        ssize_t got = recv(c->fd, buffer + c->tail_length, BUFFER, 0);
        if (got <= 0) {
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
            lost_connections++;
            close(c->fd);
            return;
        }
        bytes_read += got;
        if (!c->is_open) {
            buffer[c->tail_length + got] = 0;
            if (memmem(buffer, c->tail_length + got, ready, strlen(ready))) {
                c->is_open = 1;
                streams_open++;
            }
        }
        int length = c->tail_length + got;
        scan(c, buffer, length, at);
        if (!c->is_open && !c->tail_length) { /* `ready` may be cut in two as well */
            c->tail_length = length < TAIL ? length : TAIL;
            memcpy(c->tail, buffer + length - c->tail_length, c->tail_length);
        }
        if (got < BUFFER) return;
    }
}

static void answered(struct connection *c, int status) {
    uint64_t at = now_ns();
    c->is_busy = 0;
    c->answer_length = 0;
    if (c->role == PROBE) {
        not_304 += status != 304;
        note(probe_histogram, c->began_at, at);
        return;
    }
    if (status >= 200 && status < 300)
        acknowledged++;
    else if (!refused++)
        fprintf(stderr, "load: a publish was answered %d\n%.500s\n", status, c->answer);
    note(publish_histogram, c->began_at, at);
}

static void read_answer(struct connection *c) {
    if (!c->answer) c->answer = malloc(REQUEST);
    ssize_t got = recv(c->fd, c->answer + c->answer_length, REQUEST - 1 - c->answer_length, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        lost_connections++;
        close(c->fd);
        c->is_busy = 1;
        return;
    }
    c->answer_length += got;
    c->answer[c->answer_length] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return;
    int status = atoi(c->answer + 9);
    char *said = strcasestr(c->answer, "content-length:");
    int length = said && said < end && status != 304 && status != 204 ? atoi(said + 15) : 0;
    if (c->answer_length < end + 4 - c->answer + length) return;
    answered(c, status);
}

/* Read what has come, waiting for it up to so long: in nanoseconds, so that nobody spins until a publish is due. */
static void turn_ns(uint64_t timeout) {
    struct epoll_event events[512];
    struct timespec until = {timeout / 1000000000, timeout % 1000000000};
    int count = epoll_pwait2(poller, events, 512, &until, NULL);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c->is_connected && events[i].events & EPOLLOUT) {
            c->is_connected = 1;
            watch(c, 0);
            if (c->role == STREAM) open_stream(c);
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            if (c->role == STREAM)
                read_stream(c);
            else
                read_answer(c);
        }
        /* Not behind ten thousand streams that are ready as well: that would be the load's delay, not the server's. */
        if (probe.is_busy && i % 32 == 31) read_answer(&probe);
    }
}

static void turn(int timeout_ms) { turn_ns(timeout_ms * 1000000ull); }

static struct connection *free_publisher(void) {
    static int at;
    for (int i = 0; i < publisher_count; i++) {
        struct connection *c = &publishers[at++ % publisher_count];
        if (!c->is_busy) return c;
    }
    return NULL;
}

static void open_publishers(void) {
    publishers = calloc(publisher_count, sizeof *publishers);
    for (int i = 0; i < publisher_count; i++) connect_to_server(&publishers[i], PUBLISHER);
    for (uint64_t until = now_ns() + 100000000; now_ns() < until;) turn(10);
}

static void open_streams(void) {
    uint64_t deadline = now_ns() + 120000000000ull;
    streams = calloc(stream_count, sizeof *streams);
    for (int i = 0; i < stream_count || streams_open < stream_count;) {
        while (i < stream_count && i - streams_open < connecting_at_once) connect_to_server(&streams[i++], STREAM);
        turn(100);
        if (now_ns() > deadline) {
            fprintf(stderr, "load: only %d of %d streams opened\n", streams_open, stream_count);
            exit(1);
        }
    }
}

/* How many streams have received event `number`. */
static int reached(uint32_t number) {
    int count = 0;
    for (int i = 0; i < stream_count; i++) count += streams[i].next > number;
    return count;
}

/* Publish by the clock for so long, whether or not earlier ones were answered. */
static uint64_t publish_by_the_clock(double for_seconds) {
    uint64_t began_at = now_ns(), sent = 0, late = 0, probed_at = began_at;
    uint64_t total = rate * for_seconds;
    double next_look = 0;
    while (sent < total) {
        uint64_t now = now_ns();
        uint64_t due_at = began_at + (uint64_t)(sent * (1e9 / rate));
        if (now >= due_at) {
            struct connection *c = free_publisher();
            if (c) {
                publish(c, due_at);
                sent++;
                continue;
            }
            late++;
        }
        if (probe_every > 0 && !probe.is_busy && probe.is_connected && now - probed_at >= probe_every * 1e9) {
            probed_at = now;
            send_get(&probe);
        }
        if (is_herd && (now - started_at) / 1e9 > next_look) {
            /* Live is who has the backlog and all that was published until half a second ago. */
            double since = (now - started_at) / 1e9, known = (now - began_at) / 1e9 - 0.5;
            next_look = since + 0.05;
            int live = reached(live_from + (known > 0 ? 1 + (uint32_t)(known * rate) : 0));
            if (live_99 < 0 && live >= stream_count * 0.99) live_99 = since;
            if (live_all < 0 && live >= stream_count) live_all = since;
        }
        uint64_t wait = due_at > now ? due_at - now : 1000000; /* all publishers are busy: until one is answered */
        if (probe_every > 0 && wait > probe_every * 1e9) wait = probe_every * 1e9;
        turn_ns(wait < 50000000 ? wait : 50000000);
    }
    return late;
}

static void report(double elapsed, double cpu, uint64_t expected) {
    printf("{\"streams\": %d, \"published\": %u, \"acknowledged\": %u, \"refused\": %u, \"not_304\": %u, \"deliveries\": %llu, "
           "\"expected\": %llu, \"out_of_order\": %llu, \"lost_connections\": %llu, \"seconds\": %.4f, \"busy\": %.3f, \"cpu\": %.3f, "
           "\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"publish_p50_ms\": %.2f, \"publish_p99_ms\": %.2f, "
           "\"probe_p50_ms\": %.2f, \"probe_p99_ms\": %.2f, \"probe_max_ms\": %.2f, \"live_99_s\": %.2f, \"live_all_s\": "
           "%.2f, \"bytes\": %llu}\n",
           stream_count, published, acknowledged, refused, not_304, (unsigned long long)deliveries, (unsigned long long)expected,
           (unsigned long long)out_of_order, (unsigned long long)lost_connections, elapsed, cpu / elapsed, cpu,
           percentile(histogram, 0.5), percentile(histogram, 0.99), percentile(histogram, 1.0),
           percentile(publish_histogram, 0.5), percentile(publish_histogram, 0.99), percentile(probe_histogram, 0.5),
           percentile(probe_histogram, 0.99), percentile(probe_histogram, 1.0), live_99, live_all,
           (unsigned long long)bytes_read);
}

/* Wait for a line on stdin: the harness looks at the server in between. */
static void meet(const char *where) {
    char line[64];
    printf("%s\n", where);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

static void run_streams(void) {
    if (!is_herd) open_streams();
    open_publishers(); /* last: a connection that says nothing for long is closed */
    if (probe_every > 0) connect_to_server(&probe, PROBE);
    started_at = now_ns();
    if (!is_herd && rate > 0) {
        publish_by_the_clock(warm_up);
        for (uint64_t until = now_ns() + 300000000; now_ns() < until;) turn(10);
        counting_from = published;
        acknowledged = 0;
        deliveries = out_of_order = 0;
        memset(histogram, 0, sizeof histogram);
        memset(publish_histogram, 0, sizeof publish_histogram);
        memset(probe_histogram, 0, sizeof probe_histogram);
    }
    meet("open");
    started_at = now_ns();
    double cpu = cpu_seconds();
    if (is_herd) {
        published = live_from + 1;
        streams = calloc(stream_count, sizeof *streams);
        for (int i = 0; i < stream_count; i++) {
            connect_to_server(&streams[i], STREAM);
            if (i % 100 == 99) turn(0);
        }
    }
    uint64_t began_at = now_ns(), expected = (uint64_t)stream_count * ((uint64_t)(rate * seconds) + (is_herd ? live_from + 1 : 0));
    uint32_t first = published;
    publish_by_the_clock(seconds);
    uint64_t deadline = now_ns() + settle * 1e9;
    while (now_ns() < deadline && (deliveries < expected || acknowledged < published - first)) turn(10);
    double elapsed = ((last_delivery_at > began_at ? last_delivery_at : now_ns()) - began_at) / 1e9;
    report(elapsed, cpu_seconds() - cpu, expected);
    meet("done");
}

static void run_publish(void) {
    open_publishers();
    meet("open");
    started_at = now_ns();
    double cpu = cpu_seconds();
    uint64_t end = started_at + seconds * 1e9;
    for (;;) {
        uint64_t now = now_ns();
        int busy = 0;
        for (int i = 0; i < publisher_count; i++) {
            if (!publishers[i].is_busy && now < end) publish(&publishers[i], now_ns());
            busy += publishers[i].is_busy;
        }
        if (!busy || now > end + 5000000000ull) break;
        turn(10);
    }
    report((now_ns() - started_at) / 1e9, cpu_seconds() - cpu, 0);
    meet("done");
}

int main(int argc, char **argv) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (argc < 2) {
        fprintf(stderr, "usage: load streams|publish name=value...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) return 2;
        *value++ = 0;
#define NUMBER(name) else if (!strcmp(argv[i], #name)) name = atof(value);
#define TEXT(name) else if (!strcmp(argv[i], #name)) name = value;
        if (0) {}
        NUMBER(port) NUMBER(stream_count) NUMBER(publisher_count) NUMBER(batch) NUMBER(connecting_at_once)
        NUMBER(is_herd) NUMBER(content) NUMBER(rate) NUMBER(seconds) NUMBER(probe_every) NUMBER(settle) NUMBER(warm_up)
        NUMBER(fresh_keys) NUMBER(fresh_ids) NUMBER(live_from)
        TEXT(stream_target) TEXT(publish_target) TEXT(probe_target) TEXT(headers) TEXT(ready) TEXT(body_format)
        TEXT(event_format) TEXT(probe_headers) TEXT(stream_headers)
        else {
            fprintf(stderr, "load: no parameter %s\n", argv[i]);
            return 2;
        }
    }
    poller = epoll_create1(0);
    buffer = malloc(BUFFER + TAIL + 1);
    if (!strcmp(argv[1], "streams")) run_streams();
    else run_publish();
    return 0;
}

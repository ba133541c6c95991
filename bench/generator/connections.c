/* Connections on one epoll: opening them, asking, and reading what comes. */
#include "generator.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS = 4 };

static int poller, person_count, pair_count;
static char *buffer;
static char **persons;
static struct { char from[64], to[64]; } pairs[PAIRS];

struct connection probe;

static void read_people(void) {
    FILE *file = fopen(people, "r");
    char line[4096];
    if (!file) die(people);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        persons = realloc(persons, (person_count + 1) * sizeof *persons);
        if (asprintf(&persons[person_count++], "%s\r\n", line) < 0) die("memory");
    }
    fclose(file);
}

void prepare_connections(void) {
    poller = epoll_create1(0);
    buffer = malloc(BUFFER + TAIL + 1);
    if (*people) read_people();
    for (const char *at = carry; *at && pair_count < PAIRS; pair_count++) {
        int used = 0;
        if (sscanf(at, "%63[^>;]>%63[^>;]%n", pairs[pair_count].from, pairs[pair_count].to, &used) < 2) die(carry);
        at += used + (at[used] == ';');
    }
}

struct pool make_pool(int count) {
    struct pool pool = {calloc(count, sizeof *pool.all), count, 0};
    for (int i = 0; i < count; i++) pool.all[i].number = i;
    return pool;
}

/* Return one that has been answered; NULL if none has. */
struct connection *free_one(struct pool *pool) {
    for (int i = 0; i < pool->count; i++) {
        struct connection *c = &pool->all[pool->at++ % pool->count];
        if (!c->is_busy) return c;
    }
    return NULL;
}

/* Edge-triggered: everything is read to its end anyway, and the kernel need not look at each socket a second time. */
static void watch(struct connection *c, int wants_write) {
    struct epoll_event event = {.events = EPOLLET | EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, c->wants_write < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
    c->wants_write = wants_write;
}

void connect_to_server(struct connection *c, enum role role) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->role = role;
    c->next = c->number % sessions;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    c->wants_write = -1;
    watch(c, 1);
}

void send_all(struct connection *c, const char *data, int length) {
    while (length > 0) {
        ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) continue; /* requests are small; this is rare */
            found.lost_connections++;
            return;
        }
        data += sent;
        length -= sent;
    }
}

/* Write `target` with the numbers that it asks for. */
void write_target(char *out, int size, const char *target, int session, int client) {
    int length = 0;
    while (*target && length < size - 16) {
        if (!strncmp(target, "{session}", 9)) {
            length += sprintf(out + length, "%d", session);
            target += 9;
        } else if (!strncmp(target, "{client}", 8)) {
            length += sprintf(out + length, "%d", client);
            target += 8;
        } else
            out[length++] = *target++;
    }
    out[length] = 0;
}

/* Ask for what a connection of this kind asks for; the time that counts is `due_at`. */
void send_get(struct connection *c, uint64_t due_at) {
    int is_reader = c->role == STREAM || c->role == POLL;
    const char *who = person_count ? persons[c->number % person_count] : headers;
    const char *carried = c->carried ? c->carried : "";
    char request[8192], target[1024];
    write_target(target, sizeof target, is_reader ? stream_target : request_target, c->number % sessions, c->number);
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n", target, who,
                          is_reader ? stream_headers : request_headers, carried);
    c->began_at = due_at;
    c->is_busy = 1;
    send_all(c, request, length);
}

static void lost(struct connection *c) {
    found.lost_connections++;
    close(c->fd);
    c->is_busy = 1;
}

static void read_stream(struct connection *c) {
    uint64_t at = now_ns();
    for (;;) {
        memcpy(buffer, c->tail, c->tail_length);
        ssize_t got = recv(c->fd, buffer + c->tail_length, BUFFER, 0);
        if (got <= 0) {
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
            lost(c);
            return;
        }
        found.bytes += got;
        int length = c->tail_length + got;
        buffer[length] = 0;
        stream_received(c, buffer, length, at);
        if (got < BUFFER) return;
    }
}

/* Keep what an answer says about where to go on. */
static void carry_over(struct connection *c, const char *head) {
    int length = 0;
    if (!c->carried) c->carried = malloc(CARRIED);
    c->carried[0] = 0;
    for (int i = 0; i < pair_count; i++) {
        const char *line = strcasestr(head, pairs[i].from);
        while (line && !(line[-1] == '\n' && line[strlen(pairs[i].from)] == ':')) line = strcasestr(line + 1, pairs[i].from);
        if (!line) continue;
        line += strlen(pairs[i].from) + 1;
        length += snprintf(c->carried + length, CARRIED - length, "%s:%.*s\r\n", pairs[i].to, (int)strcspn(line, "\r"), line);
        if (length >= CARRIED) die("what is carried over is too long");
    }
}

static void read_answer(struct connection *c) {
    if (!c->answer) c->answer = malloc(REQUEST);
    ssize_t got = recv(c->fd, c->answer + c->answer_length, REQUEST - 1 - c->answer_length, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        lost(c);
        return;
    }
    uint64_t at = now_ns();
    found.bytes += got;
    c->answer_length += got;
    c->answer[c->answer_length] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return;
    end[2] = 0; /* the head alone, for a moment */
    int status = atoi(c->answer + 9);
    char *said = status == 304 || status == 204 ? NULL : strcasestr(c->answer, "\ncontent-length:");
    int length = said ? atoi(said + 16) : 0;
    char *body = end + 4;
    int is_whole = c->answer_length >= body - c->answer + length;
    if (is_whole && c->role == POLL && pair_count) carry_over(c, c->answer);
    end[2] = '\r';
    if (!is_whole) return;
    c->is_busy = 0;
    c->answer_length = 0;
    if (c->role == POLL)
        poll_answered(c, status, body, length, at);
    else
        was_answered(c, status, at);
}

/* Read what has come, waiting for it up to so long: in nanoseconds, so that nobody spins until a publish is due. */
void turn_ns(uint64_t timeout) {
    struct epoll_event events[512];
    struct timespec until = {timeout / 1000000000, timeout % 1000000000};
    int count = epoll_pwait2(poller, events, 512, &until, NULL);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c->is_connected && events[i].events & EPOLLOUT) {
            c->is_connected = 1;
            watch(c, 0);
            if (c->role == STREAM || c->role == POLL) reader_opened(c);
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

void turn(int timeout_ms) { turn_ns(timeout_ms * 1000000ull); }

/* What the parts of the load share: its parameters, a connection, and what each part does.
 *
 * One thread, one core, no dependencies.  Targets and headers are arguments: it knows no server.
 */
#ifndef GENERATOR_H
#define GENERATOR_H
#define _GNU_SOURCE
#include <stdint.h>

/* name, default: given on the command line as name=value */
#define INTEGERS(X) \
    X(port, 0) X(stream_count, 1000) X(publisher_count, 64) X(connection_count, 50) X(connecting_at_once, 200) \
    X(batch, 1) X(content, 200) X(sessions, 1) X(is_herd, 0) X(live_from, 0) X(fresh_keys, 0) X(fresh_ids, 0) \
    X(wanted, 304)
#define NUMBERS(X) X(rate, 100) X(seconds, 3) X(probe_every, 0) X(settle, 3) X(warm_up, 0.5)
/* In a target {session} is the number of a session, {client} that of a connection.  `people` is a file of header lines:
 * every connection that is no publisher's sends one of them in place of `headers`.  `carry` is what goes from an answer
 * into the next request, like Etag>If-None-Match;... */
#define TEXTS(X) \
    X(stream_target, "/") X(publish_target, "/") X(request_target, "/") X(headers, "") X(ready, "\r\n\r\n") \
    X(body_format, "%s") X(event_format, "%s") X(request_headers, "") X(stream_headers, "") X(people, "") X(carry, "")

#define AS_INTEGER(name, value) extern int name;
#define AS_NUMBER(name, value) extern double name;
#define AS_TEXT(name, value) extern const char *name;
INTEGERS(AS_INTEGER)
NUMBERS(AS_NUMBER)
TEXTS(AS_TEXT)

/* TAIL holds the end of what was read: a marker, or `ready`, may be cut in two. */
enum { MARKER = 26, TAIL = 32, BUFFER = 1 << 20, REQUEST = 1 << 17, CARRIED = 512 };

/* A stream is read as it comes; of all others an answer is read whole. */
enum role { STREAM, POLL, PUBLISHER, REQUESTER };

struct connection {
    int fd, number;
    enum role role;
    int is_connected, is_open, is_busy, tail_length, wants_write;
    uint32_t next;     /* the number of the event that a reader expects */
    uint64_t began_at; /* of the request that is on its way */
    char tail[TAIL];
    char *answer;      /* what has come of an answer */
    int answer_length;
    char *carried;     /* headers of the next request that came with the last answer */
};

struct pool {
    struct connection *all;
    int count, at;
};

/* main.c */
uint64_t now_ns(void);
void die(const char *what);

/* connections.c */
void prepare_connections(void);
struct pool make_pool(int count);
void connect_to_server(struct connection *c, enum role role);
void send_get(struct connection *c, uint64_t due_at);
void send_all(struct connection *c, const char *data, int length);
void write_target(char *out, int size, const char *target, int session, int client);
struct connection *free_one(struct pool *pool);
void turn_ns(uint64_t timeout);
void turn(int timeout_ms);
extern struct connection probe; /* asks while others publish; never waits behind ten thousand that are ready as well */

/* events.c */
extern uint32_t counting_from; /* events before this are of the warm-up */
extern struct pool publishers;
void open_publishers(void);
void publish(struct connection *c, uint64_t due_at);
void scan(struct connection *c, char *data, int length, uint64_t at);

/* readers.c */
void run_readers(enum role role);
void reader_opened(struct connection *c);
void stream_received(struct connection *c, char *data, int length, uint64_t at);
void poll_answered(struct connection *c, int status, char *body, int length, uint64_t at);

/* requests.c */
void run_publish(void);
void run_requests(void);
void was_answered(struct connection *c, int status, uint64_t at);

/* figures.c */
enum { BUCKETS = 500000 };
struct figures {
    uint32_t published, acknowledged, refused, requests, unexpected;
    uint64_t deliveries, expected, out_of_order, lost_connections, bytes, last_delivery_at;
    double live_99, live_all;
    uint32_t delivering[BUCKETS], publishing[BUCKETS], requesting[BUCKETS]; /* 10 us each */
};
extern struct figures found;
void forget_warm_up(void);
void note(uint32_t *of, uint64_t began_at, uint64_t at);
double cpu_seconds(void);
void report(double elapsed, double cpu);
void meet(const char *where);
#endif

/* Downloads, from a small server in this process: whole, broken off, taken up again, wrong, refused. */
#include "test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "data/named.h"
#include "data/sha256.h"
#include "scratch.h"

/* --- the server ------------------------------------------------------------------------------------------- */

typedef enum reply {
    REPLY_RANGES,   /* as servers do: the bytes from where it is asked, 416 when there are none */
    REPLY_WHOLE,    /* all bytes, whatever was asked */
    REPLY_BREAK,    /* half of what was asked, then the connection ends */
    REPLY_MISSING,  /* 404 */
    REPLY_OTHER,    /* other bytes of the same size */
    REPLY_REDIRECT, /* to a place without encryption */
    REPLY_NO_LENGTH /* all bytes, without saying how many */
} reply;

enum { BYTES = 30000, MOST_REQUESTS = 8 };

typedef struct server {
    int socket, port;
    pthread_t thread;
    unsigned char body[BYTES];
    char sha256[65];
    reply plan[MOST_REQUESTS]; /* of the first request, the second, … */
    long from[MOST_REQUESTS];  /* where each request wanted to begin */
    atomic_int requests;
} server;

static void send_all(int to, const void *data, size_t bytes) {
    for (const char *p = data; bytes;) {
        ssize_t n = send(to, p, bytes, MSG_NOSIGNAL);
        if (n <= 0) return;
        p += n, bytes -= (size_t)n;
    }
}

static void answer(server *s, int to, reply kind, size_t from) {
    char head[300];
    size_t bytes = from < BYTES ? BYTES - from : 0;
    unsigned char *other = malloc(BYTES);
    for (size_t i = 0; other && i < BYTES; i++) other[i] = s->body[i] ^ (kind == REPLY_OTHER);
    const char *status = from ? "206 Partial Content" : "200 OK";
    if (kind == REPLY_WHOLE || kind == REPLY_NO_LENGTH) status = "200 OK", from = 0, bytes = BYTES;
    if (kind == REPLY_MISSING) status = "404 Not Found", bytes = 0;
    if (kind == REPLY_REDIRECT) status = "302 Found", bytes = 0;
    if (kind != REPLY_MISSING && from >= BYTES) status = "416 Range Not Satisfiable";
    int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nConnection: close\r\n", status);
    if (kind != REPLY_NO_LENGTH)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", bytes);
    if (status[2] == '6') /* 206 */
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes %zu-%d/%d\r\n", from,
                      BYTES - 1, BYTES);
    if (kind == REPLY_REDIRECT)
        n += snprintf(head + n, sizeof head - (size_t)n, "Location: http://127.0.0.1:%d/elsewhere\r\n",
                      s->port);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    send_all(to, head, (size_t)n);
    if (other && bytes) send_all(to, other + from, kind == REPLY_BREAK ? bytes / 2 : bytes);
    free(other);
}

static void *serve(void *ctx) {
    server *s = ctx;
    for (int to; (to = accept(s->socket, NULL, NULL)) >= 0; close(to)) {
        char request[2000];
        size_t got = 0;
        for (ssize_t n = 1; n > 0 && got < sizeof request - 1;) {
            n = recv(to, request + got, sizeof request - 1 - got, 0);
            if (n > 0) got += (size_t)n;
            request[got] = '\0';
            if (strstr(request, "\r\n\r\n")) break;
        }
        int i = atomic_fetch_add(&s->requests, 1);
        if (i >= MOST_REQUESTS) continue;
        const char *range = strstr(request, "Range: bytes=");
        s->from[i] = range ? atol(range + strlen("Range: bytes=")) : 0;
        answer(s, to, s->plan[i], (size_t)s->from[i]);
    }
    return NULL;
}

static void start(server *s) {
    memset(s, 0, sizeof *s);
    for (int i = 0; i < BYTES; i++) s->body[i] = (unsigned char)(i * 7 + i / 251);
    glia__sha256_text(s->body, BYTES, s->sha256);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    s->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(s->socket, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(s->socket, 4) == 0);
    CHECK(getsockname(s->socket, (struct sockaddr *)&address, &size) == 0);
    s->port = ntohs(address.sin_port);
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
    setenv("no_proxy", "*", 1); /* not through anybody's proxy */
    scratch_make();
}

static void stop(server *s) {
    shutdown(s->socket, SHUT_RDWR); /* ends accept */
    pthread_join(s->thread, NULL);
    close(s->socket);
    scratch_remove();
}

/* --- what is asked ---------------------------------------------------------------------------------------- */

/* Downloads "f" from the server, with as many mirrors, which are all itself. */
static glia_status fetch(const server *s, int mirrors, glia_error *err) {
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", s->port);
    const glia_named_set set = {
        .about = {.name = "small"}, .files = {{"f", s->sha256}}, .mirrors = {url, mirrors > 1 ? url : NULL}};
    return glia__download(&set, scratch, NULL, err);
}

static long size_of(const char *name) { /* -1: there is none */
    struct stat info;
    return stat(scratch_path(name), &info) == 0 ? (long)info.st_size : -1;
}

/* The file is there with the right bytes, after so many requests, and nothing else is. */
static void check_done(server *s, int requests) {
    unsigned char *got = malloc(BYTES + 1);
    FILE *file = fopen(scratch_path("f"), "rb");
    CHECK(file && fread(got, 1, BYTES + 1, file) == BYTES && memcmp(got, s->body, BYTES) == 0);
    if (file) fclose(file);
    free(got);
    CHECK_INT(size_of("f.part"), -1);
    CHECK_INT(atomic_load(&s->requests), requests);
}

/* Left by an earlier download: the first bytes of the file, `wrong` of them not. */
static void put_part(const server *s, size_t bytes, size_t wrong) {
    unsigned char *part = calloc(1, bytes + 1);
    if (!part) return;
    memcpy(part, s->body, bytes < BYTES ? bytes : BYTES);
    for (size_t i = 0; i < wrong; i++) part[i] ^= 0xFF;
    scratch_put("f.part", part, bytes);
    free(part);
}

static bool built_without(void) {
    glia_error err = {0};
    const glia_named_set set = {.about = {.name = "small"}, .mirrors = {"http://127.0.0.1:1/"}};
    return glia__download(&set, "/tmp", NULL, &err) == GLIA_UNSUPPORTED;
}
static const char no_curl[] = "this build has no libcurl";

TEST(sha256) {
    static const struct { /* FIPS 180-2, appendix B, and the empty message */
        const char *text, *sum;
    } cases[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    char sum[65];
    for (int i = 0; i < 3; i++) {
        glia__sha256_text(cases[i].text, strlen(cases[i].text), sum);
        CHECK_STR(sum, cases[i].sum);
    }
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    glia__sha256_text(million, 1000000, sum);
    CHECK_STR(sum, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

TEST(whole) {
    if (built_without()) SKIP(no_curl);
    server s;
    glia_error err = {0};
    start(&s);
    CHECK_OK(fetch(&s, 1, &err), &err);
    check_done(&s, 1);
    CHECK_OK(fetch(&s, 1, &err), &err); /* it is there */
    check_done(&s, 1);
    unlink(scratch_path("f"));
    s.plan[1] = REPLY_NO_LENGTH;
    CHECK_OK(fetch(&s, 1, &err), &err);
    check_done(&s, 2);
    stop(&s);
}

TEST(wrong_bytes) {
    if (built_without()) SKIP(no_curl);
    server s;
    glia_error err = {0};
    start(&s);
    s.plan[0] = s.plan[1] = s.plan[2] = REPLY_OTHER;
    CHECK_ERR(fetch(&s, 1, &err), GLIA_BAD_DATA, &err, "f.part: expected SHA-256 ");
    CHECK_ERR(fetch(&s, 2, &err), GLIA_BAD_DATA, &err, s.sha256);
    CHECK_INT(atomic_load(&s.requests), 3); /* each mirror once */
    CHECK_INT(size_of("f"), -1);
    CHECK_INT(size_of("f.part"), -1); /* nothing to go on from */
    CHECK_OK(fetch(&s, 1, &err), &err);
    check_done(&s, 4);
    stop(&s);
}

TEST(broken_off) {
    if (built_without()) SKIP(no_curl);
    server s;
    glia_error err = {0};
    start(&s);
    s.plan[0] = s.plan[1] = REPLY_BREAK;
    CHECK_ERR(fetch(&s, 1, &err), GLIA_IO, &err, "cannot download http://127.0.0.1");
    CHECK_INT(size_of("f"), -1);
    CHECK_INT(size_of("f.part"), BYTES / 2);
    CHECK_OK(fetch(&s, 2, &err), &err); /* broken off once more; the second mirror gives the rest */
    CHECK_INT(err.status, GLIA_OK);     /* what the first one did is no error now */
    CHECK_INT(s.from[1], BYTES / 2);
    CHECK_INT(s.from[2], BYTES / 4 * 3);
    check_done(&s, 3);
    stop(&s);
}

TEST(taken_up) {
    if (built_without()) SKIP(no_curl);
    static const struct {
        size_t bytes, wrong;
        reply plan;
        int requests;
    } cases[] = {
        {BYTES - 1, 0, REPLY_RANGES, 1}, {BYTES, 0, REPLY_RANGES, 0}, /* stopped before it got its name */
        {0, 0, REPLY_RANGES, 1},         {1000, 0, REPLY_WHOLE, 2},   /* a server that knows no ranges */
        {1000, 1, REPLY_RANGES, 2},                                   /* what was there is bad */
        {BYTES, 1, REPLY_RANGES, 2},                                  /* so too, and the server has no more */
        {BYTES + 5, 0, REPLY_RANGES, 2},                              /* more than there is */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        server s;
        glia_error err = {0};
        start(&s);
        s.plan[0] = s.plan[1] = cases[i].plan;
        put_part(&s, cases[i].bytes, cases[i].wrong);
        CHECK_OK(fetch(&s, 1, &err), &err);
        CHECK_INT(s.from[0], cases[i].requests ? (long)cases[i].bytes : 0);
        CHECK_INT(s.from[1], 0);
        check_done(&s, cases[i].requests);
        stop(&s);
    }
}

TEST(refused) {
    if (built_without()) SKIP(no_curl);
    server s;
    glia_error err = {0};
    start(&s);
    s.plan[0] = s.plan[1] = s.plan[3] = REPLY_MISSING;
    CHECK_ERR(fetch(&s, 1, &err), GLIA_IO, &err, "/f: The requested URL returned error: 404");
    CHECK_INT(size_of("f"), -1);
    CHECK_INT(size_of("f.part"), -1);
    put_part(&s, 1000, 0);
    CHECK_ERR(fetch(&s, 1, &err), GLIA_IO, &err, "404");
    CHECK_INT(size_of("f.part"), 1000); /* it may come back */
    s.plan[2] = REPLY_REDIRECT;
    CHECK_ERR(fetch(&s, 1, &err), GLIA_IO, &err, "rotocol");
    CHECK_INT(atomic_load(&s.requests), 3); /* it did not follow */
    CHECK_OK(fetch(&s, 2, &err), &err);     /* one mirror has it */
    check_done(&s, 5);
    stop(&s);
}

TEST(no_server) {
    if (built_without()) SKIP(no_curl);
    server s;
    glia_error err = {0};
    start(&s);
    shutdown(s.socket, SHUT_RDWR);
    put_part(&s, 1000, 0);
    CHECK_ERR(fetch(&s, 1, &err), GLIA_IO, &err, "cannot download http://127.0.0.1");
    CHECK_INT(size_of("f.part"), 1000);
    const glia_named_set nowhere = {.about = {.name = "small"}, .files = {{"f", s.sha256}}};
    CHECK_ERR(glia__download(&nowhere, scratch, NULL, &err), GLIA_NOT_FOUND, &err,
              "small has no mirror to download it from");
    stop(&s);
}

TEST(not_writable) {
    if (built_without()) SKIP(no_curl);
    server s;
    glia_error err = {0};
    start(&s);
    mkdir(scratch_path("f.part"), 0777);
    CHECK_ERR(fetch(&s, 1, &err), GLIA_IO, &err, "f.part: Is a directory");
    rmdir(scratch_path("f.part"));
    struct rlimit before, small = {.rlim_cur = 1000}; /* as a disk that becomes full */
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK_ERR(fetch(&s, 1, &err), GLIA_IO, &err, "f.part: File too large");
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, SIG_DFL);
    CHECK_INT(size_of("f"), -1);
    const glia_named_set set = {.about = {.name = "small"}, .mirrors = {"http://127.0.0.1:1/"}};
    CHECK_ERR(glia__download(&set, scratch_text("file", "x"), NULL, &err), GLIA_IO, &err, "is a file");
    stop(&s);
}

static void *fetch_too(void *ctx) {
    glia_error err = {0};
    return (void *)(intptr_t)fetch(ctx, 1, &err);
}

/* Two at once do not write to one file: the second finds what the first has fetched. */
TEST(two_at_once) {
    if (built_without()) SKIP(no_curl);
    server s;
    start(&s);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, fetch_too, &s) == 0);
    for (int i = 0; i < 3; i++) {
        void *status = NULL;
        pthread_join(threads[i], &status);
        CHECK_INT((intptr_t)status, GLIA_OK);
    }
    check_done(&s, 1);
    stop(&s);
}

TEST_MAIN(TEST_ENTRY(sha256), TEST_ENTRY(whole), TEST_ENTRY(wrong_bytes), TEST_ENTRY(broken_off),
          TEST_ENTRY(taken_up), TEST_ENTRY(refused), TEST_ENTRY(no_server), TEST_ENTRY(not_writable),
          TEST_ENTRY(two_at_once))

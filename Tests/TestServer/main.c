// A web server that behaves as its environment says, for tests of canaries: PORT, DELAY_US (before each answer, with a
// spread of a third either way), ERRORS (answers with 500, of a thousand). A WebSocket (RFC 6455) gets its frames back.
// `testserver attempts …` tries to get out of the instance instead, and `testserver hungry` takes all memory.
#include "attempts.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long delay_us, errors;

static long number(const char *name, long fallback) {
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : fallback;
}

static uint32_t next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void wait_a_little(uint32_t *state) {
    if (delay_us <= 0) return;
    long spread = delay_us / 3;
    long time = delay_us - spread + (long)(next(state) % (uint32_t)(2 * spread + 1));
    struct timespec span = {time / 1000000, time % 1000000 * 1000};
    nanosleep(&span, NULL);
}

// Sends whole frames back as they came, unmasked; those of 125 bytes at most, as its test sends them.
static void echo(int connection) {
    unsigned char frame[2 + 4 + 125];
    for (;;) {
        if (recv(connection, frame, 6, MSG_WAITALL) != 6) return;
        size_t length = frame[1] & 0x7f;
        if (length > 125 || !(frame[1] & 0x80)) return;
        if (length > 0 && recv(connection, frame + 6, length, MSG_WAITALL) != (ssize_t)length) return;
        for (size_t place = 0; place < length; place++) frame[6 + place] ^= frame[2 + place % 4];
        unsigned char head[2] = {frame[0], (unsigned char)length};
        if (send(connection, head, 2, MSG_MORE) != 2) return;
        if (send(connection, frame + 6, length, 0) != (ssize_t)length) return;
    }
}

static void *serve(void *argument) {
    int connection = (int)(intptr_t)argument;
    uint32_t random = (uint32_t)time(NULL) * 2654435761u ^ (uint32_t)(intptr_t)argument * 40503u ^ (uint32_t)getpid();
    if (random == 0) random = 1;
    char request[8192];
    size_t held = 0;
    for (;;) {
        ssize_t got = read(connection, request + held, sizeof request - 1 - held);
        if (got <= 0) break;
        held += (size_t)got;
        request[held] = 0;
        char *end = strstr(request, "\r\n\r\n");
        if (!end) {
            if (held == sizeof request - 1) break;
            continue;
        }
        int isProbe = strncmp(request, "GET /health", 11) == 0;
        int closes = strcasestr(request, "connection: close") != NULL;
        if (strcasestr(request, "upgrade: websocket")) {
            // The answer to the key that RFC 6455 has as its example, which is the one that its test sends.
            const char *answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            if (write(connection, answer, strlen(answer)) > 0) echo(connection);
            break;
        }
        held = 0;
        if (!isProbe) wait_a_little(&random);
        int fails = !isProbe && errors > 0 && next(&random) % 1000 < (uint32_t)errors;
        const char *answer = fails
            ? "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nerror\n"
            : "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
        if (write(connection, answer, strlen(answer)) < 0) break;
        if (closes) break;
    }
    close(connection);
    return NULL;
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    if (strcmp(mode, "attempts") == 0) return try_everything(count - 2, arguments + 2);
    if (strcmp(mode, "hungry") == 0) return take_all_memory();
    // A program that should not have begun, or as somebody else.
    if (strcmp(mode, "success") == 0) return 42;
    if (strcmp(mode, "whoami") == 0) return geteuid() == 0 ? 42 : 0;
    signal(SIGPIPE, SIG_IGN);
    delay_us = number("DELAY_US", 0);
    errors = number("ERRORS", 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number("PORT", 8080))};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) {
        perror("testserver");
        return 1;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0) continue;
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        pthread_t thread;
        if (pthread_create(&thread, &attributes, serve, (void *)(intptr_t)connection) != 0) close(connection);
    }
}

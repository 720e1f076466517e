/* A compiled HTTP/1.1 server as a Go or Rust program would be: one binary, threads, keep-alive, a Unix socket from $SOCKET.
 * cc -O2 -pthread -o server server.c;  app_start_command = "./server" */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void *serve(void *argument) {
    int client = (int)(long)argument;
    char head[16384], answer[512];
    size_t held = 0;
    for (;;) {
        ssize_t got = read(client, head + held, sizeof head - 1 - held);
        if (got <= 0) break;
        held += (size_t)got;
        head[held] = 0;
        char *end;
        while ((end = strstr(head, "\r\n\r\n"))) {
            char method[16] = "", path[200] = "";
            sscanf(head, "%15s %199s", method, path);
            char body[300];
            int length = snprintf(body, sizeof body, "hello from a binary %s %s", method, path);
            int size = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, body);
            if (write(client, answer, (size_t)size) != size) goto out;
            held -= (size_t)(end + 4 - head);
            memmove(head, end + 4, held + 1);
        }
        if (held == sizeof head - 1) break;
    }
out:
    close(client);
    return NULL;
}

int main(void) {
    const char *path = getenv("SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof address.sun_path) {
        fputs("SOCKET is not set, or too long\n", stderr);
        return 1;
    }
    strcpy(address.sun_path, path);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512)) {
        perror(path);
        return 1;
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);
        pthread_t thread;
        if (client < 0 || pthread_create(&thread, NULL, serve, (void *)(long)client)) return 1;
        pthread_detach(thread);
    }
}

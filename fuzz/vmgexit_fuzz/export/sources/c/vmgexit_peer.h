/*
 * An adapter as a process: lines are written to it and read from it.
 *
 * The environment variable VMGEXIT_PEER is its command, as a shell reads it.
 */
#ifndef VMGEXIT_PEER_H
#define VMGEXIT_PEER_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "vmgexit_json.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define VMGEXIT_PATIENCE 20000 /* milliseconds for one answer */

/* JSON as it is sent: JSON({"op": "state", "cpu": 0}). */
#define JSON(...) #__VA_ARGS__

static struct {
    pid_t pid; /* 0: not started */
    int to, from;
    char line[VMGEXIT_LONGEST_LINE + 2];
    size_t length; /* of what has been read */
    size_t used;   /* of it, by the last line */
} vmgexit_peer;

static void vmgexit_end_peer(void)
{
    if (!vmgexit_peer.pid)
        return;
    close(vmgexit_peer.to);
    close(vmgexit_peer.from);
    kill(vmgexit_peer.pid, SIGKILL);
    waitpid(vmgexit_peer.pid, NULL, 0);
    vmgexit_peer.pid = 0;
}

/* The next line of the adapter, without its end; NULL if there is none in time. */
static const char *vmgexit_read_line(size_t *length)
{
    char *line = vmgexit_peer.line;
    size_t searched = 0;

    memmove(line, line + vmgexit_peer.used, vmgexit_peer.length - vmgexit_peer.used);
    vmgexit_peer.length -= vmgexit_peer.used;
    vmgexit_peer.used = 0;
    for (;;) {
        struct pollfd ready = { .fd = vmgexit_peer.from, .events = POLLIN };
        const size_t room = sizeof vmgexit_peer.line - vmgexit_peer.length;
        const char *end = memchr(line + searched, '\n', vmgexit_peer.length - searched);
        ssize_t more;

        if (end) {
            *length = (size_t)(end - line);
            vmgexit_peer.used = *length + 1;
            return line;
        }
        searched = vmgexit_peer.length;
        if (!room || poll(&ready, 1, VMGEXIT_PATIENCE) <= 0)
            return NULL;
        more = read(vmgexit_peer.from, line + vmgexit_peer.length, room);
        if (more <= 0)
            return NULL;
        vmgexit_peer.length += (size_t)more;
    }
}

/* Write a line. An adapter that has ended may have answered before: whether it reads it is not asked. */
static void vmgexit_write_line(const char *text)
{
    size_t left = strlen(text);
    ssize_t written = 1;

    while (left && (written = write(vmgexit_peer.to, text, left)) > 0) {
        text += written;
        left -= (size_t)written;
    }
    if (written > 0)
        written = write(vmgexit_peer.to, "\n", 1);
}

/* Start the adapter, and read its hello; false where that fails. */
static bool vmgexit_start_peer(void)
{
    int to[2], from[2];
    size_t length;

    if (vmgexit_peer.pid)
        return true;
    vmgexit_peer.length = vmgexit_peer.used = 0;
    if (pipe(to) || pipe(from))
        return false;
    vmgexit_peer.pid = fork();
    if (vmgexit_peer.pid < 0) {
        vmgexit_peer.pid = 0;
        return false;
    }
    if (!vmgexit_peer.pid) {
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        close(to[0]);
        close(to[1]);
        close(from[0]);
        close(from[1]);
        execl("/bin/sh", "sh", "-c", "eval \"exec $VMGEXIT_PEER\"", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    vmgexit_peer.to = to[1];
    vmgexit_peer.from = from[0];
    return vmgexit_read_line(&length) != NULL;
}

/* The answer to a line; NULL where there is none. The adapter is started where it does not run. */
static const char *vmgexit_ask_peer(const char *command, size_t *length)
{
    signal(SIGPIPE, SIG_IGN);
    if (!vmgexit_start_peer())
        return NULL;
    vmgexit_write_line(command);
    return vmgexit_read_line(length);
}

#endif /* VMGEXIT_PEER_H */

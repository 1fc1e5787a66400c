/* The adapter as a process: lines from standard input, an answer to each on standard output. */
#ifndef VMGEXIT_LINES_H
#define VMGEXIT_LINES_H

#include "vmgexit_json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VMGEXIT_VERSION 2 /* of the page specs/peer-protocol.md */

static struct vmgexit_answer vmgexit_answer;

static inline void vmgexit_begin_answer(void)
{
    vmgexit_empty(&vmgexit_answer);
    vmgexit_open(&vmgexit_answer, '{');
}

static inline void vmgexit_send_answer(void)
{
    vmgexit_close(&vmgexit_answer, '}');
    if (vmgexit_answer.is_full) {
        fputs("vmgexit kit: an answer of more than 1 MiB\n", stderr);
        exit(3);
    }
    vmgexit_answer.data[vmgexit_answer.length++] = '\n';
    fwrite(vmgexit_answer.data, 1, vmgexit_answer.length, stdout);
}

static inline void vmgexit_only(const char *key, const char *text)
{
    vmgexit_begin_answer();
    vmgexit_text(&vmgexit_answer, key, text);
    vmgexit_send_answer();
}

/* What every hello says; the profile may be NULL. */
static inline void vmgexit_begin_hello(const char *name, const char *profile)
{
    vmgexit_begin_answer();
    vmgexit_number(&vmgexit_answer, "vmgexit", VMGEXIT_VERSION);
    vmgexit_text(&vmgexit_answer, "name", name);
    if (profile)
        vmgexit_text(&vmgexit_answer, "profile", profile);
}

/* The next byte of standard input, or EOF. Before it waits for one, the answers are sent. */
static inline int vmgexit_next_byte(void)
{
    static uint8_t held[1 << 16];
    static size_t at, end;

    if (at == end) {
        ssize_t got;
        fflush(stdout);
        do
            got = read(STDIN_FILENO, held, sizeof held);
        while (got < 0 && errno == EINTR);
        if (got <= 0)
            return EOF;
        at = 0;
        end = (size_t)got;
    }
    return held[at++];
}

/* `answer` every line, for an SVSM or a host, until standard input ends. The exit code of `main`. */
static inline int vmgexit_answer_lines(void (*answer)(const void *of, const char *line, size_t length), const void *of)
{
    static char line[VMGEXIT_LONGEST_LINE];
    size_t length = 0;
    int letter;

    while ((letter = vmgexit_next_byte()) != EOF) {
        if (letter != '\n') {
            if (length < sizeof line)
                line[length] = (char)letter;
            length++; /* beyond its end a line is read, and not kept */
            continue;
        }
        if (length <= sizeof line)
            answer(of, line, length);
        else
            vmgexit_only("unsupported", "a line of more than 1 MiB");
        length = 0;
    }
    return 0;
}

#endif /* VMGEXIT_LINES_H */

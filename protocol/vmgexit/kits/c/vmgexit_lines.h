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
static bool vmgexit_is_quiet; /* answers are made, and not written */

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
    if (!vmgexit_is_quiet)
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

/* What a command in binary begins with; two bytes say of how many operations it is, of so many bytes. */
#define VMGEXIT_IN_BINARY 1
#define VMGEXIT_BINARY_HEAD 3
#define VMGEXIT_OPERATION 36

static bool vmgexit_takes_binary;

/* `answer` every line or command in binary, until standard input ends. The exit code of `main`. */
static inline int vmgexit_answer_lines(void (*answer)(const void *of, const char *line, size_t length), const void *of)
{
    static char line[VMGEXIT_LONGEST_LINE];
    size_t length = 0, wanted = 0; /* bytes of a command in binary; 0: to the end of the line */
    int letter;

    while ((letter = vmgexit_next_byte()) != EOF) {
        if (!length)
            wanted = vmgexit_takes_binary && letter == VMGEXIT_IN_BINARY ? VMGEXIT_BINARY_HEAD : 0;
        if (wanted || letter != '\n') {
            if (length < sizeof line)
                line[length] = (char)letter;
            length++; /* beyond its end a line is read, and not kept */
            if (wanted && length == VMGEXIT_BINARY_HEAD)
                wanted += VMGEXIT_OPERATION * ((uint8_t)line[1] | (size_t)(uint8_t)line[2] << 8);
            if (!wanted || length < wanted)
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

/* How an implementation stops: the answer is that, and the adapter ends, or stays and says so until the next `init`. */
#ifndef VMGEXIT_STOPS_H
#define VMGEXIT_STOPS_H

#include "vmgexit_lines.h"
#include <setjmp.h>

#if defined(__GNUC__) /* within a function with setjmp its variables would not be safe */
#define VMGEXIT_NOT_INLINE __attribute__((noinline))
#else
#define VMGEXIT_NOT_INLINE
#endif

static struct {
    const char *kind; /* NULL: it runs */
    char text[256];
    jmp_buf left;
} vmgexit_stop;

/* Leave the implementation for good. */
static inline _Noreturn void vmgexit_stop_by(const char *kind, const char *text)
{
    vmgexit_stop.kind = kind;
    snprintf(vmgexit_stop.text, sizeof vmgexit_stop.text, "%s", text);
    longjmp(vmgexit_stop.left, 1);
}

/* Begin an answer. After a stop only `init` has one of its own. */
static inline void vmgexit_begin_unless_stopped(bool is_init)
{
    if (is_init)
        vmgexit_stop.kind = NULL;
    if (vmgexit_stop.kind)
        longjmp(vmgexit_stop.left, 1);
    vmgexit_begin_answer();
}

/* An assertion failed. */
_Noreturn void vmgexit_panic(const char *text)
{
    vmgexit_stop_by("panic", text);
}

#endif /* VMGEXIT_STOPS_H */

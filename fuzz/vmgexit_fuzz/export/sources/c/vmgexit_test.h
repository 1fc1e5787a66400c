/*
 * Tests that drive an adapter: each command of a scenario is written, and its answer is compared.
 *
 * Output is TAP. What an adapter does not support skips the rest of a test. The adapter is started again after
 * a stop and after a failure.
 */
#ifndef VMGEXIT_TEST_H
#define VMGEXIT_TEST_H

#include "vmgexit_peer.h"

struct vmgexit_step {
    const char *command, *answer;
};

struct vmgexit_test {
    const char *name;
    const struct vmgexit_step *steps;
    size_t count;
};

/* The test of a scenario `test_NAME`. */
#define VMGEXIT_TEST(name) { #name, test_##name, sizeof test_##name / sizeof test_##name[0] }

static struct vmgexit_document vmgexit_found, vmgexit_expected;

/* The step that is under way. */
static struct {
    const char *test, *command;
    size_t step;
} vmgexit_now;

/* Begin a line that says what is wrong with the step. */
static void vmgexit_begin_complaint(void)
{
    printf("# %s, step %u, %.200s: ", vmgexit_now.test, (unsigned)vmgexit_now.step, vmgexit_now.command);
}

/* --- comparing ---------------------------------------------------------------------------------- */

/* Where the answers differ: keys joined by dots. */
struct vmgexit_place {
    char path[256];
};

static struct vmgexit_place vmgexit_inside(const struct vmgexit_place *place, const char *key)
{
    struct vmgexit_place inside;

    snprintf(inside.path, sizeof inside.path, "%.128s%s%.120s", place->path, *place->path ? "." : "", key);
    return inside;
}

static void vmgexit_show(const struct vmgexit_json *value)
{
    if (!value)
        printf("nothing");
    else if (value->kind == VMGEXIT_JSON_TEXT)
        printf("\"%.*s\"", value->length < 64 ? (int)value->length : 64, value->text);
    else if (value->kind == VMGEXIT_JSON_NUMBER)
        printf("%.*s", (int)value->length, value->text);
    else if (value->kind == VMGEXIT_JSON_FLAG)
        printf("%s", value->number ? "true" : "false");
    else if (value->kind == VMGEXIT_JSON_OTHER)
        printf("null");
    else
        printf("%s of %u", value->kind == VMGEXIT_JSON_LIST ? "a list" : "an object", (unsigned)value->number);
}

static bool vmgexit_differs(const struct vmgexit_place *place, const struct vmgexit_json *found,
                            const struct vmgexit_json *expected)
{
    vmgexit_begin_complaint();
    printf("%s: ", place->path);
    vmgexit_show(found);
    printf(" found, ");
    vmgexit_show(expected);
    printf(" expected\n");
    return false;
}

static bool vmgexit_same(const struct vmgexit_place *place, const struct vmgexit_json *found,
                         const struct vmgexit_json *expected, bool in_part);

/* The key of an object's member as a string of its own. */
static const char *vmgexit_key_of(const struct vmgexit_json *key, char into[64])
{
    snprintf(into, 64, "%.*s", (int)(key->length < 63 ? key->length : 63), key->text);
    return into;
}

static bool vmgexit_same_members(const struct vmgexit_place *place, const struct vmgexit_json *found,
                                 const struct vmgexit_json *expected, bool in_part)
{
    const struct vmgexit_json *key = expected + 1, *end = &vmgexit_expected.values[expected->next];
    char name[64];

    for (; key < end; key = &vmgexit_expected.values[key[1].next]) {
        const struct vmgexit_place inside = vmgexit_inside(place, vmgexit_key_of(key, name));
        const struct vmgexit_json *given = vmgexit_member(&vmgexit_found, found, name);

        if (!given && in_part)
            continue;
        if (!given)
            return vmgexit_differs(&inside, NULL, key + 1);
        if (!vmgexit_same(&inside, given, key + 1, in_part))
            return false;
    }
    end = &vmgexit_found.values[found->next];
    for (key = found + 1; key < end; key = &vmgexit_found.values[key[1].next]) {
        const struct vmgexit_place inside = vmgexit_inside(place, vmgexit_key_of(key, name));

        if (vmgexit_is(key, "hits") || vmgexit_is(key, "unsupported"))
            continue;
        if (!vmgexit_member(&vmgexit_expected, expected, name))
            return vmgexit_differs(&inside, key + 1, NULL);
    }
    return true;
}

static bool vmgexit_same_items(const struct vmgexit_place *place, const struct vmgexit_json *found,
                               const struct vmgexit_json *expected, bool in_part)
{
    const struct vmgexit_json *ours = found + 1, *theirs = expected + 1;
    char number[24];

    if (found->number != expected->number)
        return vmgexit_differs(place, found, expected);
    for (uint64_t i = 0; i < expected->number; i++) {
        struct vmgexit_place inside;

        snprintf(number, sizeof number, "%u", (unsigned)i);
        inside = vmgexit_inside(place, number);
        if (!vmgexit_same(&inside, ours, theirs, in_part))
            return false;
        ours = &vmgexit_found.values[ours->next];
        theirs = &vmgexit_expected.values[theirs->next];
    }
    return true;
}

/* Whether a value is the one expected; if not, where and how it differs is printed. */
static bool vmgexit_same(const struct vmgexit_place *place, const struct vmgexit_json *found,
                         const struct vmgexit_json *expected, bool in_part)
{
    bool is_same;

    if (found->kind != expected->kind)
        return vmgexit_differs(place, found, expected);
    switch (expected->kind) {
    case VMGEXIT_JSON_OBJECT:
        return vmgexit_same_members(place, found, expected, in_part);
    case VMGEXIT_JSON_LIST:
        return vmgexit_same_items(place, found, expected, in_part);
    case VMGEXIT_JSON_TEXT:
        is_same = found->length == expected->length && memcmp(found->text, expected->text, found->length) == 0;
        return is_same || vmgexit_differs(place, found, expected);
    default:
        return found->number == expected->number || vmgexit_differs(place, found, expected);
    }
}

static bool vmgexit_has(const struct vmgexit_document *document, const char *key)
{
    return vmgexit_member(document, &document->values[0], key) != NULL;
}

/* --- running ------------------------------------------------------------------------------------ */

enum vmgexit_verdict { VMGEXIT_SAME, VMGEXIT_FAILED, VMGEXIT_UNSUPPORTED, VMGEXIT_STOPPED };

/* The verdict on the answer to one command. Where it failed, a line says why. */
static enum vmgexit_verdict vmgexit_compare(const char *line, size_t length, const char *expected)
{
    const struct vmgexit_place place = { "" };
    bool is_stop;

    vmgexit_read(&vmgexit_expected, expected, strlen(expected));
    if (!vmgexit_read(&vmgexit_found, line, length)) {
        vmgexit_begin_complaint();
        printf("%.*s found, a JSON object expected\n", (int)(length < 64 ? length : 64), line);
        return VMGEXIT_FAILED;
    }
    is_stop = vmgexit_has(&vmgexit_found, "panic") || vmgexit_has(&vmgexit_found, "terminated");
    if (vmgexit_has(&vmgexit_expected, "panic") && is_stop)
        return VMGEXIT_STOPPED;
    if (vmgexit_has(&vmgexit_expected, "terminated") && vmgexit_has(&vmgexit_found, "terminated"))
        return VMGEXIT_STOPPED;
    if (vmgexit_has(&vmgexit_found, "unsupported") && vmgexit_found.values[0].number == 1)
        return VMGEXIT_UNSUPPORTED;
    return vmgexit_same(&place, &vmgexit_found.values[0], &vmgexit_expected.values[0],
                        vmgexit_has(&vmgexit_found, "unsupported"))
               ? VMGEXIT_SAME
               : VMGEXIT_FAILED;
}

static enum vmgexit_verdict vmgexit_run_test(const struct vmgexit_test *test)
{
    enum vmgexit_verdict verdict = VMGEXIT_SAME;

    vmgexit_now.test = test->name;
    for (size_t i = 0; i < test->count && verdict == VMGEXIT_SAME; i++) {
        const struct vmgexit_step *step = &test->steps[i];
        const char *line;
        size_t length;

        vmgexit_now.step = i;
        vmgexit_now.command = step->command;
        line = vmgexit_ask_peer(step->command, &length);
        if (!line) {
            vmgexit_begin_complaint();
            puts("no answer");
            return VMGEXIT_FAILED;
        }
        verdict = vmgexit_compare(line, length, step->answer);
    }
    return verdict;
}

/* Run all tests; the exit code of `main`: 1 where one failed, 2 without an adapter. */
static int vmgexit_run_tests(const struct vmgexit_test *tests, size_t count)
{
    int code = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!getenv("VMGEXIT_PEER")) {
        puts("Bail out! VMGEXIT_PEER is to be the command of an adapter");
        return 2;
    }
    printf("TAP version 13\n1..%u\n", (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        const enum vmgexit_verdict verdict = vmgexit_run_test(&tests[i]);

        if (verdict == VMGEXIT_FAILED)
            code = 1;
        if (verdict == VMGEXIT_FAILED || verdict == VMGEXIT_STOPPED)
            vmgexit_end_peer();
        printf("%sok %u - %s", verdict == VMGEXIT_FAILED ? "not " : "", (unsigned)i + 1, tests[i].name);
        if (verdict == VMGEXIT_UNSUPPORTED)
            printf(" # SKIP not supported: step %u, %.100s", (unsigned)vmgexit_now.step, vmgexit_now.command);
        puts("");
    }
    vmgexit_end_peer();
    return code;
}

#endif /* VMGEXIT_TEST_H */

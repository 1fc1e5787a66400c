/*
 * How a line becomes a command: each argument is held against its description, which is a row of a table.
 *
 * A line that is no command as its description wants it is not taken: the adapter answers that it does not
 * support it, and nothing has changed.
 */
#ifndef VMGEXIT_READING_H
#define VMGEXIT_READING_H

#include "vmgexit_json.h"

#define VMGEXIT_ALWAYS ((size_t)-1)
#define VMGEXIT_BY_HOST 0 /* in the place of a VMPL */

enum vmgexit_kind {
    VMGEXIT_KIND_NUMBER,  /* uint64_t */
    VMGEXIT_KIND_FLAG,    /* bool */
    VMGEXIT_KIND_CHOICE,  /* an enumeration: which of the names */
    VMGEXIT_KIND_WHOM,    /* uint64_t: a VMPL, or VMGEXIT_BY_HOST */
    VMGEXIT_KIND_BYTES,   /* struct vmgexit_bytes */
    VMGEXIT_KIND_NUMBERS, /* struct vmgexit_numbers */
    VMGEXIT_KIND_OBJECTS, /* a list of objects, each with all arguments of `each` */
    VMGEXIT_KIND_ROWS,    /* a list of lists, each with a value for all arguments of `each` */
    VMGEXIT_KIND_PREPARED, /* a list of answers of the secure processor: a kind, an error, RBX, a status */
    VMGEXIT_KIND_ROW,     /* one such list */
};

struct vmgexit_argument {
    const char *name;
    enum vmgexit_kind kind;
    size_t at, given; /* offsets of the value, and of whether it is there (VMGEXIT_ALWAYS: it has to be) */
    bool or_null;     /* null is as if it were not there */
    uint64_t least, most; /* of a number; of bytes, how many */
    const char *const *names;
    const struct vmgexit_argument *each;
    size_t each_count, each_size; /* arguments of an element, and bytes of its structure */
};

struct vmgexit_bytes {
    size_t count;
    const uint8_t *at;
};

struct vmgexit_numbers {
    size_t count;
    const uint64_t *at;
};

/* A list as the reader sees it; every list's structure is laid out as this one. */
struct vmgexit_list {
    size_t count;
    const void *at;
};

/* The line that is read, and room for the lists of its command. */
struct vmgexit_reader {
    struct vmgexit_document document;
    uint64_t room[1 << 17];
    size_t used;
    bool has_wrapped; /* in binary: a number was beyond its limits */
};

static inline bool vmgexit_take_given(struct vmgexit_reader *reader, const struct vmgexit_json *value,
                                      const struct vmgexit_argument *argument, uint8_t *into);

static inline void *vmgexit_room(struct vmgexit_reader *reader, size_t bytes)
{
    size_t words = (bytes + 7) / 8;
    void *room = &reader->room[reader->used];

    if (words > sizeof reader->room / 8 - reader->used)
        return NULL;
    reader->used += words;
    return memset(room, 0, bytes);
}

static inline int vmgexit_digit(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    if (letter >= 'a' && letter <= 'f')
        return letter - 'a' + 10;
    return letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 : -1;
}

static inline bool vmgexit_take_bytes(struct vmgexit_reader *reader, const struct vmgexit_json *value,
                                      const struct vmgexit_argument *argument, uint8_t *into)
{
    struct vmgexit_list bytes = { .count = value->length / 2 };
    uint8_t *room;

    if (value->kind != VMGEXIT_JSON_TEXT || value->length % 2 || bytes.count < argument->least ||
        bytes.count > argument->most || !(room = vmgexit_room(reader, bytes.count)))
        return false;
    for (size_t i = 0; i < bytes.count; i++) {
        int high = vmgexit_digit(value->text[2 * i]), low = vmgexit_digit(value->text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        room[i] = (uint8_t)(high << 4 | low);
    }
    bytes.at = room;
    memcpy(into, &bytes, sizeof bytes);
    return true;
}

/* An element of a list of structures: by its keys, or in the arguments' order. */
static inline bool vmgexit_take_row(struct vmgexit_reader *reader, const struct vmgexit_json *value,
                                    const struct vmgexit_argument *argument, bool has_keys, uint8_t *into)
{
    const struct vmgexit_json *next = value + 1;

    if (value->kind != (has_keys ? VMGEXIT_JSON_OBJECT : VMGEXIT_JSON_LIST) || value->number != argument->each_count)
        return false;
    for (size_t i = 0; i < argument->each_count; i++) {
        const struct vmgexit_argument *one = &argument->each[i];
        const struct vmgexit_json *found =
            has_keys ? vmgexit_member(&reader->document, value, one->name) : next;
        if (!found || !vmgexit_take_given(reader, found, one, into))
            return false;
        next = &reader->document.values[next->next];
    }
    return true;
}

/* Which of an argument's names a text is, or -1. */
static inline int vmgexit_which(const struct vmgexit_json *value, const struct vmgexit_argument *argument)
{
    for (int i = 0; argument->names[i]; i++) {
        if (vmgexit_is(value, argument->names[i]))
            return i;
    }
    return -1;
}

/* An answer of the secure processor: a word, an error of the host, or a status. */
static inline bool vmgexit_take_prepared(struct vmgexit_reader *reader, const struct vmgexit_json *value,
                                         const struct vmgexit_argument *each, uint8_t *into)
{
    const struct vmgexit_document *document = &reader->document;
    const struct vmgexit_json *err, *rbx, *status;

    if (value->kind == VMGEXIT_JSON_TEXT)
        return !vmgexit_is(value, "err") && !vmgexit_is(value, "status") &&
               vmgexit_take_given(reader, value, &each[0], into);
    if (value->kind != VMGEXIT_JSON_OBJECT)
        return false;
    err = vmgexit_member(document, value, "err");
    rbx = vmgexit_member(document, value, "rbx");
    status = vmgexit_member(document, value, "status");
    if (status) /* before a value stands its key */
        return value->number == 1 && vmgexit_take_given(reader, status - 1, &each[0], into) &&
               vmgexit_take_given(reader, status, &each[3], into);
    return err && rbx && value->number == 2 && vmgexit_take_given(reader, err - 1, &each[0], into) &&
           vmgexit_take_given(reader, err, &each[1], into) && vmgexit_take_given(reader, rbx, &each[2], into);
}

static inline bool vmgexit_take_list(struct vmgexit_reader *reader, const struct vmgexit_json *value,
                                     const struct vmgexit_argument *argument, uint8_t *into)
{
    const bool is_numbers = argument->kind == VMGEXIT_KIND_NUMBERS;
    const size_t size = is_numbers ? sizeof(uint64_t) : argument->each_size;
    struct vmgexit_list list = { .count = (size_t)value->number };
    const struct vmgexit_json *next = value + 1;
    uint8_t *room;

    if (value->kind != VMGEXIT_JSON_LIST || !(room = vmgexit_room(reader, list.count * size)))
        return false;
    for (size_t i = 0; i < list.count; i++) {
        uint8_t *element = room + i * size;
        if (is_numbers) {
            if (next->kind != VMGEXIT_JSON_NUMBER || next->number < argument->least || next->number > argument->most)
                return false;
            memcpy(element, &next->number, size);
        } else if (argument->kind == VMGEXIT_KIND_PREPARED
                       ? !vmgexit_take_prepared(reader, next, argument->each, element)
                       : !vmgexit_take_row(reader, next, argument, argument->kind == VMGEXIT_KIND_OBJECTS, element)) {
            return false;
        }
        next = &reader->document.values[next->next];
    }
    list.at = room;
    memcpy(into, &list, sizeof list);
    return true;
}

static inline bool vmgexit_take_argument(struct vmgexit_reader *reader, const struct vmgexit_json *value,
                                         const struct vmgexit_argument *argument, uint8_t *into)
{
    uint8_t *place = into + argument->at;
    const bool is_number = value->kind == VMGEXIT_JSON_NUMBER && value->number >= argument->least &&
                           value->number <= argument->most;
    bool flag;
    unsigned which;

    switch (argument->kind) {
    case VMGEXIT_KIND_NUMBER:
        if (is_number)
            memcpy(place, &value->number, sizeof value->number);
        return is_number;
    case VMGEXIT_KIND_FLAG:
        flag = value->number != 0;
        if (value->kind == VMGEXIT_JSON_FLAG)
            memcpy(place, &flag, sizeof flag);
        return value->kind == VMGEXIT_JSON_FLAG;
    case VMGEXIT_KIND_CHOICE:
        which = (unsigned)vmgexit_which(value, argument);
        memcpy(place, &which, sizeof which);
        return (int)which >= 0;
    case VMGEXIT_KIND_BYTES:
        return vmgexit_take_bytes(reader, value, argument, place);
    case VMGEXIT_KIND_WHOM:
        if (is_number)
            memcpy(place, &value->number, sizeof value->number);
        return is_number || vmgexit_is(value, "host"); /* which is zero */
    case VMGEXIT_KIND_ROW:
        return vmgexit_take_row(reader, value, argument, false, place);
    default:
        return vmgexit_take_list(reader, value, argument, place);
    }
}

/* An argument that is there, unless it is null where it may be. */
static inline bool vmgexit_take_given(struct vmgexit_reader *reader, const struct vmgexit_json *value,
                                      const struct vmgexit_argument *argument, uint8_t *into)
{
    const bool is_given = true;

    if (argument->or_null && value->kind == VMGEXIT_JSON_OTHER && !value->text)
        return true;
    if (argument->given != VMGEXIT_ALWAYS)
        memcpy(into + argument->given, &is_given, sizeof is_given);
    return vmgexit_take_argument(reader, value, argument, into);
}

/* The arguments of a command, all that are needed and no other one. `into` was zero. */
static inline bool vmgexit_take_arguments(struct vmgexit_reader *reader, const struct vmgexit_argument *arguments,
                                          size_t count, uint8_t *into)
{
    const struct vmgexit_json *object = &reader->document.values[0];
    uint64_t found = 1; /* `op` */

    reader->used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct vmgexit_argument *argument = &arguments[i];
        const struct vmgexit_json *value = vmgexit_member(&reader->document, object, argument->name);
        if (value) {
            found++;
            if (!vmgexit_take_given(reader, value, argument, into))
                return false;
        } else if (argument->given == VMGEXIT_ALWAYS) {
            return false;
        }
    }
    return found == object->number;
}

#endif /* VMGEXIT_READING_H */

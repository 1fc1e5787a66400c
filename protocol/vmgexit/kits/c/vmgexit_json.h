/*
 * JSON as the peer protocol uses it: one value a line, numbers from 0 to 2^64 - 1, text without escapes.
 *
 * The reader takes any bytes. What is no such JSON, is nested more than VMGEXIT_DEEPEST deep, or has more
 * than VMGEXIT_MOST_VALUES values is refused as a whole. Nothing is allocated.
 */
#ifndef VMGEXIT_JSON_H
#define VMGEXIT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VMGEXIT_LONGEST_LINE (1u << 20)
#define VMGEXIT_MOST_VALUES (1u << 16)
#define VMGEXIT_DEEPEST 8

/* --- reading ------------------------------------------------------------------------------------ */

enum vmgexit_json_kind {
    VMGEXIT_JSON_OTHER, /* null, or a number that is negative, too large, or not whole */
    VMGEXIT_JSON_FLAG,
    VMGEXIT_JSON_NUMBER,
    VMGEXIT_JSON_TEXT,
    VMGEXIT_JSON_LIST,
    VMGEXIT_JSON_OBJECT,
};

/* A value. What a list or an object holds follows it in the document, up to `next`. */
struct vmgexit_json {
    enum vmgexit_json_kind kind;
    uint32_t next;
    uint64_t number;  /* or 0 and 1 for a flag, or how many a list holds */
    const char *text; /* as it stands in the line, without quotation marks */
    size_t length;
};

struct vmgexit_document {
    struct vmgexit_json values[VMGEXIT_MOST_VALUES];
    uint32_t count;
    const char *at, *end;
};

static inline void vmgexit_skip_space(struct vmgexit_document *document)
{
    while (document->at < document->end && (*document->at == ' ' || *document->at == '\t' || *document->at == '\r'))
        document->at++;
}

static inline bool vmgexit_next_is(struct vmgexit_document *document, char letter)
{
    vmgexit_skip_space(document);
    if (document->at >= document->end || *document->at != letter)
        return false;
    document->at++;
    return true;
}

static inline struct vmgexit_json *vmgexit_json_new(struct vmgexit_document *document, enum vmgexit_json_kind kind)
{
    struct vmgexit_json *value;

    if (document->count >= VMGEXIT_MOST_VALUES)
        return NULL;
    value = &document->values[document->count++];
    *value = (struct vmgexit_json){ .kind = kind, .next = document->count };
    return value;
}

/* What stands between two quotation marks, the first of which was read. An escape is refused. */
static inline bool vmgexit_read_text(struct vmgexit_document *document)
{
    struct vmgexit_json *value = vmgexit_json_new(document, VMGEXIT_JSON_TEXT);
    const char *start = document->at;

    if (!value)
        return false;
    while (document->at < document->end && *document->at != '"') {
        unsigned char letter = (unsigned char)*document->at++;
        if (letter < 0x20 || letter >= 0x7f || letter == '\\')
            return false;
    }
    if (document->at >= document->end)
        return false;
    value->text = start;
    value->length = (size_t)(document->at++ - start);
    return true;
}

static inline bool vmgexit_is_digit(const struct vmgexit_document *document)
{
    return document->at < document->end && *document->at >= '0' && *document->at <= '9';
}

static inline bool vmgexit_read_number(struct vmgexit_document *document)
{
    struct vmgexit_json *value = vmgexit_json_new(document, VMGEXIT_JSON_NUMBER);
    bool starts_with_zero;

    if (!value || !vmgexit_is_digit(document))
        return false;
    starts_with_zero = *document->at == '0';
    value->text = document->at;
    while (vmgexit_is_digit(document)) {
        unsigned digit = (unsigned)(*document->at++ - '0');
        if (value->number > (UINT64_MAX - digit) / 10)
            value->kind = VMGEXIT_JSON_OTHER;
        value->number = value->number * 10 + digit;
    }
    value->length = (size_t)(document->at - value->text);
    return !starts_with_zero || value->length == 1;
}

static inline bool vmgexit_read_word(struct vmgexit_document *document, const char *word,
                                     enum vmgexit_json_kind kind, uint64_t number)
{
    size_t length = strlen(word);
    struct vmgexit_json *value;

    if ((size_t)(document->end - document->at) < length || memcmp(document->at, word, length) != 0)
        return false;
    value = vmgexit_json_new(document, kind);
    if (!value)
        return false;
    value->number = number;
    document->at += length;
    return true;
}

static inline bool vmgexit_read_value(struct vmgexit_document *document, unsigned depth);

/* The values up to the closing bracket; in an object each has a key before it. */
static inline bool vmgexit_read_held(struct vmgexit_document *document, bool is_object, unsigned depth)
{
    char closing = is_object ? '}' : ']';
    struct vmgexit_json *holder =
        vmgexit_json_new(document, is_object ? VMGEXIT_JSON_OBJECT : VMGEXIT_JSON_LIST);

    if (!holder || depth >= VMGEXIT_DEEPEST)
        return false;
    if (!vmgexit_next_is(document, closing)) {
        do {
            if (is_object && !(vmgexit_next_is(document, '"') && vmgexit_read_text(document) &&
                               vmgexit_next_is(document, ':')))
                return false;
            if (!vmgexit_read_value(document, depth + 1))
                return false;
            holder->number++;
        } while (vmgexit_next_is(document, ','));
        if (!vmgexit_next_is(document, closing))
            return false;
    }
    holder->next = document->count;
    return true;
}

static inline bool vmgexit_read_value(struct vmgexit_document *document, unsigned depth)
{
    vmgexit_skip_space(document);
    if (document->at >= document->end)
        return false;
    switch (*document->at) {
    case '{':
    case '[':
        document->at++;
        return vmgexit_read_held(document, document->at[-1] == '{', depth);
    case '"':
        document->at++;
        return vmgexit_read_text(document);
    case 't':
        return vmgexit_read_word(document, "true", VMGEXIT_JSON_FLAG, 1);
    case 'f':
        return vmgexit_read_word(document, "false", VMGEXIT_JSON_FLAG, 0);
    case 'n':
        return vmgexit_read_word(document, "null", VMGEXIT_JSON_OTHER, 0);
    default:
        return vmgexit_read_number(document);
    }
}

/* Whether the line is one object; its value is values[0]. */
static inline bool vmgexit_read(struct vmgexit_document *document, const char *line, size_t length)
{
    document->count = 0;
    document->at = line;
    document->end = line + length;
    if (!vmgexit_read_value(document, 0))
        return false;
    vmgexit_skip_space(document);
    return document->at == document->end && document->values[0].kind == VMGEXIT_JSON_OBJECT;
}

static inline bool vmgexit_is(const struct vmgexit_json *value, const char *text)
{
    return value->kind == VMGEXIT_JSON_TEXT && value->length == strlen(text) &&
           memcmp(value->text, text, value->length) == 0;
}

/* The value of a key of an object, or NULL: of a key that is not there, or is there twice. */
static inline const struct vmgexit_json *vmgexit_member(const struct vmgexit_document *document,
                                                        const struct vmgexit_json *object, const char *key)
{
    const struct vmgexit_json *found = NULL;
    uint32_t at = (uint32_t)(object - document->values) + 1;

    while (at < object->next) {
        const struct vmgexit_json *value = &document->values[at + 1];
        if (vmgexit_is(&document->values[at], key)) {
            if (found)
                return NULL;
            found = value;
        }
        at = value->next;
    }
    return found;
}

/* --- writing ------------------------------------------------------------------------------------ */

/* An answer while it is written. What does not fit sets `is_full`. */
struct vmgexit_answer {
    char data[VMGEXIT_LONGEST_LINE + 1];
    size_t length;
    bool is_full;
    bool needs_comma;
};

static inline void vmgexit_empty(struct vmgexit_answer *answer)
{
    answer->length = 0;
    answer->is_full = answer->needs_comma = false;
}

static inline void vmgexit_put_raw(struct vmgexit_answer *answer, const char *data, size_t length)
{
    if (length > VMGEXIT_LONGEST_LINE - answer->length) {
        answer->is_full = true;
        return;
    }
    memcpy(answer->data + answer->length, data, length);
    answer->length += length;
}

static inline void vmgexit_separate(struct vmgexit_answer *answer)
{
    if (answer->needs_comma)
        vmgexit_put_raw(answer, ", ", 2);
    answer->needs_comma = true;
}

static inline void vmgexit_open(struct vmgexit_answer *answer, char bracket)
{
    vmgexit_separate(answer);
    vmgexit_put_raw(answer, &bracket, 1);
    answer->needs_comma = false;
}

static inline void vmgexit_close(struct vmgexit_answer *answer, char bracket)
{
    vmgexit_put_raw(answer, &bracket, 1);
    answer->needs_comma = true;
}

/* Text in quotation marks; what JSON would escape becomes a question mark. */
static inline void vmgexit_put_text(struct vmgexit_answer *answer, const char *text)
{
    vmgexit_separate(answer);
    vmgexit_put_raw(answer, "\"", 1);
    for (; *text; text++) {
        unsigned char letter = (unsigned char)*text;
        bool is_plain = letter >= 0x20 && letter < 0x7f && letter != '"' && letter != '\\';
        vmgexit_put_raw(answer, is_plain ? text : "?", 1);
    }
    vmgexit_put_raw(answer, "\"", 1);
}

static inline void vmgexit_put_number(struct vmgexit_answer *answer, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    vmgexit_separate(answer);
    vmgexit_put_raw(answer, digits + at, sizeof digits - at);
}

static inline void vmgexit_put_flag(struct vmgexit_answer *answer, bool flag)
{
    vmgexit_separate(answer);
    vmgexit_put_raw(answer, flag ? "true" : "false", flag ? 4 : 5);
}

static inline void vmgexit_put_null(struct vmgexit_answer *answer)
{
    vmgexit_separate(answer);
    vmgexit_put_raw(answer, "null", 4);
}

static inline void vmgexit_put_hex(struct vmgexit_answer *answer, const uint8_t *bytes, size_t count)
{
    vmgexit_separate(answer);
    vmgexit_put_raw(answer, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        char pair[2] = { "0123456789abcdef"[bytes[i] >> 4], "0123456789abcdef"[bytes[i] & 15] };
        vmgexit_put_raw(answer, pair, 2);
    }
    vmgexit_put_raw(answer, "\"", 1);
}

static inline void vmgexit_key(struct vmgexit_answer *answer, const char *key)
{
    vmgexit_put_text(answer, key);
    vmgexit_put_raw(answer, ": ", 2);
    answer->needs_comma = false;
}

static inline void vmgexit_number(struct vmgexit_answer *answer, const char *key, uint64_t number)
{
    vmgexit_key(answer, key);
    vmgexit_put_number(answer, number);
}

static inline void vmgexit_flag(struct vmgexit_answer *answer, const char *key, bool flag)
{
    vmgexit_key(answer, key);
    vmgexit_put_flag(answer, flag);
}

static inline void vmgexit_text(struct vmgexit_answer *answer, const char *key, const char *text)
{
    vmgexit_key(answer, key);
    vmgexit_put_text(answer, text);
}

#endif /* VMGEXIT_JSON_H */

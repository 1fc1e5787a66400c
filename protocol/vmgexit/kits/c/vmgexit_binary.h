/*
 * Commands in binary: operations of 36 bytes, as specs/peer-protocol.md describes them.
 *
 * Every byte string is a program of such operations: numbers beyond their limits wrap, and a part of an
 * operation at the end means nothing. So a fuzzer may do to them what it likes.
 */
#ifndef VMGEXIT_BINARY_H
#define VMGEXIT_BINARY_H

#include "vmgexit_places.h"

#define VMGEXIT_PIECE_BYTES (VMGEXIT_OPERATION - VMGEXIT_BYTES_AT)
#define VMGEXIT_MOST_VCPUS_IN_BINARY 16

static inline unsigned vmgexit_code(const uint8_t *operation)
{
    return operation[0] % VMGEXIT_CODES;
}

/* Which operation of the kit has a code; VMGEXIT_OPERATIONS: none. */
static inline unsigned vmgexit_of_code(unsigned code)
{
    unsigned i = 0;

    while (i < VMGEXIT_OPERATIONS && vmgexit_spellings[i].code != code)
        i++;
    return i;
}

/* Whether a code is that of a command, and not of a piece of one. */
static inline bool vmgexit_begins(unsigned code)
{
    return vmgexit_of_code(code) < VMGEXIT_OPERATIONS || (UINT64_C(1) << code & VMGEXIT_OTHER_CODES);
}

/* What stands in a place. */
static inline uint64_t vmgexit_spelled(struct vmgexit_position place, const uint8_t *operation)
{
    uint64_t number = 0;

    for (unsigned i = place.bytes; i--;)
        number = number << 8 | operation[place.at + i];
    return number;
}

static inline uint64_t vmgexit_wrapped(struct vmgexit_reader *reader, uint64_t number, uint64_t least, uint64_t most)
{
    if (number >= least && number <= most)
        return number;
    reader->has_wrapped = true;
    return (number - least) % (most - least + 1) + least;
}

/* Take an argument that stands in one operation, where it is given. `cpus` is the limit of a vCPU. */
static inline bool vmgexit_take_spelled(struct vmgexit_reader *reader, const struct vmgexit_argument *argument,
                                        struct vmgexit_position place, const uint8_t *operation, uint64_t cpus,
                                        uint8_t *into)
{
    uint64_t number = vmgexit_spelled(place, operation), most = argument->most;
    const bool is_given = true, flag = operation[VMGEXIT_FLAGS_AT] & place.flag;
    struct vmgexit_list bytes;
    unsigned which = 0;

    if (argument->given != VMGEXIT_ALWAYS) {
        if (place.given && !(operation[VMGEXIT_FLAGS_AT] & place.given))
            return true;
        memcpy(into + argument->given, &is_given, sizeof is_given);
    }
    into += argument->at;
    switch (argument->kind) {
    case VMGEXIT_KIND_FLAG:
        memcpy(into, &flag, sizeof flag);
        return true;
    case VMGEXIT_KIND_CHOICE:
        while (argument->names[which])
            which++;
        which = (unsigned)vmgexit_wrapped(reader, number, 0, which - 1);
        memcpy(into, &which, sizeof which);
        return true;
    case VMGEXIT_KIND_BYTES: /* zero until its pieces come */
        bytes.count = (size_t)(argument->least == most ? most : vmgexit_wrapped(reader, number, 0, most));
        bytes.at = vmgexit_room(reader, bytes.count);
        memcpy(into, &bytes, sizeof bytes);
        return bytes.at;
    case VMGEXIT_KIND_WHOM: /* the VMPLs, then the host */
        number = vmgexit_wrapped(reader, number, 0, most - argument->least + 1) + argument->least;
        number = number > most ? VMGEXIT_BY_HOST : number;
        break;
    default:
        if (!strcmp(argument->name, "cpu"))
            most = cpus - 1;
        else if (!strcmp(argument->name, "cpus"))
            most = VMGEXIT_MOST_VCPUS_IN_BINARY;
        number = vmgexit_wrapped(reader, number, argument->least, most);
    }
    memcpy(into, &number, sizeof number);
    return true;
}

/* Take what one piece holds of an argument: the element number `index` of a list, or all of it. */
static inline void vmgexit_take_piece(struct vmgexit_reader *reader, const struct vmgexit_argument *argument,
                                      struct vmgexit_position place, const uint8_t *operation, size_t index,
                                      uint8_t *into)
{
    struct vmgexit_list list;
    uint8_t *element;
    uint64_t number;
    size_t start;

    if (argument->kind < VMGEXIT_KIND_BYTES) {
        vmgexit_take_spelled(reader, argument, place, operation, 1, into);
        return;
    }
    memcpy(&list, into + argument->at, sizeof list);
    element = argument->kind == VMGEXIT_KIND_ROW ? into + argument->at : (uint8_t *)list.at;
    if (argument->kind == VMGEXIT_KIND_BYTES) {
        start = (list.count + VMGEXIT_PIECE_BYTES - 1) / VMGEXIT_PIECE_BYTES;
        start = operation[VMGEXIT_VECTOR_AT] % (start ? start : 1) * VMGEXIT_PIECE_BYTES;
        for (size_t i = 0; i < VMGEXIT_PIECE_BYTES && start + i < list.count; i++)
            element[start + i] = operation[VMGEXIT_BYTES_AT + i];
    } else if (argument->kind == VMGEXIT_KIND_NUMBERS) {
        number = vmgexit_spelled(place, operation);
        number = vmgexit_wrapped(reader, number, argument->least, argument->most);
        memcpy(element + index * sizeof number, &number, sizeof number);
    } else {
        for (size_t i = 0; i < argument->each_count; i++)
            vmgexit_take_spelled(reader, &argument->each[i], place.each[i], operation, 1,
                                 element + index * argument->each_size);
    }
}

/* Take an argument from the pieces that follow a command. */
static inline bool vmgexit_take_pieces(struct vmgexit_reader *reader, const struct vmgexit_argument *argument,
                                       struct vmgexit_position place, const uint8_t *pieces, size_t count, uint8_t *into)
{
    const bool is_list = argument->kind > VMGEXIT_KIND_BYTES && argument->kind != VMGEXIT_KIND_ROW;
    const bool is_given = true;
    struct vmgexit_list list = { 0 };
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        list.count += vmgexit_code(pieces + i * VMGEXIT_OPERATION) == place.piece;
    if (!list.count)
        return true;
    if (argument->kind > VMGEXIT_KIND_BYTES && argument->given != VMGEXIT_ALWAYS)
        memcpy(into + argument->given, &is_given, sizeof is_given);
    if (is_list) {
        list.at = vmgexit_room(reader, list.count * (argument->each_size ? argument->each_size : sizeof(uint64_t)));
        if (!list.at)
            return false;
        memcpy(into + argument->at, &list, sizeof list);
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t *piece = pieces + i * VMGEXIT_OPERATION;
        if (vmgexit_code(piece) == place.piece)
            vmgexit_take_piece(reader, argument, place, piece, is_list ? found++ : 0, into);
    }
    return true;
}

/* Whether the kit knows all that a command of `count` operations holds: its flags, and its pieces. */
static inline bool vmgexit_knows_all(unsigned which, const uint8_t *operations, size_t count)
{
    uint64_t pieces = 0;
    uint8_t flags = 0;

    for (size_t i = 0; i < vmgexit_operations[which].count; i++) {
        const struct vmgexit_position place = vmgexit_spellings[which].places[i];
        if (place.piece)
            pieces |= UINT64_C(1) << place.piece;
        else
            flags |= place.flag | place.given;
    }
    for (size_t i = 1; i < count; i++) {
        if (!(pieces >> vmgexit_code(operations + i * VMGEXIT_OPERATION) & 1))
            return false;
    }
    return !(operations[VMGEXIT_FLAGS_AT] & ~flags);
}

/* Read a command of `count` operations, at least one. */
static inline bool vmgexit_read_operations(struct vmgexit_reader *reader, const uint8_t *operations, size_t count,
                                           uint64_t cpus, unsigned which, struct vmgexit_command *command)
{
    uint8_t *into = (uint8_t *)&command->as;

    reader->used = 0;
    reader->has_wrapped = operations[0] >= VMGEXIT_CODES;
    memset(command, 0, sizeof *command);
    command->operation = (enum vmgexit_operation)which;
    for (size_t i = 0; i < vmgexit_operations[which].count; i++) {
        const struct vmgexit_argument *argument = &vmgexit_operations[which].arguments[i];
        const struct vmgexit_position place = vmgexit_spellings[which].places[i];
        const bool is_own = !place.piece || argument->kind == VMGEXIT_KIND_BYTES;
        if ((is_own && !vmgexit_take_spelled(reader, argument, place, operations, cpus, into)) ||
            (place.piece &&
             !vmgexit_take_pieces(reader, argument, place, operations + VMGEXIT_OPERATION, count - 1, into)))
            return false;
    }
    return true;
}

static inline bool vmgexit_is_among(const uint64_t *numbers, size_t count, uint64_t number)
{
    while (count--) {
        if (numbers[count] == number)
            return true;
    }
    return false;
}

/* Give each vCPU of a program an APIC id of its own: in the place of those that are missing, or there twice,
 * come numbers of vCPUs that are free, the vCPU's own and those after it first. */
static inline void vmgexit_mend_ids(struct vmgexit_reader *reader, struct vmgexit_init_command *init)
{
    const struct vmgexit_numbers given = init->apic_ids;
    uint64_t *ids = vmgexit_room(reader, init->cpus * sizeof *ids);
    size_t count = 0, first = 0;

    if (!given.count || !ids)
        return;
    for (size_t i = 0; i < given.count + 2 * init->cpus && count < init->cpus; i++) {
        if (i == given.count)
            first = count;
        const uint64_t id = i < given.count ? given.at[i] : (first + i - given.count) % init->cpus;
        if (!vmgexit_is_among(ids, count, id))
            ids[count++] = id;
    }
    init->apic_ids = (struct vmgexit_numbers){ .count = count, .at = ids };
}

/* Read a command as a driver sends it; NULL, or what it is where it is none of this kit. */
static inline const char *vmgexit_read_binary(struct vmgexit_reader *reader, const char *line, size_t length,
                                              uint64_t cpus, struct vmgexit_command *command)
{
    const uint8_t *operations = (const uint8_t *)line + VMGEXIT_BINARY_HEAD;
    const size_t count = (length - VMGEXIT_BINARY_HEAD) / VMGEXIT_OPERATION;
    const unsigned which = count ? vmgexit_of_code(vmgexit_code(operations)) : VMGEXIT_OPERATIONS;

    if (which == VMGEXIT_OPERATIONS)
        return "an operation that the kit does not know";
    if (which != VMGEXIT_OP_INIT && !cpus)
        return vmgexit_operation_names[which];
    if (!vmgexit_knows_all(which, operations, count) ||
        !vmgexit_read_operations(reader, operations, count, cpus, which, command) || reader->has_wrapped)
        return "a command with other arguments";
    return NULL;
}

#endif /* VMGEXIT_BINARY_H */

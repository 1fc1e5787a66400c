/*
 * A GHCB host in the place of VMGEXIT: an adapter that reads commands, as specs/peer-protocol.md has them.
 *
 * It is sent the page and the VM, and its answer is written into the page as a host would.
 */
#ifndef VMGEXIT_STUB_H
#define VMGEXIT_STUB_H

#include "vmgexit_commands.h"
#include "vmgexit_peer.h"

static void vmgexit_print(const char *text)
{
    fputs(text, stdout);
}

static struct vmgexit_answer vmgexit_stub_command;
static struct vmgexit_document vmgexit_stub_answer;

static const struct vmgexit_json *vmgexit_stub_member(const char *key)
{
    return vmgexit_member(&vmgexit_stub_answer, &vmgexit_stub_answer.values[0], key);
}

/* Send a line, and read the answer to it; false where there is none, or the host has no such exit. */
static bool vmgexit_stub_ask(struct vmgexit_guest *guest, const char *command)
{
    size_t length = 0;
    const char *line = vmgexit_ask_peer(command, &length);

    if (!line || !vmgexit_read(&vmgexit_stub_answer, line, length)) {
        vmgexit_print(line ? "# an answer that is no JSON object\n" : "# no answer of VMGEXIT_PEER\n");
        vmgexit_end_peer();
        guest->failed = true;
        return false;
    }
    if (vmgexit_stub_member("unsupported"))
        guest->skipped = "not supported";
    return !guest->skipped;
}

static void vmgexit_stub_set_up(struct vmgexit_guest *guest, const char *vm)
{
    vmgexit_stub_ask(guest, vm);
}

/* How the run went where it did not return to the guest: "error" or "terminate", and a number. */
static void vmgexit_stub_take_run(struct vmgexit_guest *guest)
{
    const struct vmgexit_json *run = vmgexit_stub_member("run");

    if (!run || run->kind != VMGEXIT_JSON_LIST || run->number != 2)
        return;
    guest->how = vmgexit_is(run + 1, "terminate") ? VMGEXIT_VM_ENDED : VMGEXIT_RUN_FAILED;
    guest->value = run[2].number;
}

/* What an answer says of a field, in a list or an object: its offset in the page; 0 of one that has none. */
static size_t vmgexit_stub_field(const struct vmgexit_json *name)
{
    for (size_t i = 0; i < sizeof vmgexit_fields / sizeof vmgexit_fields[0]; i++) {
        if (vmgexit_is(name, vmgexit_fields[i].name))
            return vmgexit_fields[i].at;
    }
    return 0;
}

static void vmgexit_stub_take_valid(struct vmgexit_ghcb *page, const struct vmgexit_json *valid)
{
    const struct vmgexit_json *name = valid + 1;

    memset(page->valid_bitmap, 0, sizeof page->valid_bitmap);
    for (uint64_t i = 0; i < valid->number; i++) {
        const size_t offset = vmgexit_stub_field(name);

        if (offset)
            page->valid_bitmap[offset / 64] |= (uint8_t)(1u << offset / 8 % 8);
        name = &vmgexit_stub_answer.values[name->next];
    }
}

static void vmgexit_stub_take_registers(struct vmgexit_ghcb *page, const struct vmgexit_json *registers)
{
    const struct vmgexit_json *key = registers + 1;

    for (uint64_t i = 0; i < registers->number; i++) {
        const size_t offset = vmgexit_stub_field(key);

        if (offset && key[1].kind == VMGEXIT_JSON_NUMBER)
            memcpy((uint8_t *)page + offset, &key[1].number, sizeof key[1].number);
        key = &vmgexit_stub_answer.values[key[1].next];
    }
}

/* What changed in the buffer: [offset, hex] each. */
static void vmgexit_stub_take_buffer(struct vmgexit_ghcb *page, const struct vmgexit_json *buffer)
{
    const struct vmgexit_json *run = buffer + 1;

    for (uint64_t i = 0; i < buffer->number; i++) {
        const struct vmgexit_json *offset = run + 1, *hex = run + 2;

        run = &vmgexit_stub_answer.values[run->next];
        if (offset->kind != VMGEXIT_JSON_NUMBER || hex->kind != VMGEXIT_JSON_TEXT ||
            offset->number > sizeof *page || hex->length / 2 > sizeof *page - offset->number)
            continue;
        for (size_t at = 0; at < hex->length / 2; at++) {
            const int high = vmgexit_digit(hex->text[2 * at]), low = vmgexit_digit(hex->text[2 * at + 1]);
            ((uint8_t *)page)[offset->number + at] = (uint8_t)(high << 4 | low);
        }
    }
}

static bool vmgexit_stub_is(const struct vmgexit_json *value, enum vmgexit_json_kind kind)
{
    return value && value->kind == kind;
}

static void vmgexit_stub_exit(struct vmgexit_guest *guest)
{
    struct vmgexit_answer *command = &vmgexit_stub_command;
    const struct vmgexit_json *value;

    memset(command, 0, sizeof *command);
    vmgexit_open(command, '{');
    vmgexit_text(command, "op", "vmgexit");
    vmgexit_number(command, "gpa", guest->gpa);
    vmgexit_key(command, "page");
    vmgexit_put_raw(command, "[[0, ", 5);
    vmgexit_put_hex(command, (const uint8_t *)guest->page, sizeof *guest->page);
    vmgexit_put_raw(command, "]]}", 3);
    if (!vmgexit_stub_ask(guest, command->data))
        return;
    vmgexit_stub_take_run(guest);
    if (vmgexit_stub_member("page"))
        return; /* untouched */
    if (vmgexit_stub_is(value = vmgexit_stub_member("status"), VMGEXIT_JSON_NUMBER))
        guest->page->sw_exit_info_1 = value->number;
    if (vmgexit_stub_is(value = vmgexit_stub_member("detail"), VMGEXIT_JSON_NUMBER))
        guest->page->sw_exit_info_2 = value->number;
    if (vmgexit_stub_is(value = vmgexit_stub_member("valid"), VMGEXIT_JSON_LIST))
        vmgexit_stub_take_valid(guest->page, value);
    if (vmgexit_stub_is(value = vmgexit_stub_member("registers"), VMGEXIT_JSON_OBJECT))
        vmgexit_stub_take_registers(guest->page, value);
    if (vmgexit_stub_is(value = vmgexit_stub_member("buffer"), VMGEXIT_JSON_LIST))
        vmgexit_stub_take_buffer(guest->page, value);
}

static void vmgexit_stub_msr(struct vmgexit_guest *guest, uint64_t *word)
{
    struct vmgexit_answer *command = &vmgexit_stub_command;
    const struct vmgexit_json *value;

    memset(command, 0, sizeof *command);
    vmgexit_open(command, '{');
    vmgexit_text(command, "op", "msr");
    vmgexit_number(command, "request", *word);
    vmgexit_put_raw(command, "}", 1);
    if (!vmgexit_stub_ask(guest, command->data))
        return;
    vmgexit_stub_take_run(guest);
    if (vmgexit_stub_is(value = vmgexit_stub_member("word"), VMGEXIT_JSON_NUMBER))
        *word = value->number;
}

#endif /* VMGEXIT_STUB_H */

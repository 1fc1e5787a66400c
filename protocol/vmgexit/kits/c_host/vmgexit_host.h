/*
 * The adapter of a GHCB host: it reads commands, keeps guest memory, and writes answers.
 *
 * adapter.c includes this one, and no other file does. It fills in a `struct vmgexit_host`, and ends with
 * `return vmgexit_answer_commands(&host);`. The host gets a page, changes it, and asks for what it needs of
 * devices, firmware and memory by the functions here; what it asked is a part of the answer.
 */
#ifndef VMGEXIT_HOST_H
#define VMGEXIT_HOST_H

#include "vmgexit_commands.h"
#include "vmgexit_layouts.h"
#include <stdio.h>
#include <stdlib.h>

#define VMGEXIT_VERSION 2 /* of the page specs/peer-protocol.md */
#define VMGEXIT_PAGE 4096
#define VMGEXIT_MOST_PAGES 1024 /* of guest memory that are not zero */
#define VMGEXIT_MOST_LEAVES 64

/* How the guest goes on after an exit. */
enum vmgexit_goes_on {
    VMGEXIT_GUEST,
    VMGEXIT_UNTOUCHED, /* the guest goes on, and nothing was written to its page */
    VMGEXIT_ERROR,     /* KVM_RUN fails with this number */
    VMGEXIT_TERMINATE, /* the VM ends; the value is the word of the GHCB MSR */
};

struct vmgexit_run {
    enum vmgexit_goes_on how;
    uint64_t value;
};

/* The VM as it was set up. Its lists are the kit's: memory is read by vmgexit_read_memory. */
struct vmgexit_vm {
    struct vmgexit_init_command setup;
    struct vmgexit_leaf leaves[VMGEXIT_MOST_LEAVES];
    size_t leaf_count;
};

struct vmgexit_host {
    const char *name, *profile;
    void (*init)(const struct vmgexit_vm *vm);
    /* Whether it carries out such an exit of such a guest; what it does not have is not supported. */
    bool (*knows)(const struct vmgexit_vm *vm, const struct vmgexit_ghcb *page);
    struct vmgexit_run (*vmgexit)(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t gpa, struct vmgexit_ghcb *page);
    /* Of a word in the GHCB MSR. */
    bool (*knows_word)(uint64_t word);
    struct vmgexit_run (*msr)(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t *word);
    /* A start-up IPI: whether it released the vCPU. NULL: not supported. */
    bool (*sipi)(const struct vmgexit_vm *vm, uint32_t cpu);
};

static struct vmgexit_vm vmgexit_vm;
static struct vmgexit_reader vmgexit_reader;
static struct vmgexit_answer vmgexit_answer, vmgexit_asked;
static bool vmgexit_has_vm;

/* --- guest memory ------------------------------------------------------------------------------- */

static struct {
    uint64_t gpa;
    uint8_t data[VMGEXIT_PAGE];
} vmgexit_pages[VMGEXIT_MOST_PAGES];
static size_t vmgexit_page_count;

/* A page of guest memory, or NULL: it is zero. With `make` it is made. */
static inline uint8_t *vmgexit_page_at(uint64_t gpa, bool make)
{
    gpa -= gpa % VMGEXIT_PAGE;
    for (size_t i = 0; i < vmgexit_page_count; i++) {
        if (vmgexit_pages[i].gpa == gpa)
            return vmgexit_pages[i].data;
    }
    if (!make)
        return NULL;
    if (vmgexit_page_count == VMGEXIT_MOST_PAGES) {
        fputs("vmgexit kit: too many pages of guest memory are in use\n", stderr);
        exit(3);
    }
    vmgexit_pages[vmgexit_page_count].gpa = gpa;
    return memset(vmgexit_pages[vmgexit_page_count++].data, 0, VMGEXIT_PAGE);
}

static inline bool vmgexit_is_memory(uint64_t gpa, uint64_t size)
{
    return size <= vmgexit_vm.setup.memory_top && gpa <= vmgexit_vm.setup.memory_top - size;
}

static inline bool vmgexit_load(uint64_t gpa, uint8_t *into, uint64_t size)
{
    if (!vmgexit_is_memory(gpa, size))
        return false;
    for (uint64_t i = 0; i < size; i++) {
        const uint8_t *page = vmgexit_page_at(gpa + i, false);
        into[i] = page ? page[(gpa + i) % VMGEXIT_PAGE] : 0;
    }
    return true;
}

static inline bool vmgexit_store(uint64_t gpa, const uint8_t *from, uint64_t size)
{
    if (!vmgexit_is_memory(gpa, size))
        return false;
    for (uint64_t i = 0; i < size; i++) {
        uint8_t *page = vmgexit_page_at(gpa + i, from[i] != 0);
        if (page)
            page[(gpa + i) % VMGEXIT_PAGE] = from[i];
    }
    return true;
}

/* --- what a host asks ---------------------------------------------------------------------------- */

/* Note that something was asked: its name, numbers, and bytes in hex where `bytes` is not NULL. */
static inline void vmgexit_ask(const char *name, const uint64_t *numbers, size_t count, const uint8_t *bytes, size_t size)
{
    vmgexit_open(&vmgexit_asked, '[');
    vmgexit_put_text(&vmgexit_asked, name);
    for (size_t i = 0; i < count; i++)
        vmgexit_put_number(&vmgexit_asked, numbers[i]);
    if (bytes)
        vmgexit_put_hex(&vmgexit_asked, bytes, size);
    vmgexit_close(&vmgexit_asked, ']');
}

#define VMGEXIT_NUMBERS(...) (const uint64_t[]){ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)

/* What CPUID gives, in EAX, EBX, ECX and EDX. */
static inline void vmgexit_ask_cpuid(uint32_t leaf, uint32_t sub_leaf, uint32_t registers[4])
{
    vmgexit_ask("cpuid", VMGEXIT_NUMBERS(leaf, sub_leaf), NULL, 0);
    memset(registers, 0, 4 * sizeof *registers);
    for (size_t i = 0; i < vmgexit_vm.leaf_count; i++) {
        const struct vmgexit_leaf *known = &vmgexit_vm.leaves[i];
        if (known->leaf != leaf || (known->has_sub_leaf && known->sub_leaf != sub_leaf))
            continue;
        registers[0] = (uint32_t)known->eax;
        registers[1] = (uint32_t)known->ebx;
        registers[2] = (uint32_t)known->ecx;
        registers[3] = (uint32_t)known->edx;
        return;
    }
}

static inline void vmgexit_ask_out(uint16_t port, unsigned size, const uint8_t *bytes)
{
    vmgexit_ask("out", VMGEXIT_NUMBERS(port, size), bytes, size);
}

static inline void vmgexit_ask_in(uint16_t port, unsigned size, uint8_t *bytes)
{
    vmgexit_ask("in", VMGEXIT_NUMBERS(port, size), NULL, 0);
    memset(bytes, (int)vmgexit_vm.setup.device_byte, size);
}

static inline void vmgexit_ask_mmio_read(uint64_t gpa, unsigned size, uint8_t *bytes)
{
    vmgexit_ask("mmio-read", VMGEXIT_NUMBERS(gpa, size), NULL, 0);
    memset(bytes, (int)vmgexit_vm.setup.device_byte, size);
}

static inline void vmgexit_ask_mmio_write(uint64_t gpa, unsigned size, const uint8_t *bytes)
{
    vmgexit_ask("mmio-write", VMGEXIT_NUMBERS(gpa), bytes, size);
}

/* False where guest memory ends before. */
static inline bool vmgexit_read_memory(uint64_t gpa, uint8_t *into, size_t size)
{
    vmgexit_ask("read-memory", VMGEXIT_NUMBERS(gpa, size), NULL, 0);
    return vmgexit_load(gpa, into, size);
}

static inline bool vmgexit_write_memory(uint64_t gpa, const uint8_t *from, size_t size)
{
    const bool is_done = vmgexit_store(gpa, from, size);
    size_t told = is_done ? size : 0;

    while (told && !from[told - 1])
        told--;
    vmgexit_ask("write-memory", VMGEXIT_NUMBERS(gpa, size), from, told);
    return is_done;
}

/* What the firmware answers to a guest message: an error, or 0; the response is a page of zeros. */
static inline uint64_t vmgexit_ask_firmware(void)
{
    vmgexit_ask("firmware", NULL, 0, NULL, 0);
    return vmgexit_vm.setup.firmware_error;
}

/* A vCPU waits for a start-up IPI; whether one follows at once. */
static inline bool vmgexit_ask_hold(void)
{
    vmgexit_ask("hold", NULL, 0, NULL, 0);
    return vmgexit_vm.setup.sipi;
}

/* --- the page ------------------------------------------------------------------------------------ */

/* Whether the guest marked the field valid that is at this offset of the page. */
static inline bool vmgexit_is_valid(const struct vmgexit_ghcb *page, size_t offset)
{
    return page->valid_bitmap[offset / 64] >> offset / 8 % 8 & 1;
}

static inline void vmgexit_mark(struct vmgexit_ghcb *page, size_t offset)
{
    page->valid_bitmap[offset / 64] |= (uint8_t)(1u << offset / 8 % 8);
}

/* End an exit: the words of the answer, which are all that is valid. A host marks registers after it. */
static inline struct vmgexit_run vmgexit_answered(struct vmgexit_ghcb *page, uint64_t status, uint64_t detail)
{
    memset(page->valid_bitmap, 0, sizeof page->valid_bitmap);
    page->sw_exit_info_1 = status;
    page->sw_exit_info_2 = detail;
    vmgexit_mark(page, offsetof(struct vmgexit_ghcb, sw_exit_info_1));
    vmgexit_mark(page, offsetof(struct vmgexit_ghcb, sw_exit_info_2));
    return (struct vmgexit_run){ .how = VMGEXIT_GUEST };
}

/* --- answers ------------------------------------------------------------------------------------- */

static inline void vmgexit_begin_answer(void)
{
    vmgexit_answer.length = vmgexit_asked.length = 0;
    vmgexit_answer.is_full = vmgexit_answer.needs_comma = false;
    vmgexit_asked.is_full = vmgexit_asked.needs_comma = false;
    vmgexit_open(&vmgexit_answer, '{');
}

static inline void vmgexit_send_answer(void)
{
    vmgexit_close(&vmgexit_answer, '}');
    if (vmgexit_answer.is_full || vmgexit_asked.is_full) {
        fputs("vmgexit kit: an answer of more than 1 MiB\n", stderr);
        exit(3);
    }
    vmgexit_answer.data[vmgexit_answer.length++] = '\n';
    fwrite(vmgexit_answer.data, 1, vmgexit_answer.length, stdout);
    fflush(stdout); /* the driver waits for it */
}

static inline void vmgexit_put_run(struct vmgexit_run run)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_key(answer, "run");
    if (run.how == VMGEXIT_GUEST || run.how == VMGEXIT_UNTOUCHED) {
        vmgexit_put_text(answer, "guest");
        return;
    }
    vmgexit_open(answer, '[');
    vmgexit_put_text(answer, run.how == VMGEXIT_ERROR ? "error" : "terminate");
    vmgexit_put_number(answer, run.value);
    vmgexit_close(answer, ']');
}

static inline void vmgexit_put_asked(void)
{
    vmgexit_key(&vmgexit_answer, "asked");
    vmgexit_open(&vmgexit_answer, '[');
    vmgexit_put_raw(&vmgexit_answer, vmgexit_asked.data, vmgexit_asked.length);
    vmgexit_close(&vmgexit_answer, ']');
}

/* What changed in the shared buffer: runs of changed bytes that lie no more than 7 apart. */
static inline void vmgexit_put_buffer(const struct vmgexit_ghcb *before, const struct vmgexit_ghcb *after)
{
    const size_t base = offsetof(struct vmgexit_ghcb, shared_buffer), size = sizeof after->shared_buffer;

    vmgexit_key(&vmgexit_answer, "buffer");
    vmgexit_open(&vmgexit_answer, '[');
    for (size_t at = 0, last; at < size; at = last + 1) {
        last = at;
        if (before->shared_buffer[at] == after->shared_buffer[at])
            continue;
        for (size_t next = at; next < size && next - last <= 7; next++) {
            if (before->shared_buffer[next] != after->shared_buffer[next])
                last = next;
        }
        vmgexit_open(&vmgexit_answer, '[');
        vmgexit_put_number(&vmgexit_answer, base + at);
        vmgexit_put_hex(&vmgexit_answer, after->shared_buffer + at, last - at + 1);
        vmgexit_close(&vmgexit_answer, ']');
    }
    vmgexit_close(&vmgexit_answer, ']');
}

static inline void vmgexit_put_page(const struct vmgexit_ghcb *before, const struct vmgexit_ghcb *after)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_number(answer, "status", after->sw_exit_info_1);
    vmgexit_number(answer, "detail", after->sw_exit_info_2);
    vmgexit_key(answer, "valid");
    vmgexit_open(answer, '[');
    for (size_t i = 0; i < VMGEXIT_COUNT(vmgexit_fields); i++) {
        if (vmgexit_is_valid(after, vmgexit_fields[i].at))
            vmgexit_put_text(answer, vmgexit_fields[i].name);
    }
    vmgexit_close(answer, ']');
    vmgexit_key(answer, "registers");
    vmgexit_open(answer, '{');
    if (vmgexit_is_valid(after, offsetof(struct vmgexit_ghcb, rax)))
        vmgexit_number(answer, "rax", after->rax);
    if (vmgexit_is_valid(after, offsetof(struct vmgexit_ghcb, rbx)))
        vmgexit_number(answer, "rbx", after->rbx);
    if (vmgexit_is_valid(after, offsetof(struct vmgexit_ghcb, rcx)))
        vmgexit_number(answer, "rcx", after->rcx);
    if (vmgexit_is_valid(after, offsetof(struct vmgexit_ghcb, rdx)))
        vmgexit_number(answer, "rdx", after->rdx);
    vmgexit_close(answer, '}');
    vmgexit_put_buffer(before, after);
}

/* --- commands ------------------------------------------------------------------------------------ */

/* Write pieces into bytes; false where one ends behind them. */
static inline bool vmgexit_apply(struct vmgexit_pieces pieces, uint8_t *bytes, uint64_t size)
{
    for (size_t i = 0; i < pieces.count; i++) {
        const struct vmgexit_piece *piece = &pieces.at[i];
        if (piece->hex.count > size || piece->place > size - piece->hex.count)
            return false;
        memcpy(bytes + piece->place, piece->hex.at, piece->hex.count);
    }
    return true;
}

static inline const char *vmgexit_do_init(const struct vmgexit_host *host, const struct vmgexit_init_command *command)
{
    struct vmgexit_vm *vm = &vmgexit_vm;

    if (command->cpuid.count > VMGEXIT_MOST_LEAVES)
        return "a set-up with so many CPUID leaves";
    vm->setup = *command;
    vmgexit_fill_in(&vm->setup);
    vmgexit_page_count = 0;
    for (size_t i = 0; i < command->memory.count; i++)
        vmgexit_store(command->memory.at[i].place, command->memory.at[i].hex.at, command->memory.at[i].hex.count);
    vm->leaf_count = command->has_cpuid ? command->cpuid.count : VMGEXIT_COUNT(vmgexit_leaves);
    if (vm->leaf_count)
        memcpy(vm->leaves, command->has_cpuid ? command->cpuid.at : vmgexit_leaves, vm->leaf_count * sizeof *vm->leaves);
    vmgexit_has_vm = true;
    host->init(vm);
    vmgexit_flag(&vmgexit_answer, "ok", true);
    return NULL;
}

static inline const char *vmgexit_do_vmgexit(const struct vmgexit_host *host, const struct vmgexit_vmgexit_command *command)
{
    static struct vmgexit_ghcb before, page;
    struct vmgexit_run run;

    memset(&page, 0, sizeof page);
    if (command->gpa % VMGEXIT_PAGE || command->has_meanwhile || command->cpu >= vmgexit_vm.setup.vcpus ||
        !vmgexit_apply(command->page, (uint8_t *)&page, sizeof page))
        return "vmgexit"; /* with a page that changes meanwhile, for one */
    if (!command->has_page)
        vmgexit_load(command->gpa, (uint8_t *)&page, sizeof page);
    if (!host->knows(&vmgexit_vm, &page))
        return "an exit that the host does not have";
    before = page;
    vmgexit_store(command->gpa, (const uint8_t *)&page, sizeof page);
    run = host->vmgexit(&vmgexit_vm, (uint32_t)command->cpu, command->gpa, &page);
    vmgexit_put_run(run);
    if (run.how == VMGEXIT_UNTOUCHED) {
        vmgexit_text(&vmgexit_answer, "page", "untouched");
    } else {
        vmgexit_store(command->gpa, (const uint8_t *)&page, sizeof page);
        vmgexit_put_page(&before, &page);
    }
    vmgexit_put_asked();
    return NULL;
}

static inline const char *vmgexit_do_msr(const struct vmgexit_host *host, const struct vmgexit_msr_command *command)
{
    uint64_t word = command->request;

    if (command->cpu >= vmgexit_vm.setup.vcpus || !host->knows_word(word))
        return "a word that the host does not have";
    vmgexit_put_run(host->msr(&vmgexit_vm, (uint32_t)command->cpu, &word));
    vmgexit_number(&vmgexit_answer, "word", word);
    vmgexit_put_asked();
    return NULL;
}

static inline const char *vmgexit_do_read(const struct vmgexit_read_command *command)
{
    static uint8_t bytes[VMGEXIT_LONGEST_LINE / 2 - 64];

    if (command->size > sizeof bytes)
        return "read of so many bytes";
    vmgexit_key(&vmgexit_answer, "hex");
    if (vmgexit_load(command->gpa, bytes, command->size))
        vmgexit_put_hex(&vmgexit_answer, bytes, command->size);
    else
        vmgexit_put_raw(&vmgexit_answer, "null", 4);
    vmgexit_answer.needs_comma = true;
    return NULL;
}

/* Carry a command out; NULL, or what is not supported of it. */
static inline const char *vmgexit_carry_out(const struct vmgexit_host *host, const struct vmgexit_command *command)
{
    if (command->operation != VMGEXIT_OP_INIT && !vmgexit_has_vm)
        return "a command before init";
    switch (command->operation) {
    case VMGEXIT_OP_INIT:
        return vmgexit_do_init(host, &command->as.init);
    case VMGEXIT_OP_VMGEXIT:
        return vmgexit_do_vmgexit(host, &command->as.vmgexit);
    case VMGEXIT_OP_MSR:
        return vmgexit_do_msr(host, &command->as.msr);
    case VMGEXIT_OP_READ:
        return vmgexit_do_read(&command->as.read);
    case VMGEXIT_OP_WRITE:
        vmgexit_flag(&vmgexit_answer, "ok",
                     vmgexit_store(command->as.write.gpa, command->as.write.hex.at, command->as.write.hex.count));
        return NULL;
    case VMGEXIT_OP_SIPI:
        if (!host->sipi || command->as.sipi.cpu >= vmgexit_vm.setup.vcpus)
            return "sipi";
        vmgexit_flag(&vmgexit_answer, "released", host->sipi(&vmgexit_vm, (uint32_t)command->as.sipi.cpu));
        return NULL;
    case VMGEXIT_OPERATIONS:
        break; /* how many there are, and none of them */
    }
    return "it";
}

static inline void vmgexit_do_line(const struct vmgexit_host *host, const char *line, size_t length)
{
    static struct vmgexit_command command;
    const char *wrong = "a line of more than 1 MiB";

    vmgexit_begin_answer();
    if (length <= VMGEXIT_LONGEST_LINE)
        wrong = vmgexit_read_command(&vmgexit_reader, line, length, &command);
    if (!wrong)
        wrong = vmgexit_carry_out(host, &command);
    if (wrong) {
        vmgexit_begin_answer();
        vmgexit_text(&vmgexit_answer, "unsupported", wrong);
    }
    vmgexit_send_answer();
}

/* Say hello, and answer every line until standard input ends. The exit code of `main`. */
static inline int vmgexit_answer_commands(const struct vmgexit_host *host)
{
    static char line[VMGEXIT_LONGEST_LINE];
    size_t length = 0;
    int letter;

    vmgexit_begin_answer();
    vmgexit_number(&vmgexit_answer, "vmgexit", VMGEXIT_VERSION);
    vmgexit_text(&vmgexit_answer, "name", host->name);
    if (host->profile)
        vmgexit_text(&vmgexit_answer, "profile", host->profile);
    vmgexit_text(&vmgexit_answer, "machine", "host");
    vmgexit_send_answer();
    while ((letter = getchar()) != EOF) {
        if (letter == '\n') {
            vmgexit_do_line(host, line, length);
            length = 0;
            continue;
        }
        if (length < sizeof line)
            line[length] = (char)letter;
        length++; /* beyond its end a line is read, and not kept */
    }
    return 0;
}

#endif /* VMGEXIT_HOST_H */

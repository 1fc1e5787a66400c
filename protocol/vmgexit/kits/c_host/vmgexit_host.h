/*
 * The adapter of a GHCB host: it reads commands, keeps guest memory, and writes answers.
 *
 * adapter.c includes this one, and no other file does. It fills in a `struct vmgexit_host`, and ends with
 * `return vmgexit_answer_commands(&host);`. The host gets a page, changes it, and asks for what it needs by
 * the functions of vmgexit_asks.h.
 */
#ifndef VMGEXIT_HOST_H
#define VMGEXIT_HOST_H

#include "vmgexit_host_answers.h"

#define VMGEXIT_SPARE_PAGES 64 /* of guest memory, for what the host writes */

struct vmgexit_host {
    const char *name, *profile;
    bool stays; /* the process goes on after a panic: `init` leaves nothing of what was before */
    bool tells; /* it writes what it keeps to vmgexit_vcpus and vmgexit_now.jump_table: `state` tells these too */
    /* A fresh VM. NULL: the host keeps nothing else. */
    void (*init)(const struct vmgexit_vm *vm);
    /* Whether it carries out such an exit of such a guest; what it does not have is not supported. */
    bool (*knows)(const struct vmgexit_vm *vm, const struct vmgexit_ghcb *page);
    struct vmgexit_run (*vmgexit)(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t gpa, struct vmgexit_ghcb *page);
    /* Of a word in the GHCB MSR. */
    bool (*knows_word)(const struct vmgexit_vm *vm, uint64_t word);
    struct vmgexit_run (*msr)(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t *word);
    /* A start-up IPI for a vCPU that waits for one. NULL: not supported. */
    void (*sipi)(const struct vmgexit_vm *vm, uint32_t cpu);
    /* Events for VMPL 0 (vmgexit_events.h). NULL: not supported, and they never wait. */
    void (*enter)(const struct vmgexit_vm *vm, uint32_t cpu);
    struct vmgexit_events (*cancel)(const struct vmgexit_vm *vm, uint32_t cpu);
};

static struct vmgexit_reader vmgexit_reader;
static bool vmgexit_has_vm;

/* --- commands ------------------------------------------------------------------------------------ */

/* Whether guest memory, of which so many pages are used, has room for pieces of so many bytes. */
static inline bool vmgexit_has_room(size_t used, size_t count, uint64_t bytes)
{
    return used + 2 * count + bytes / VMGEXIT_PAGE + VMGEXIT_SPARE_PAGES <= VMGEXIT_MOST_PAGES;
}

static inline const char *vmgexit_do_init(const struct vmgexit_host *host, const struct vmgexit_init_command *command)
{
    struct vmgexit_vm *vm = &vmgexit_vm;
    uint64_t bytes = 0;

    for (size_t i = 0; i < command->memory.count; i++)
        bytes += command->memory.at[i].hex.count;
    if (command->cpuid.count > VMGEXIT_MOST_LEAVES || !vmgexit_has_room(0, command->memory.count, bytes))
        return "a set-up with so much memory, or so many CPUID leaves";
    vm->setup = *command;
    vmgexit_fill_in(&vm->setup);
    vmgexit_page_count = 0;
    memset(&vmgexit_now, 0, offsetof(struct vmgexit_now, states));
    vmgexit_now.states.count = 0;
    vmgexit_now.jump_table = vm->setup.jump_table;
    for (size_t i = 0; i < vm->setup.vcpus; i++)
        vmgexit_vcpus[i] = (struct vmgexit_vcpu){ .registered = vm->setup.registered };
    for (size_t i = 0; i < command->memory.count; i++)
        vmgexit_store(command->memory.at[i].place, command->memory.at[i].hex.at, command->memory.at[i].hex.count);
    vm->leaf_count = command->has_cpuid ? command->cpuid.count : VMGEXIT_COUNT(vmgexit_leaves);
    if (vm->leaf_count)
        memcpy(vm->leaves, command->has_cpuid ? command->cpuid.at : vmgexit_leaves, vm->leaf_count * sizeof *vm->leaves);
    vm->certificates_size = command->certificates.count;
    if (vm->certificates_size)
        memcpy(vm->certificates, command->certificates.at, vm->certificates_size);
    vmgexit_has_vm = true;
    if (host->init)
        host->init(vm);
    vmgexit_flag(&vmgexit_answer, "ok", true);
    return NULL;
}

static inline const char *vmgexit_do_vmgexit(const struct vmgexit_host *host, const struct vmgexit_vmgexit_command *command)
{
    static struct vmgexit_ghcb before, page;
    struct vmgexit_run run = { .how = VMGEXIT_UNTOUCHED };

    memset(&page, 0, sizeof page);
    if (command->gpa % VMGEXIT_PAGE || command->cpu >= vmgexit_vm.setup.vcpus ||
        !vmgexit_apply(command->page, (uint8_t *)&page, sizeof page) ||
        !vmgexit_apply(command->meanwhile, (uint8_t *)&before, sizeof before)) /* which fits, then */
        return "vmgexit";
    if (!command->has_page)
        vmgexit_load(command->gpa, (uint8_t *)&page, sizeof page);
    if (!host->knows(&vmgexit_vm, &page))
        return "an exit that the host does not have";
    if (!vmgexit_has_room(vmgexit_page_count, 1, sizeof page))
        return "so many pages of guest memory";
    if (!vmgexit_put_stands((uint32_t)command->cpu)) {
        before = page;
        vmgexit_now.cpu = (uint32_t)command->cpu;
        vmgexit_now.gpa = command->gpa;
        vmgexit_now.page = vmgexit_is_memory(command->gpa, sizeof page) ? &page : NULL;
        vmgexit_now.meanwhile = command->meanwhile;
        vmgexit_go_on_meanwhile();
        memcpy(&page, &before, VMGEXIT_TAKEN_OVER);
        run = host->vmgexit(&vmgexit_vm, vmgexit_now.cpu, command->gpa, &page);
        vmgexit_go_on_meanwhile();
        vmgexit_now.page = NULL;
        vmgexit_go_on(run);
    }
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

    if (command->cpu >= vmgexit_vm.setup.vcpus || !host->knows_word(&vmgexit_vm, word))
        return "a word that the host does not have";
    vmgexit_now.cpu = (uint32_t)command->cpu;
    if (!vmgexit_put_stands(vmgexit_now.cpu))
        vmgexit_go_on(host->msr(&vmgexit_vm, vmgexit_now.cpu, &word));
    vmgexit_number(&vmgexit_answer, "word", word);
    vmgexit_put_asked();
    return NULL;
}

static inline const char *vmgexit_do_write(const struct vmgexit_write_command *command)
{
    if (!vmgexit_has_room(vmgexit_page_count, 1, command->hex.count))
        return "write to so many pages of guest memory";
    vmgexit_flag(&vmgexit_answer, "ok", vmgexit_store(command->gpa, command->hex.at, command->hex.count));
    return NULL;
}

static inline const char *vmgexit_do_sipi(const struct vmgexit_host *host, const struct vmgexit_sipi_command *command)
{
    bool *is_held = &vmgexit_vcpus[command->cpu % VMGEXIT_MOST_VCPUS].held;

    if (!host->sipi || command->cpu >= vmgexit_vm.setup.vcpus)
        return "sipi";
    vmgexit_flag(&vmgexit_answer, "released", *is_held);
    if (*is_held)
        host->sipi(&vmgexit_vm, (uint32_t)command->cpu);
    *is_held = false;
    return NULL;
}

/* An event for VMPL 0 waits. */
static inline const char *vmgexit_do_event(const struct vmgexit_host *host, uint64_t cpu, uint64_t event)
{
    if (!host->enter || cpu >= vmgexit_vm.setup.vcpus)
        return "events for VMPL 0";
    vmgexit_wait_for(&vmgexit_vcpus[cpu], event);
    vmgexit_put_waiting(&vmgexit_vcpus[cpu]);
    return NULL;
}

static inline const char *vmgexit_do_enter(const struct vmgexit_host *host, uint64_t cpu)
{
    struct vmgexit_vcpu *vcpu = &vmgexit_vcpus[cpu % VMGEXIT_MOST_VCPUS];

    if (!host->enter || cpu >= vmgexit_vm.setup.vcpus || !vmgexit_has_room(vmgexit_page_count, 1, 0))
        return "enter";
    host->enter(&vmgexit_vm, (uint32_t)cpu);
    vmgexit_number(&vmgexit_answer, "vmpl", vcpu->vmpl);
    vmgexit_number(&vmgexit_answer, "event_inj", vcpu->event_inj);
    vmgexit_put_doorbell(vcpu);
    vmgexit_put_waiting(vcpu);
    return NULL;
}

static inline const char *vmgexit_do_cancel(const struct vmgexit_host *host, uint64_t cpu)
{
    if (!host->cancel || cpu >= vmgexit_vm.setup.vcpus)
        return "cancel";
    vmgexit_put_events(host->cancel(&vmgexit_vm, (uint32_t)cpu));
    vmgexit_put_doorbell(&vmgexit_vcpus[cpu]);
    vmgexit_put_waiting(&vmgexit_vcpus[cpu]);
    return NULL;
}

static inline const char *vmgexit_do_take(const struct vmgexit_host *host, const struct vmgexit_take_command *command)
{
    const uint64_t cpu = command->cpu;

    if (!host->enter || cpu >= vmgexit_vm.setup.vcpus)
        return "take";
    vmgexit_put_events(vmgexit_take(&vmgexit_vm, &vmgexit_vcpus[cpu], command->has_tpr ? &command->tpr : NULL));
    vmgexit_put_doorbell(&vmgexit_vcpus[cpu]);
    return NULL;
}

static inline const char *vmgexit_do_state(const struct vmgexit_host *host)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    if (!host->tells || vmgexit_now.states.is_full)
        vmgexit_text(answer, "unsupported", "what the host keeps, or so many runs of pages");
    vmgexit_flag(answer, "ended", vmgexit_now.has_ended);
    vmgexit_number(answer, "mappings", vmgexit_now.mappings);
    if (!vmgexit_now.states.is_full)
        vmgexit_put_page_states(answer, "pages", &vmgexit_now.states);
    if (host->tells) {
        vmgexit_number(answer, "jump_table", vmgexit_now.jump_table);
        vmgexit_put_vcpus(answer);
    }
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
        vmgexit_put_null(&vmgexit_answer);
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
        return vmgexit_do_write(&command->as.write);
    case VMGEXIT_OP_IRQ:
        return vmgexit_do_event(host, command->as.irq.cpu, VMGEXIT_INTERRUPT | command->as.irq.vector);
    case VMGEXIT_OP_NMI:
        return vmgexit_do_event(host, command->as.nmi.cpu, VMGEXIT_NMI);
    case VMGEXIT_OP_MACHINE_CHECK:
        return vmgexit_do_event(host, command->as.machine_check.cpu, VMGEXIT_MACHINE_CHECK);
    case VMGEXIT_OP_ENTER:
        return vmgexit_do_enter(host, command->as.enter.cpu);
    case VMGEXIT_OP_CANCEL:
        return vmgexit_do_cancel(host, command->as.cancel.cpu);
    case VMGEXIT_OP_TAKE:
        return vmgexit_do_take(host, &command->as.take);
    case VMGEXIT_OP_STATE:
        return vmgexit_do_state(host);
    case VMGEXIT_OP_SIPI:
        return vmgexit_do_sipi(host, &command->as.sipi);
    case VMGEXIT_OPERATIONS:
        break; /* how many there are, and none of them */
    }
    return "it";
}

static VMGEXIT_NOT_INLINE void vmgexit_do_command(const struct vmgexit_host *host, const struct vmgexit_command *command)
{
    const char *wrong;

    vmgexit_begin_unless_stopped(command->operation == VMGEXIT_OP_INIT);
    vmgexit_empty(&vmgexit_asked);
    wrong = vmgexit_carry_out(host, command);
    if (wrong) {
        vmgexit_only("unsupported", wrong);
        return;
    }
    vmgexit_answer.is_full |= vmgexit_asked.is_full;
    vmgexit_send_answer();
}

/* The same; a stop comes back to here. Whether the host goes on. */
static inline bool vmgexit_do_or_stop(const struct vmgexit_host *host, const struct vmgexit_command *command)
{
    if (!setjmp(vmgexit_stop.left)) {
        vmgexit_do_command(host, command);
        return true;
    }
    vmgexit_only(vmgexit_stop.kind, vmgexit_stop.text);
    return host->stays;
}

static inline void vmgexit_answer_line(const void *of, const char *line, size_t length)
{
    static struct vmgexit_command command;
    const char *unknown = vmgexit_read_command(&vmgexit_reader, line, length, &command);

    if (unknown)
        vmgexit_only("unsupported", unknown);
    else if (!vmgexit_do_or_stop(of, &command))
        exit(0);
}

/* Say hello, and answer every line until standard input ends. The exit code of `main`. */
static inline int vmgexit_answer_commands(const struct vmgexit_host *host)
{
    vmgexit_begin_hello(host->name, host->profile);
    vmgexit_text(&vmgexit_answer, "machine", "host");
    if (host->stays)
        vmgexit_flag(&vmgexit_answer, "stays", true);
    vmgexit_send_answer();
    return vmgexit_answer_lines(vmgexit_answer_line, host);
}

#endif /* VMGEXIT_HOST_H */

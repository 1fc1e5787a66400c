/*
 * The adapter of an SVSM with memory: its commands, and calls from the guest to the SVSM and back.
 *
 * adapter.c includes this one. It fills in a `struct vmgexit_svsm_on_memory` beside the `struct vmgexit_svsm`,
 * and ends with `return vmgexit_answer_on_memory(&svsm, &on_memory);`.
 */
#ifndef VMGEXIT_MEMORY_ADAPTER_H
#define VMGEXIT_MEMORY_ADAPTER_H

#include "vmgexit_adapter.h"
#include "vmgexit_begin.h"
#include "vmgexit_psp.h"
#include "vmgexit_switch.h"

struct vmgexit_pages vmgexit_pages;
struct vmgexit_memory vmgexit_memory;
struct vmgexit_psp vmgexit_psp;

static inline void vmgexit_init_on_memory(const struct vmgexit_init_command *command)
{
    vmgexit_begin_vm(command);
    vmgexit_begin_memory(command);
    vmgexit_begin_psp();
    vmgexit_on_memory->init(&vmgexit_vm);
    for (uint32_t i = 0; i < vmgexit_vm.cpus; i++) {
        vmgexit_vm.vcpus[i].guest.alternate_injection = vmgexit_memory.has_apic;
        vmgexit_enter_guest(&vmgexit_vm.vcpus[i], NULL);
    }
    vmgexit_flag(&vmgexit_answer, "ok", true);
    vmgexit_number(&vmgexit_answer, "cpus", command->cpus);
    if (vmgexit_memory.has_apic)
        vmgexit_number(&vmgexit_answer, "reg_count", command->reg_count);
}

/* --- answers ------------------------------------------------------------------------------------ */

static inline void vmgexit_put_outcome(const char *why)
{
    vmgexit_flag(&vmgexit_answer, "ok", !why);
    if (why)
        vmgexit_text(&vmgexit_answer, "why", why);
}

static inline void vmgexit_put_address(const char *key, bool is_there, uint64_t address)
{
    vmgexit_key(&vmgexit_answer, key);
    if (is_there)
        vmgexit_put_number(&vmgexit_answer, address);
    else
        vmgexit_put_null(&vmgexit_answer);
}

static inline void vmgexit_put_done(void)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    vmgexit_key(answer, "did");
    vmgexit_open(answer, '[');
    for (size_t i = 0; i < vmgexit_memory.done_count; i++) {
        const struct vmgexit_done *done = &vmgexit_memory.done[i];
        vmgexit_open(answer, '[');
        vmgexit_put_text(answer, done->name);
        for (unsigned value = 0; value < done->count; value++) {
            vmgexit_put_number(answer, done->values[value]);
            if (!value && done->word)
                vmgexit_put_text(answer, done->word);
        }
        vmgexit_close(answer, ']');
    }
    vmgexit_close(answer, ']');
}

static inline void vmgexit_do_memory_call(struct vmgexit_vcpu *cpu, const struct vmgexit_call_command *command)
{
    const struct vmgexit_place *place = vmgexit_place_of(cpu);
    const struct vmgexit_vmsa *vmsa;
    const bool ran = vmgexit_call_from_guest(cpu, command);

    vmgexit_flag(&vmgexit_answer, "ran", ran);
    vmgexit_put_done();
    if (!place->in_guest) {
        vmgexit_flag(&vmgexit_answer, "idle", true);
        return;
    }
    vmgexit_put_address("vmsa", true, place->mapped.vmsa);
    vmgexit_put_address("caa", place->mapped.has_area, place->mapped.area);
    if (!ran)
        return;
    vmsa = &vmgexit_content_at(place->mapped.vmsa)->vmsa;
    vmgexit_number(&vmgexit_answer, "rax", vmsa->rax);
    vmgexit_number(&vmgexit_answer, "rcx", vmsa->rcx);
    vmgexit_number(&vmgexit_answer, "rdx", vmsa->rdx);
    vmgexit_number(&vmgexit_answer, "r8", vmsa->r8);
}

static inline void vmgexit_do_read(const struct vmgexit_read_command *command)
{
    uint8_t bytes[VMGEXIT_PAGE];
    const char *why =
        command->has_by ? vmgexit_no_access(command->by, command->gpa, command->len, VMGEXIT_MAY_READ) : NULL;

    vmgexit_put_outcome(why);
    if (why)
        return;
    vmgexit_load(command->gpa, bytes, command->len);
    vmgexit_key(&vmgexit_answer, "hex");
    vmgexit_put_hex(&vmgexit_answer, bytes, command->len);
}

static inline void vmgexit_do_write(const struct vmgexit_write_command *command)
{
    const uint64_t size = command->hex.count;
    const char *why = command->has_by ? vmgexit_no_access(command->by, command->gpa, size, VMGEXIT_MAY_WRITE) : NULL;

    if (!why)
        vmgexit_store(command->gpa, command->hex.at, size);
    vmgexit_put_outcome(why);
}

static inline void vmgexit_do_vmsa(const struct vmgexit_vmsa_command *command)
{
    const uint64_t gpa = command->gpa & -VMGEXIT_PAGE;
    const char *why = vmgexit_no_access(command->by, gpa, VMGEXIT_PAGE, VMGEXIT_MAY_WRITE);

    if (!why) {
        vmgexit_fill_page(vmgexit_behind(gpa), 0);
        struct vmgexit_vmsa *vmsa = &vmgexit_content_at(gpa)->vmsa;
        vmsa->vmpl = (uint8_t)command->vmpl;
        vmsa->efer = command->efer;
        vmsa->sev_features = command->sev_features;
        vmsa->guest_exit_code = command->exit_code;
        vmsa->rax = command->rax;
        vmsa->rcx = command->rcx;
        vmsa->rdx = command->rdx;
        vmsa->r8 = command->r8;
    }
    vmgexit_put_outcome(why);
}

static inline void vmgexit_do_page(const struct vmgexit_page_command *command)
{
    struct vmgexit_answer *answer = &vmgexit_answer;
    struct vmgexit_page *page = vmgexit_behind(command->gpa);
    const struct vmgexit_rmp_entry *rmp = &page->rmp;
    const uint64_t digest = vmgexit_sha256_start(vmgexit_content_of(page)->bytes, VMGEXIT_PAGE);
    uint8_t hash[8];

    vmgexit_number(answer, "spa", page->address);
    vmgexit_flag(answer, "assigned", rmp->assigned);
    vmgexit_number(answer, "gpa", rmp->gpa);
    vmgexit_flag(answer, "validated", rmp->validated);
    vmgexit_flag(answer, "huge", rmp->huge);
    vmgexit_flag(answer, "vmsa", rmp->vmsa);
    vmgexit_key(answer, "perms");
    vmgexit_open(answer, '[');
    for (int vmpl = 1; vmpl < 4; vmpl++)
        vmgexit_put_number(answer, rmp->perms[vmpl]);
    vmgexit_close(answer, ']');
    for (int i = 0; i < 8; i++)
        hash[i] = (uint8_t)(digest >> 8 * (7 - i));
    vmgexit_key(answer, "hash");
    vmgexit_put_hex(answer, hash, sizeof hash);
}

static inline void vmgexit_do_calling_area(const struct vmgexit_vcpu *cpu)
{
    const struct vmgexit_place *place = vmgexit_place_of(cpu);
    uint8_t head[8];

    vmgexit_put_address("vmsa", place->home.has_vmsa, place->home.vmsa);
    vmgexit_put_address("caa", place->home.has_area, place->home.area);
    if (place->home.has_area)
        vmgexit_load(place->home.area, head, sizeof head);
    vmgexit_key(&vmgexit_answer, "hex");
    vmgexit_put_hex(&vmgexit_answer, head, place->home.has_area ? sizeof head : 0);
    vmgexit_text(&vmgexit_answer, "state", place->in_guest ? "guest" : "idle");
}

static inline int vmgexit_by_vmsa(const void *one, const void *other)
{
    const uint64_t a = ((const struct vmgexit_registration *)one)->vmsa;
    const uint64_t b = ((const struct vmgexit_registration *)other)->vmsa;

    return (a > b) - (a < b);
}

static inline void vmgexit_do_registry(void)
{
    static struct vmgexit_registration rows[VMGEXIT_MOST_REGISTERED];
    struct vmgexit_answer *answer = &vmgexit_answer;
    const size_t count = vmgexit_on_memory->registry(rows, VMGEXIT_MOST_REGISTERED);

    qsort(rows, count, sizeof *rows, vmgexit_by_vmsa);
    vmgexit_key(answer, "entries");
    vmgexit_open(answer, '[');
    for (size_t i = 0; i < count; i++) {
        vmgexit_open(answer, '[');
        vmgexit_put_number(answer, rows[i].vmsa);
        vmgexit_put_number(answer, rows[i].area);
        vmgexit_put_number(answer, rows[i].cpu);
        vmgexit_put_flag(answer, rows[i].is_guests);
        vmgexit_put_flag(answer, rows[i].in_use);
        vmgexit_close(answer, ']');
    }
    vmgexit_close(answer, ']');
}

static inline void vmgexit_do_run(const struct vmgexit_vcpu *cpu, bool on)
{
    struct vmgexit_place *place = vmgexit_place_of(cpu);
    const bool can = vmgexit_has_guest(place);

    if (!on || can)
        place->executes = on;
    vmgexit_flag(&vmgexit_answer, "ok", !on || can);
}

static inline void vmgexit_do_adjust(const struct vmgexit_adjust_command *command)
{
    unsigned status;
    const char *why = vmgexit_guest_rmpadjust(command->gpa, command->vmpl, command->perms, &status);

    if (why)
        vmgexit_put_outcome(why);
    else
        vmgexit_number(&vmgexit_answer, "result", status);
}

/* --- commands ----------------------------------------------------------------------------------- */

static inline bool vmgexit_is_within(uint64_t gpa, uint64_t length)
{
    return gpa + length <= VMGEXIT_LAST_ADDRESS + 1;
}

static inline bool vmgexit_can_emulate(void)
{
    const struct vmgexit_svsm *svsm = vmgexit_of_interrupts;

    return vmgexit_on_memory->has_apic && svsm->enter && svsm->left && svsm->new_vmsa;
}

/* Whether the SVSM has what a command of a machine with memory needs, and the command is one. */
static inline bool vmgexit_supports_on_memory(const struct vmgexit_command *command)
{
    const struct vmgexit_svsm_on_memory *svsm = vmgexit_on_memory;
    const struct vmgexit_host_page_command *page = &command->as.host_page;

    switch (command->operation) {
    case VMGEXIT_OP_INIT:
        return (vmgexit_can_emulate() || !command->as.init.has_reg_count) && vmgexit_has_ids(&command->as.init) &&
               vmgexit_is_layout(&command->as.init);
    case VMGEXIT_OP_CALL:
        return command->as.cpu < vmgexit_vm.cpus &&
               (!svsm->knows || svsm->knows((uint32_t)command->as.call.protocol, (uint32_t)command->as.call.request));
    case VMGEXIT_OP_CALLING_AREA:
    case VMGEXIT_OP_RUN:
        return command->as.cpu < vmgexit_vm.cpus;
    case VMGEXIT_OP_HOST_PAGE:
        return page->has_spa == (page->to == VMGEXIT_PAGE_CHANGE_REMAP);
    case VMGEXIT_OP_READ:
        return vmgexit_is_within(command->as.read.gpa, command->as.read.len);
    case VMGEXIT_OP_WRITE:
        return vmgexit_is_within(command->as.write.gpa, command->as.write.hex.count);
    case VMGEXIT_OP_REGISTRY:
        return svsm->registry;
    case VMGEXIT_OP_PSP:
        return command->as.psp.answers.count <= VMGEXIT_MOST_PREPARED;
    case VMGEXIT_OP_VMSA:
    case VMGEXIT_OP_PAGE:
    case VMGEXIT_OP_ADJUST:
        return true;
    case VMGEXIT_OP_SET_VMSA:
        return false;
    default:
        return vmgexit_memory.has_apic && vmgexit_supports(vmgexit_of_interrupts, command);
    }
}

/* A command about interrupts, on what VMSA and calling area hold, where there is a guest that could run. */
static inline void vmgexit_do_interrupts(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command)
{
    struct vmgexit_vcpu *cpu = &vmgexit_vm.vcpus[vmgexit_cpu_of(command)];
    const struct vmgexit_place *place = vmgexit_place_of(cpu);
    const bool is_guest = vmgexit_has_guest(place);

    switch (command->operation) {
    case VMGEXIT_OP_ENTER:
    case VMGEXIT_OP_GUEST_TAKE:
    case VMGEXIT_OP_GUEST:
    case VMGEXIT_OP_GUEST_LAZY_EOI:
    case VMGEXIT_OP_INTERCEPT:
        if (!is_guest) {
            vmgexit_flag(&vmgexit_answer, "ran", false);
            return;
        }
        break;
    default:
        break; /* the host's, or nobody's */
    }
    if (is_guest)
        vmgexit_load_guest(cpu);
    vmgexit_carry_out(svsm, command);
    if (is_guest)
        vmgexit_store_guest(cpu);
}

static inline void vmgexit_carry_out_on_memory(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command)
{
    struct vmgexit_vcpu *cpu = &vmgexit_vm.vcpus[0];

    vmgexit_memory.done_count = 0;
    switch (command->operation) {
    case VMGEXIT_OP_INIT:
        vmgexit_init_on_memory(&command->as.init);
        break;
    case VMGEXIT_OP_CALL:
        vmgexit_do_memory_call(cpu + command->as.cpu, &command->as.call);
        break;
    case VMGEXIT_OP_CALLING_AREA:
        vmgexit_do_calling_area(cpu + command->as.cpu);
        break;
    case VMGEXIT_OP_RUN:
        vmgexit_do_run(cpu + command->as.cpu, command->as.run.on);
        break;
    case VMGEXIT_OP_HOST_PAGE:
        vmgexit_put_outcome(vmgexit_host_page(&command->as.host_page));
        break;
    case VMGEXIT_OP_READ:
        vmgexit_do_read(&command->as.read);
        break;
    case VMGEXIT_OP_WRITE:
        vmgexit_do_write(&command->as.write);
        break;
    case VMGEXIT_OP_REGISTRY:
        vmgexit_do_registry();
        break;
    case VMGEXIT_OP_VMSA:
        vmgexit_do_vmsa(&command->as.vmsa);
        break;
    case VMGEXIT_OP_PAGE:
        vmgexit_do_page(&command->as.page);
        break;
    case VMGEXIT_OP_ADJUST:
        vmgexit_do_adjust(&command->as.adjust);
        break;
    case VMGEXIT_OP_PSP:
        vmgexit_prepare(&command->as.psp);
        vmgexit_flag(&vmgexit_answer, "ok", true);
        break;
    default:
        vmgexit_do_interrupts(svsm, command);
    }
}

/* Whether a command is for a machine with memory; the commands that only such a one has are the last. */
static inline bool vmgexit_is_on_memory(const struct vmgexit_command *command)
{
    if (command->operation == VMGEXIT_OP_INIT)
        return command->as.init.has_memory || !command->as.init.has_reg_count;
    return vmgexit_memory.is_there || command->operation >= VMGEXIT_OP_HOST_PAGE;
}

/* Answer a command of a machine with memory; false on one without. */
static inline bool vmgexit_do_on_memory(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command)
{
    const bool is_init = command->operation == VMGEXIT_OP_INIT;

    if (!vmgexit_is_on_memory(command)) {
        if (is_init && vmgexit_has_ids(&command->as.init))
            vmgexit_memory.is_there = false;
        return false;
    }
    vmgexit_answer_by(vmgexit_carry_out_on_memory,
                      (is_init || vmgexit_memory.is_there) && vmgexit_supports_on_memory(command), svsm, command);
    return true;
}

/* Say hello, and answer every line until standard input ends. The exit code of `main`. */
static inline int vmgexit_answer_on_memory(struct vmgexit_svsm *svsm, const struct vmgexit_svsm_on_memory *on_memory)
{
    vmgexit_on_memory = on_memory;
    vmgexit_of_interrupts = svsm;
    svsm->on_memory = vmgexit_do_on_memory;
    return vmgexit_answer_commands(svsm);
}

#endif /* VMGEXIT_MEMORY_ADAPTER_H */

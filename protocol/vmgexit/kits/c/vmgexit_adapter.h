/*
 * The adapter: it reads commands, does what the host and the guest do, and asks the SVSM for the rest.
 *
 * adapter.c includes this one, and no other file does. It fills in a `struct vmgexit_svsm`, and ends with
 * `return vmgexit_answer_commands(&svsm);`. A function that is left out makes its commands unsupported.
 */
#ifndef VMGEXIT_ADAPTER_H
#define VMGEXIT_ADAPTER_H

#include "vmgexit_answers.h"

/* The calls into an SVSM. Each may be NULL. */
struct vmgexit_svsm {
    const char *name, *profile; /* for the hello */
    bool binary;                /* let the driver send commands in binary, not as JSON */
    bool stays;                 /* the process goes on after a stop: `init` leaves nothing of what was before */
    /* A fresh SVSM for this VM. */
    void (*init)(struct vmgexit_vm *vm);
    /* Whether it has such a call; NULL: it answers all of them itself, by codes where it does not. */
    bool (*knows)(uint32_t protocol, uint32_t request);
    /* The guest calls. If NoFurtherSignal is set, the #HV handler runs first. */
    void (*call)(struct vmgexit_vcpu *cpu, struct vmgexit_registers *registers);
    /* From the #HV handler to VMGEXIT: take interrupts, present them, vmgexit_window. */
    void (*enter)(struct vmgexit_vcpu *cpu);
    /* The guest left for the host's own reasons: the #HV handler, and what EXITINTINFO holds. */
    void (*left)(struct vmgexit_vcpu *cpu);
    /* The guest got a new VMSA, which is in cpu->guest; its calling area is still the old one. */
    void (*new_vmsa)(struct vmgexit_vcpu *cpu);
    const struct vmgexit_apic *(*apic)(struct vmgexit_vcpu *cpu);
    /* Registrations for Alternate Injection that stand. */
    uint64_t (*reg_count)(struct vmgexit_vm *vm);
    /* Of a kit for memory: answer a command if it is about that; false where it is not. */
    bool (*on_memory)(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command);
};

/* --- commands ----------------------------------------------------------------------------------- */

static inline void vmgexit_begin_vm(const struct vmgexit_init_command *command)
{
    struct vmgexit_vm *vm = &vmgexit_vm;

    vm->cpus = (uint32_t)command->cpus;
    vm->reg_count = command->reg_count;
    vm->request_count = 0;
    for (uint32_t i = 0; i < vm->cpus; i++) {
        struct vmgexit_vcpu *cpu = &vm->vcpus[i];
        memset(cpu, 0, sizeof *cpu);
        cpu->vm = vm;
        cpu->index = i;
        cpu->apic_id = i < command->apic_ids.count ? (uint32_t)command->apic_ids.at[i] : i;
        cpu->guest.alternate_injection = true;
        cpu->guest.vintr = VMGEXIT_VINTR_CTRL_VGIF_MASK;
        cpu->calling_address = i ? VMGEXIT_OTHER_CALLING_AREAS + i * UINT64_C(4096) : VMGEXIT_FIRST_CALLING_AREA;
    }
}

static inline void vmgexit_do_init(const struct vmgexit_svsm *svsm, const struct vmgexit_init_command *command)
{
    vmgexit_begin_vm(command);
    if (svsm->init)
        svsm->init(&vmgexit_vm);
    vmgexit_flag(&vmgexit_answer, "ok", true);
    vmgexit_number(&vmgexit_answer, "cpus", command->cpus);
    vmgexit_number(&vmgexit_answer, "reg_count", command->reg_count);
}

/* Before the SVSM runs for a vCPU: a new VMSA and a moved calling area are used from here on. */
static inline void vmgexit_take_up(const struct vmgexit_svsm *svsm, struct vmgexit_vcpu *cpu)
{
    if (cpu->has_new_guest) {
        cpu->has_new_guest = false;
        cpu->new_guest.alternate_injection = cpu->guest.alternate_injection;
        cpu->guest = cpu->new_guest;
        vmgexit_move_calling_area(cpu, cpu->calling_address);
        svsm->new_vmsa(cpu);
    }
    if (cpu->has_new_calling) {
        cpu->has_new_calling = false;
        cpu->calling_address = cpu->new_calling_address;
        memset(&cpu->calling, 0, sizeof cpu->calling);
    }
}

static inline void vmgexit_do_call(const struct vmgexit_svsm *svsm, struct vmgexit_vcpu *cpu,
                                   const struct vmgexit_call_command *command)
{
    struct vmgexit_registers registers = {
        .protocol = (uint32_t)command->protocol, .request = (uint32_t)command->request,
        .rcx = command->rcx, .rdx = command->rdx, .r8 = command->r8,
    };

    vmgexit_take_up(svsm, cpu);
    cpu->guest.exit_int_info = 0;
    cpu->guest.vintr &= ~VMGEXIT_VINTR_CTRL_BUSY_MASK;
    svsm->call(cpu, &registers);
    vmgexit_number(&vmgexit_answer, "rax", registers.rax);
    vmgexit_number(&vmgexit_answer, "rcx", registers.rcx);
    vmgexit_number(&vmgexit_answer, "rdx", registers.rdx);
    vmgexit_number(&vmgexit_answer, "r8", registers.r8);
}

static inline void vmgexit_do_enter(const struct vmgexit_svsm *svsm, struct vmgexit_vcpu *cpu,
                                    const struct vmgexit_enter_command *command)
{
    vmgexit_take_up(svsm, cpu);
    cpu->late = command->late;
    cpu->cancelled = 0;
    svsm->enter(cpu);
    vmgexit_window(cpu); /* where the SVSM opened none, it comes too late to cancel anything */
    cpu->guest.exit_int_info = 0;
    if (!svsm->apic)
        vmgexit_text(&vmgexit_answer, "unsupported", "flags");
    vmgexit_put_vmrun(cpu);
    if (svsm->apic)
        vmgexit_put_flags(svsm->apic(cpu));
    vmgexit_number(&vmgexit_answer, "cancelled", cpu->cancelled);
}

static inline void vmgexit_do_intercept(const struct vmgexit_svsm *svsm, struct vmgexit_vcpu *cpu,
                                        const struct vmgexit_intercept_command *command)
{
    vmgexit_take_up(svsm, cpu);
    cpu->guest.exit_int_info = command->exitintinfo;
    cpu->guest.vintr = VMGEXIT_PUT(cpu->guest.vintr, VMGEXIT_VINTR_CTRL_BUSY, command->busy);
    svsm->left(cpu);
    vmgexit_put_vmrun(cpu);
}

static inline void vmgexit_do_host_irq(struct vmgexit_vcpu *cpu, const struct vmgexit_host_irq_command *command)
{
    bool signals, posted = vmgexit_post(cpu, (unsigned)command->vector, command->level, &signals);

    vmgexit_flag(&vmgexit_answer, "posted", posted);
    vmgexit_flag(&vmgexit_answer, "hv", signals);
    vmgexit_number(&vmgexit_answer, "status", cpu->doorbell.words[VMGEXIT_STATUS_WORD]);
}

static inline void vmgexit_do_guest_take(struct vmgexit_vcpu *cpu, const struct vmgexit_guest_take_command *command)
{
    uint64_t vector;
    enum vmgexit_taken taken = vmgexit_take(&cpu->guest, &vector);

    if (taken != VMGEXIT_TAKEN_NONE && command->gate)
        cpu->guest.interrupts_enabled = false;
    vmgexit_text(&vmgexit_answer, "taken", vmgexit_taken_names[taken]);
    vmgexit_number(&vmgexit_answer, "vector", vector);
}

static inline void vmgexit_do_guest(struct vmgexit_vcpu *cpu, const struct vmgexit_guest_command *command)
{
    cpu->guest.interrupts_enabled = command->if_;
    cpu->guest.vintr = VMGEXIT_PUT(cpu->guest.vintr, VMGEXIT_VINTR_CTRL_INT_SHADOW, command->shadow);
    if (command->has_cr8)
        cpu->guest.vintr = VMGEXIT_PUT(cpu->guest.vintr, VMGEXIT_VINTR_CTRL_V_TPR, command->cr8);
    vmgexit_flag(&vmgexit_answer, "ok", true);
}

static inline void vmgexit_do_set_vmsa(struct vmgexit_vcpu *cpu, const struct vmgexit_set_vmsa_command *command)
{
    cpu->has_new_guest = true;
    cpu->new_guest = (struct vmgexit_guest){
        .event_inj = command->event_inj,
        .vintr = command->has_vintr ? command->vintr : VMGEXIT_VINTR_CTRL_VGIF_MASK,
    };
    vmgexit_flag(&vmgexit_answer, "ok", true);
}

static inline void vmgexit_do_state(const struct vmgexit_svsm *svsm, struct vmgexit_vcpu *cpu)
{
    struct vmgexit_answer *answer = &vmgexit_answer;

    if (!svsm->apic || !svsm->reg_count)
        vmgexit_text(answer, "unsupported", "state");
    if (svsm->apic)
        vmgexit_put_apic(svsm->apic(cpu));
    vmgexit_put_vmrun(cpu);
    vmgexit_flag(answer, "if", cpu->guest.interrupts_enabled);
    vmgexit_flag(answer, "shadow", cpu->guest.vintr & VMGEXIT_VINTR_CTRL_INT_SHADOW_MASK);
    if (svsm->reg_count)
        vmgexit_number(answer, "reg_count", svsm->reg_count(cpu->vm));
    vmgexit_flag(answer, "alt_inj", cpu->guest.alternate_injection);
    vmgexit_put_requests("history", cpu->vm, 0);
}

/* Whether the APIC ids are one for each vCPU, and all different. */
static inline bool vmgexit_has_ids(const struct vmgexit_init_command *command)
{
    const struct vmgexit_numbers ids = command->apic_ids;

    if (ids.count && ids.count != command->cpus)
        return false;
    for (size_t i = 0; i < ids.count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (ids.at[i] == ids.at[j])
                return false;
        }
    }
    return true;
}

/* Whether the SVSM has what a command needs. */
static inline bool vmgexit_supports(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command)
{
    if (command->operation != VMGEXIT_OP_INIT && vmgexit_cpu_of(command) >= vmgexit_vm.cpus)
        return false;
    switch (command->operation) {
    case VMGEXIT_OP_INIT:
        return vmgexit_has_ids(&command->as.init);
    case VMGEXIT_OP_CALL:
        return svsm->call && (!svsm->knows || svsm->knows((uint32_t)command->as.call.protocol,
                                                         (uint32_t)command->as.call.request));
    case VMGEXIT_OP_ENTER:
        return svsm->enter;
    case VMGEXIT_OP_INTERCEPT:
        return svsm->left;
    case VMGEXIT_OP_SET_VMSA:
        return svsm->new_vmsa;
    default:
        return true;
    }
}

static inline void vmgexit_carry_out(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command)
{
    struct vmgexit_answer *answer = &vmgexit_answer;
    struct vmgexit_vcpu *cpu = &vmgexit_vm.vcpus[vmgexit_cpu_of(command)];

    switch (command->operation) {
    case VMGEXIT_OP_INIT:
        vmgexit_do_init(svsm, &command->as.init);
        break;
    case VMGEXIT_OP_CALL:
        vmgexit_do_call(svsm, cpu, &command->as.call);
        break;
    case VMGEXIT_OP_ENTER:
        vmgexit_do_enter(svsm, cpu, &command->as.enter);
        break;
    case VMGEXIT_OP_INTERCEPT:
        vmgexit_do_intercept(svsm, cpu, &command->as.intercept);
        break;
    case VMGEXIT_OP_HOST_IRQ:
        vmgexit_do_host_irq(cpu, &command->as.host_irq);
        break;
    case VMGEXIT_OP_GUEST_TAKE:
        vmgexit_do_guest_take(cpu, &command->as.guest_take);
        break;
    case VMGEXIT_OP_GUEST:
        vmgexit_do_guest(cpu, &command->as.guest);
        break;
    case VMGEXIT_OP_GUEST_LAZY_EOI:
        vmgexit_number(answer, "was", cpu->calling.no_eoi_required);
        cpu->calling.no_eoi_required = 0;
        break;
    case VMGEXIT_OP_SET_VMSA:
        vmgexit_do_set_vmsa(cpu, &command->as.set_vmsa);
        break;
    case VMGEXIT_OP_DOORBELL:
        vmgexit_key(answer, "hex");
        vmgexit_put_hex(answer, cpu->doorbell.bytes, sizeof cpu->doorbell.bytes);
        break;
    case VMGEXIT_OP_SET_DOORBELL:
        memcpy(cpu->doorbell.bytes, command->as.set_doorbell.hex.at, sizeof cpu->doorbell.bytes);
        vmgexit_flag(answer, "ok", true);
        break;
    case VMGEXIT_OP_HOST_REFUSE:
        cpu->refusing[command->as.host_refuse.call]++;
        vmgexit_flag(answer, "ok", true);
        break;
    case VMGEXIT_OP_STATE:
        vmgexit_do_state(svsm, cpu);
        break;
    default: /* what only a kit for memory has */
        vmgexit_text(answer, "unsupported", vmgexit_operation_names[command->operation]);
    }
}

/* Answer a command by `carry_out`, or, where it is not supported, by that. */
static inline void vmgexit_answer_by(void (*carry_out)(const struct vmgexit_svsm *, const struct vmgexit_command *),
                                     bool is_supported, const struct vmgexit_svsm *svsm,
                                     const struct vmgexit_command *command)
{
    const bool is_init = command->operation == VMGEXIT_OP_INIT;
    const uint32_t made = vmgexit_vm.request_count;

    if (!is_supported) {
        vmgexit_only("unsupported", vmgexit_operation_names[command->operation]);
        return;
    }
    vmgexit_begin_unless_stopped(is_init);
    carry_out(svsm, command);
    if (!is_init && vmgexit_vm.request_count > made)
        vmgexit_put_requests("calls", &vmgexit_vm, made);
    vmgexit_send_answer();
}

static VMGEXIT_NOT_INLINE void vmgexit_do_command(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command)
{
    if (!svsm->on_memory || !svsm->on_memory(svsm, command))
        vmgexit_answer_by(vmgexit_carry_out, vmgexit_supports(svsm, command), svsm, command);
}

/* Do a command and answer it; a stop comes back to here. Whether the SVSM goes on. */
static VMGEXIT_NOT_INLINE bool vmgexit_do_or_stop(const struct vmgexit_svsm *svsm, const struct vmgexit_command *command)
{
    if (!setjmp(vmgexit_stop.left)) {
        vmgexit_do_command(svsm, command);
        return true;
    }
    vmgexit_only(vmgexit_stop.kind, vmgexit_stop.text);
    return svsm->stays;
}

/* Answer a line, or a command in binary. */
static inline void vmgexit_answer_line(const void *of, const char *line, size_t length)
{
    static struct vmgexit_command command;
    const char *unknown; /* what the line is, where it is no command of this kit */

    if (vmgexit_takes_binary && length && line[0] == VMGEXIT_IN_BINARY)
        unknown = vmgexit_read_binary(&vmgexit_reader, line, length, vmgexit_vm.cpus, &command);
    else
        unknown = vmgexit_read_command(&vmgexit_reader, line, length, &command);
    if (unknown)
        vmgexit_only("unsupported", unknown);
    else if (!vmgexit_do_or_stop(of, &command))
        exit(0);
}

/* Say hello, and answer every line until standard input ends. The exit code of `main`. */
static inline int vmgexit_answer_commands(const struct vmgexit_svsm *svsm)
{
    vmgexit_takes_binary = svsm->binary;
    vmgexit_begin_hello(svsm->name, svsm->profile);
    if (svsm->stays)
        vmgexit_flag(&vmgexit_answer, "stays", true);
    if (svsm->binary)
        vmgexit_flag(&vmgexit_answer, "binary", true);
    vmgexit_send_answer();
    return vmgexit_answer_lines(vmgexit_answer_line, svsm);
}

/*
 * Run a program of operations up to its first stop, as the fuzzer's corpora of scenarios hold it. A function
 * for libFuzzer is this and no more: `return vmgexit_run_program(&svsm, data, size);`
 */
static inline int vmgexit_run_program(const struct vmgexit_svsm *svsm, const uint8_t *data, size_t size)
{
    static struct vmgexit_command command;
    const size_t count = size / VMGEXIT_OPERATION;

    for (size_t at = 0, end; at < count; at = end) {
        const uint8_t *operations = data + at * VMGEXIT_OPERATION;
        const unsigned which = at ? vmgexit_of_code(vmgexit_code(operations)) : VMGEXIT_OP_INIT;
        for (end = at + 1; end < count && !vmgexit_begins(vmgexit_code(data + end * VMGEXIT_OPERATION)); end++)
            ;
        if (which == VMGEXIT_OPERATIONS || !vmgexit_read_operations(&vmgexit_reader, operations, end - at,
                                                                    vmgexit_vm.cpus, which, &command))
            continue;
        if (which == VMGEXIT_OP_INIT)
            vmgexit_mend_ids(&vmgexit_reader, &command.as.init);
        if (!vmgexit_do_or_stop(svsm, &command))
            break;
    }
    return 0;
}

#endif /* VMGEXIT_ADAPTER_H */

/*
 * What stands around an SVSM: the host, the guest, and the pages that they share with it.
 *
 * The SVSM under test gets pointers to these pages and registers, and calls vmgexit_request and
 * vmgexit_window. Everything else here is done by commands, without the SVSM.
 */
#ifndef VMGEXIT_VM_H
#define VMGEXIT_VM_H

#include "vmgexit_commands.h"
#include "vmgexit_layouts.h"
#include <stdio.h>
#include <stdlib.h>

#define VMGEXIT_MOST_VCPUS 255
#define VMGEXIT_MOST_REQUESTS 8192
#define VMGEXIT_GUEST_VMPL 2
#define VMGEXIT_FIRST_CALLING_AREA UINT64_C(0x20002000)    /* of vCPU 0 */
#define VMGEXIT_OTHER_CALLING_AREAS UINT64_C(0xffff00000000) /* of vCPU n: n pages above */

/* What the hardware runs: the VMSA of the guest, as far as interrupts go. */
struct vmgexit_guest {
    bool interrupts_enabled; /* RFLAGS.IF */
    bool alternate_injection; /* its bit of SEV_FEATURES; the SVSM clears it when it disables */
    vmgexit_vintr_ctrl vintr;
    vmgexit_event_inj event_inj, exit_int_info;
};

/* The doorbell page, of which 256 bytes have a meaning: as a structure, as bytes, as words. */
union vmgexit_doorbell {
    struct vmgexit_doorbell_head head;
    uint8_t bytes[256];
    uint32_t words[64];
};

/* Where the guest VMPL's descriptor starts among the doorbell's words: status, then irr[1] to irr[7]. */
#define VMGEXIT_STATUS_WORD (offsetof(struct vmgexit_doorbell_head, vmpl2) / 4)
#define VMGEXIT_ISR_WORD (VMGEXIT_STATUS_WORD + offsetof(struct vmgexit_ext_int_descriptor, isr) / 4)

struct vmgexit_vm;

struct vmgexit_vcpu {
    union vmgexit_doorbell doorbell;
    struct vmgexit_calling_area calling;
    uint64_t calling_address;
    struct vmgexit_guest guest;
    struct vmgexit_vm *vm;
    uint32_t index, apic_id;

    /* The rest is the kit's own. */
    struct vmgexit_guest new_guest;
    uint64_t new_calling_address;
    bool has_new_guest, has_new_calling;
    uint32_t refusing[VMGEXIT_REQUESTS];
    struct vmgexit_posts late;
    unsigned cancelled;
};

/* The registers of a call: what the guest gives, and what it gets back. */
struct vmgexit_registers {
    uint32_t protocol, request;
    uint64_t rcx, rdx, r8;
    uint32_t rax;
};

/* What an SVSM keeps of a vCPU's local APIC. An SVSM may use it as its own state. */
struct vmgexit_apic {
    uint64_t icr;
    uint32_t irr[8], allowed[8], tmr[8], host_tmr[8]; /* vector 0 is bit 0 of the first word */
    uint8_t isr_stack[16];                            /* in service, the newest last */
    uint32_t isr_count;
    bool update_required, interrupt_delivered, interrupt_queued, lazy_eoi_pending, nmi_pending;
    uint32_t ipi_irr[8]; /* what other vCPUs sent, and this one has not taken */
    bool ipi_pending, ipi_nmi;
};

struct vmgexit_host_request {
    uint32_t cpu;
    enum vmgexit_request request;
    uint64_t info1;
};

struct vmgexit_vm {
    uint32_t cpus;
    uint64_t reg_count; /* as `init` gave it; the SVSM has its own from then on */
    struct vmgexit_vcpu vcpus[VMGEXIT_MOST_VCPUS];
    struct vmgexit_host_request requests[VMGEXIT_MOST_REQUESTS];
    uint32_t request_count;
};

/* --- what an SVSM calls ------------------------------------------------------------------------- */

/* Make a GHCB request to the host; false if the host refuses it. `info1` is SW_EXITINFO1. */
static inline bool vmgexit_request(struct vmgexit_vcpu *cpu, enum vmgexit_request request, uint64_t info1)
{
    struct vmgexit_vm *vm = cpu->vm;

    if (vm->request_count >= VMGEXIT_MOST_REQUESTS) {
        fputs("vmgexit kit: too many GHCB requests since init\n", stderr);
        exit(3);
    }
    vm->requests[vm->request_count++] =
        (struct vmgexit_host_request){ .cpu = cpu->index, .request = request, .info1 = info1 };
    if (!cpu->refusing[request])
        return true;
    cpu->refusing[request]--;
    return false;
}

/* Whether a page is, or is about to be, the calling area of a vCPU. */
static inline bool vmgexit_is_calling_area(const struct vmgexit_vm *vm, uint64_t address)
{
    for (uint32_t i = 0; i < vm->cpus; i++) {
        const struct vmgexit_vcpu *cpu = &vm->vcpus[i];
        if ((cpu->has_new_calling ? cpu->new_calling_address : cpu->calling_address) == address)
            return true;
    }
    return false;
}

/* The guest's calling area is this page, which is zero, from this vCPU's next `call`, `enter` or `intercept` on. */
static inline void vmgexit_move_calling_area(struct vmgexit_vcpu *cpu, uint64_t address)
{
    cpu->has_new_calling = true;
    cpu->new_calling_address = address;
}

/* The SVSM stopped by an assertion, or asked the host to end the VM: the answer is that, and the adapter ends. */
_Noreturn void vmgexit_panic(const char *text);
_Noreturn void vmgexit_terminate(const char *text);

/* Sets of vectors, as a local APIC has them: vector 0 is bit 0 of the first word. */
static inline bool vmgexit_has(const uint32_t *set, unsigned vector)
{
    return set[vector / 32] >> vector % 32 & 1;
}

static inline void vmgexit_add(uint32_t *set, unsigned vector)
{
    set[vector / 32] |= UINT32_C(1) << vector % 32;
}

/* Take a vector out: whether it was in. */
static inline bool vmgexit_drop(uint32_t *set, unsigned vector)
{
    bool was_in = vmgexit_has(set, vector);

    set[vector / 32] &= ~(UINT32_C(1) << vector % 32);
    return was_in;
}

/* The highest vector, or 0. */
static inline unsigned vmgexit_top(const uint32_t *set)
{
    unsigned vector = 255;

    while (vector && !vmgexit_has(set, vector))
        vector--;
    return vector;
}

/* --- the host ----------------------------------------------------------------------------------- */

static inline void vmgexit_set_irr(struct vmgexit_vcpu *cpu, unsigned vector)
{
    if (vector == 31)
        cpu->doorbell.words[VMGEXIT_STATUS_WORD] |= VMGEXIT_EXT_INT_STATUS_VECTOR_31_MASK;
    else
        cpu->doorbell.words[VMGEXIT_STATUS_WORD + vector / 32] |= UINT32_C(1) << vector % 32;
}

/* Put a vector into the descriptor; false, with nothing changed, where it cannot be presented. */
static inline bool vmgexit_present_to_svsm(struct vmgexit_vcpu *cpu, unsigned vector, bool level)
{
    uint32_t *status = &cpu->doorbell.words[VMGEXIT_STATUS_WORD];
    const uint32_t field = VMGEXIT_GET(*status, VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR);
    const bool is_level = *status & VMGEXIT_EXT_INT_STATUS_LEVEL_SENSITIVE_MASK;
    const bool several = *status & VMGEXIT_EXT_INT_STATUS_MULTIPLE_VECTORS_MASK;
    const bool moves = field && !is_level && (level || !several);

    if (!vector || (level && field && is_level && field != vector))
        return false;
    if (level ? field && is_level : field == vector && !is_level && !several)
        return true; /* it is there already */
    if (!level && !field && !several) {
        *status |= vector;
        return true;
    }
    if ((!level && vector < 31) || (moves && field < 31))
        return false;
    if (moves) {
        *status &= ~VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR_MASK;
        vmgexit_set_irr(cpu, field);
    }
    if (!level)
        vmgexit_set_irr(cpu, vector);
    if (!level || moves)
        *status |= VMGEXIT_EXT_INT_STATUS_MULTIPLE_VECTORS_MASK;
    if (level)
        *status |= vector | VMGEXIT_EXT_INT_STATUS_LEVEL_SENSITIVE_MASK;
    return true;
}

/* Post an interrupt to the guest VMPL: whether it was accepted, and in `signals` whether a #HV is raised. */
static inline bool vmgexit_post(struct vmgexit_vcpu *cpu, unsigned vector, bool level, bool *signals)
{
    vmgexit_doorbell_flags *flags = &cpu->doorbell.head.flags;

    *signals = false;
    if (!vmgexit_present_to_svsm(cpu, vector, level))
        return false;
    cpu->doorbell.head.per_vmpl_events |= VMGEXIT_VMPL_EVENTS_VMPL2_MASK;
    *signals = !(*flags & VMGEXIT_DOORBELL_FLAGS_NO_FURTHER_SIGNAL_MASK);
    *flags |= VMGEXIT_DOORBELL_FLAGS_NO_FURTHER_SIGNAL_MASK;
    return true;
}

/*
 * The switch window, which an SVSM opens between its last test of NoFurtherSignal and VMGEXIT. Interrupts
 * that come late come here. True if one raised a #HV: the switch is cancelled, as if the guest had run and
 * left, and the SVSM starts over.
 */
static inline bool vmgexit_window(struct vmgexit_vcpu *cpu)
{
    bool cancels = false;

    for (size_t i = 0; i < cpu->late.count; i++) {
        bool signals;
        vmgexit_post(cpu, (unsigned)cpu->late.at[i].vector, cpu->late.at[i].level, &signals);
        cancels |= signals;
    }
    cpu->late.count = 0;
    cpu->cancelled += cancels;
    return cancels;
}

/* --- the guest ---------------------------------------------------------------------------------- */

enum vmgexit_taken { VMGEXIT_TAKEN_NONE, VMGEXIT_TAKEN_EVENT, VMGEXIT_TAKEN_NMI, VMGEXIT_TAKEN_OTHER, VMGEXIT_TAKEN_VIRQ };

static const char *const vmgexit_taken_names[] = { "none", "event", "nmi", "other", "virq" };

/* What the CPU takes now, and its vector: EVENTINJ whatever IF is, else V_IRQ if nothing is in its way. */
static inline enum vmgexit_taken vmgexit_take(struct vmgexit_guest *guest, uint64_t *vector)
{
    const uint64_t event = guest->event_inj, vintr = guest->vintr;

    *vector = 0;
    if (event & VMGEXIT_EVENT_INJ_VALID_MASK) {
        const uint64_t type = VMGEXIT_GET(event, VMGEXIT_EVENT_INJ_TYPE);
        guest->event_inj = 0;
        *vector = type == VMGEXIT_EVENT_TYPE_CODE_NMI ? 2 : VMGEXIT_GET(event, VMGEXIT_EVENT_INJ_VECTOR);
        if (type == VMGEXIT_EVENT_TYPE_CODE_NMI)
            return VMGEXIT_TAKEN_NMI;
        return type == VMGEXIT_EVENT_TYPE_CODE_EXTERNAL_INTERRUPT ? VMGEXIT_TAKEN_EVENT : VMGEXIT_TAKEN_OTHER;
    }
    if (!(vintr & VMGEXIT_VINTR_CTRL_V_IRQ_MASK) || !(vintr & VMGEXIT_VINTR_CTRL_VGIF_MASK) ||
        (vintr & VMGEXIT_VINTR_CTRL_INT_SHADOW_MASK) || !guest->interrupts_enabled)
        return VMGEXIT_TAKEN_NONE;
    if (!(vintr & VMGEXIT_VINTR_CTRL_V_IGN_TPR_MASK) &&
        VMGEXIT_GET(vintr, VMGEXIT_VINTR_CTRL_V_INTR_PRIO) <= (VMGEXIT_GET(vintr, VMGEXIT_VINTR_CTRL_V_TPR) & 15))
        return VMGEXIT_TAKEN_NONE;
    guest->vintr &= ~VMGEXIT_VINTR_CTRL_V_IRQ_MASK;
    *vector = VMGEXIT_GET(vintr, VMGEXIT_VINTR_CTRL_V_INTR_VECTOR);
    return VMGEXIT_TAKEN_VIRQ;
}

#endif /* VMGEXIT_VM_H */

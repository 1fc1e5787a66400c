/*
 * The adapter of your GHCB host, around a small one that is meant to be replaced.
 *
 * It carries out some exits as the reference does; the others it does not have, which never counts as wrong.
 * Replace what stands between `knows` and `main`, events.h and words.h, by calls into your host.
 */
#include "vmgexit_host.h"
#include "events.h"
#include "words.h"

#define AT(field) offsetof(struct vmgexit_ghcb, field)
#define BAD(error) vmgexit_answered(page, VMGEXIT_STATUS_CODE_MALFORMED_INPUT, VMGEXIT_MALFORMED_INPUT_CODE_##error)
#define DONE(detail) vmgexit_answered(page, VMGEXIT_STATUS_CODE_DONE, detail)
#define FEATURES 3 /* SEV-SNP and AP creation */

/* MMIO and messages it has for SNP guests of version 2 only, and of IOIO not the string forms. */
static bool knows(const struct vmgexit_vm *vm, const struct vmgexit_ghcb *page)
{
    switch (page->sw_exit_code) {
    case VMGEXIT_EXIT_CODE_CPUID:
    case VMGEXIT_EXIT_CODE_INVD:
    case VMGEXIT_EXIT_CODE_WBINVD:
    case VMGEXIT_EXIT_CODE_AP_RESET_HOLD:
    case VMGEXIT_EXIT_CODE_HYPERVISOR_FEATURES:
        return true;
    case VMGEXIT_EXIT_CODE_IOIO:
        return !VMGEXIT_GET(page->sw_exit_info_1, VMGEXIT_IOIO_INFO_STRING);
    case VMGEXIT_EXIT_CODE_MMIO_READ:
    case VMGEXIT_EXIT_CODE_MMIO_WRITE:
    case VMGEXIT_EXIT_CODE_SNP_GUEST_REQUEST:
    case VMGEXIT_EXIT_CODE_HV_DOORBELL_PAGE:
        return vm->setup.snp && vm->setup.ghcb_version == 2;
    default:
        return !vmgexit_exit_of(page); /* what is no exit, it refuses */
    }
}

static struct vmgexit_run cpuid(struct vmgexit_ghcb *page)
{
    const uint32_t leaf = (uint32_t)page->rax, sub_leaf = (uint32_t)page->rcx;
    uint32_t registers[4];
    struct vmgexit_run run;

    if (leaf == 0xd) {
        if (!vmgexit_is_valid(page, AT(xcr0)))
            return BAD(MISSING_INPUT);
        vmgexit_note_xcr0(page->xcr0); /* is in force from here on */
    }
    vmgexit_ask_cpuid(leaf, sub_leaf, registers);
    run = DONE(0);
    page->rax = registers[0];
    page->rbx = registers[1];
    page->rcx = registers[2];
    page->rdx = registers[3];
    vmgexit_mark(page, AT(rax));
    vmgexit_mark(page, AT(rbx));
    vmgexit_mark(page, AT(rcx));
    vmgexit_mark(page, AT(rdx));
    return run;
}

/* SW_EXITINFO1 has port and size. A shorter IN leaves the rest of RAX as it was. */
static struct vmgexit_run ioio(struct vmgexit_ghcb *page)
{
    const vmgexit_ioio_info info = page->sw_exit_info_1;
    const unsigned size = info >> VMGEXIT_IOIO_INFO_SIZE_8_SHIFT & 7;
    const unsigned width = info >> VMGEXIT_IOIO_INFO_ADDRESS_16_SHIFT & 7;
    const uint16_t port = (uint16_t)VMGEXIT_GET(info, VMGEXIT_IOIO_INFO_PORT);
    const bool is_in = VMGEXIT_GET(info, VMGEXIT_IOIO_INFO_IS_IN), has_rax = vmgexit_is_valid(page, AT(rax));
    uint64_t rax = has_rax ? page->rax : 0;
    struct vmgexit_run run;

    if (!is_in && !has_rax)
        return BAD(MISSING_INPUT);
    if (info & VMGEXIT_IOIO_INFO_MUST_BE_ZERO || (size != 1 && size != 2 && size != 4) || width & (width - 1) ||
        VMGEXIT_GET(info, VMGEXIT_IOIO_INFO_SEGMENT) > VMGEXIT_SEGMENT_CODE_GS)
        return BAD(INVALID_INPUT);
    if (!is_in) {
        vmgexit_note_out(port, size, (const uint8_t *)&rax, size);
        return DONE(0);
    }
    if (size == 4)
        rax = 0;
    vmgexit_ask_in(port, size, (uint8_t *)&rax);
    run = DONE(0);
    page->rax = rax;
    vmgexit_mark(page, AT(rax));
    return run;
}

/* SW_EXITINFO1 is an address, SW_EXITINFO2 a length; the bytes are in the shared buffer, where SW_SCRATCH says. */
static struct vmgexit_run mmio(uint64_t gpa, struct vmgexit_ghcb *page)
{
    const uint64_t size = page->sw_exit_info_2, start = gpa + AT(shared_buffer);
    const uint64_t at = page->sw_scratch - start;

    if (!size)
        return DONE(0);
    if (size > 8)
        return BAD(INVALID_INPUT);
    if (page->sw_scratch < start || at > sizeof page->shared_buffer - size)
        return BAD(INVALID_SCRATCH_AREA);
    if (page->sw_exit_code == VMGEXIT_EXIT_CODE_MMIO_READ)
        vmgexit_ask_mmio_read(page->sw_exit_info_1, (unsigned)size, page->shared_buffer + at);
    else
        vmgexit_note_mmio_write(page->sw_exit_info_1, page->shared_buffer + at, size);
    return DONE(0);
}

/* SW_EXITINFO1 and SW_EXITINFO2 are the pages of the request and of the response. */
static struct vmgexit_run guest_request(struct vmgexit_ghcb *page)
{
    static uint8_t message[VMGEXIT_PAGE];
    const uint64_t request = page->sw_exit_info_1, response = page->sw_exit_info_2;
    uint64_t error;

    if (request % VMGEXIT_PAGE || response % VMGEXIT_PAGE || request == response ||
        !vmgexit_is_memory(request, VMGEXIT_PAGE) || !vmgexit_is_memory(response, VMGEXIT_PAGE))
        return BAD(INVALID_INPUT);
    vmgexit_read_memory(request, message, sizeof message);
    error = vmgexit_ask_firmware();
    memset(message, 0, sizeof message);
    if (!error)
        vmgexit_write_memory(response, message, sizeof message);
    return DONE(error);
}

static struct vmgexit_run carry_out(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t gpa, struct vmgexit_ghcb *page)
{
    const struct vmgexit_exit *exit = vmgexit_exit_of(page);

    if (!gpa || !vmgexit_is_memory(gpa, VMGEXIT_PAGE))
        return (struct vmgexit_run){ .how = VMGEXIT_UNTOUCHED };
    if (vm->setup.snp && vmgexit_vcpus[cpu].registered != gpa)
        return BAD(NOT_REGISTERED);
    if (page->ghcb_usage)
        return BAD(INVALID_USAGE);
    if (!vmgexit_has_needs(page, exit ? exit : &vmgexit_no_exit))
        return BAD(MISSING_INPUT);
    if (!exit)
        return BAD(INVALID_EVENT);
    if (vm->setup.ghcb_version < exit->since)
        return BAD(INVALID_INPUT);
    switch (page->sw_exit_code) {
    case VMGEXIT_EXIT_CODE_CPUID:
        return cpuid(page);
    case VMGEXIT_EXIT_CODE_IOIO:
        return ioio(page);
    case VMGEXIT_EXIT_CODE_MMIO_READ:
    case VMGEXIT_EXIT_CODE_MMIO_WRITE:
        return mmio(gpa, page);
    case VMGEXIT_EXIT_CODE_SNP_GUEST_REQUEST:
        return guest_request(page);
    case VMGEXIT_EXIT_CODE_HV_DOORBELL_PAGE:
        return doorbell(cpu, page);
    case VMGEXIT_EXIT_CODE_AP_RESET_HOLD:
        return DONE(vmgexit_ask_hold());
    case VMGEXIT_EXIT_CODE_HYPERVISOR_FEATURES:
        return DONE(vm->setup.has_features ? vm->setup.features : FEATURES);
    default:
        return DONE(0); /* caches are the host's own */
    }
}

/* The page by which the vCPU waits says 1 from here on. */
static void sipi(const struct vmgexit_vm *vm, uint32_t cpu)
{
    const uint64_t released = 1;

    (void)vm;
    vmgexit_store(vmgexit_vcpus[cpu].held_by + AT(sw_exit_info_2), (const uint8_t *)&released, sizeof released);
}

int main(void)
{
    static const struct vmgexit_host host = {
        .name = "a small host", /* your host and its version */
        .profile = "reference",
        .stays = true, /* after a panic: there is nothing that the kit does not make anew */
        .tells = true,
        .knows = knows,
        .vmgexit = carry_out,
        .knows_word = knows_word,
        .msr = msr,
        .sipi = sipi,
        .enter = enter,
        .cancel = cancel,
    };

    return vmgexit_answer_commands(&host);
}

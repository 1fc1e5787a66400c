/*
 * The adapter of your GHCB host, around a small one that is meant to be replaced.
 *
 * It carries out some exits as the reference does; the others it does not have, which never counts as wrong.
 * Replace what stands between `knows` and `main` by calls into your host.
 */
#include "vmgexit_host.h"

enum { NOT_REGISTERED = 1, INVALID_USAGE = 2, BAD_SCRATCH = 3, MISSING_INPUT = 4, INVALID_INPUT = 5 };
#define AT(field) offsetof(struct vmgexit_ghcb, field)

static bool held[4096]; /* vCPUs that wait for a start-up IPI */

static void init(const struct vmgexit_vm *vm)
{
    (void)vm;
    memset(held, 0, sizeof held);
}

/* MMIO and messages it has for SNP guests that speak version 2 only. */
static bool knows(const struct vmgexit_vm *vm, const struct vmgexit_ghcb *page)
{
    switch (page->sw_exit_code) {
    case VMGEXIT_EXIT_CODE_CPUID:
    case VMGEXIT_EXIT_CODE_INVD:
    case VMGEXIT_EXIT_CODE_WBINVD:
    case VMGEXIT_EXIT_CODE_AP_RESET_HOLD:
        return true;
    case VMGEXIT_EXIT_CODE_MMIO_READ:
    case VMGEXIT_EXIT_CODE_MMIO_WRITE:
    case VMGEXIT_EXIT_CODE_SNP_GUEST_REQUEST:
        return vm->setup.snp && vm->setup.ghcb_version == 2 && page->protocol_version == 2;
    default:
        return false;
    }
}

/* Whether the guest marked all that an exit needs. */
static bool has_input(const struct vmgexit_ghcb *page)
{
    if (!vmgexit_is_valid(page, AT(sw_exit_code)) || !vmgexit_is_valid(page, AT(sw_exit_info_1)) ||
        !vmgexit_is_valid(page, AT(sw_exit_info_2)))
        return false;
    if (page->sw_exit_code == VMGEXIT_EXIT_CODE_MMIO_READ || page->sw_exit_code == VMGEXIT_EXIT_CODE_MMIO_WRITE)
        return vmgexit_is_valid(page, AT(sw_scratch));
    if (page->sw_exit_code != VMGEXIT_EXIT_CODE_CPUID)
        return true;
    return vmgexit_is_valid(page, AT(rax)) && vmgexit_is_valid(page, AT(rcx)) &&
           ((uint32_t)page->rax != 0xd || vmgexit_is_valid(page, AT(xcr0)));
}

static struct vmgexit_run cpuid(struct vmgexit_ghcb *page)
{
    uint32_t registers[4];
    struct vmgexit_run run;

    if ((uint32_t)page->rax == 0xd)
        vmgexit_ask("xcr0", VMGEXIT_NUMBERS(page->xcr0), NULL, 0); /* is in force from here on */
    vmgexit_ask_cpuid((uint32_t)page->rax, (uint32_t)page->rcx, registers);
    run = vmgexit_answered(page, 0, 0);
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

/* SW_EXITINFO1 is an address, SW_EXITINFO2 a length; the bytes are in the shared buffer, where SW_SCRATCH says. */
static struct vmgexit_run mmio(uint64_t gpa, struct vmgexit_ghcb *page)
{
    const uint64_t size = page->sw_exit_info_2, start = gpa + AT(shared_buffer);
    const uint64_t at = page->sw_scratch - start;

    if (!size)
        return vmgexit_answered(page, 0, 0);
    if (size > 8)
        return vmgexit_answered(page, 2, INVALID_INPUT);
    if (page->sw_scratch < start || at > sizeof page->shared_buffer - size)
        return vmgexit_answered(page, 2, BAD_SCRATCH);
    if (page->sw_exit_code == VMGEXIT_EXIT_CODE_MMIO_READ)
        vmgexit_ask_mmio_read(page->sw_exit_info_1, (unsigned)size, page->shared_buffer + at);
    else
        vmgexit_ask_mmio_write(page->sw_exit_info_1, (unsigned)size, page->shared_buffer + at);
    return vmgexit_answered(page, 0, 0);
}

/* SW_EXITINFO1 and SW_EXITINFO2 are the pages of the request and of the response. */
static struct vmgexit_run guest_request(struct vmgexit_ghcb *page)
{
    static uint8_t message[VMGEXIT_PAGE];
    const uint64_t request = page->sw_exit_info_1, response = page->sw_exit_info_2;
    uint64_t error;

    if (request % VMGEXIT_PAGE || response % VMGEXIT_PAGE || request == response ||
        !vmgexit_is_memory(request, VMGEXIT_PAGE) || !vmgexit_is_memory(response, VMGEXIT_PAGE))
        return vmgexit_answered(page, 2, INVALID_INPUT);
    vmgexit_read_memory(request, message, sizeof message);
    error = vmgexit_ask_firmware();
    memset(message, 0, sizeof message);
    if (!error)
        vmgexit_write_memory(response, message, sizeof message);
    return vmgexit_answered(page, 0, error);
}

static struct vmgexit_run carry_out(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t gpa, struct vmgexit_ghcb *page)
{
    if (gpa > vm->setup.memory_top || vm->setup.memory_top - gpa < VMGEXIT_PAGE)
        return (struct vmgexit_run){ .how = VMGEXIT_UNTOUCHED };
    if (vm->setup.snp && vm->setup.registered != gpa)
        return vmgexit_answered(page, 2, NOT_REGISTERED);
    if (page->ghcb_usage)
        return vmgexit_answered(page, 2, INVALID_USAGE);
    if (!has_input(page))
        return vmgexit_answered(page, 2, MISSING_INPUT);
    switch (page->sw_exit_code) {
    case VMGEXIT_EXIT_CODE_CPUID:
        return cpuid(page);
    case VMGEXIT_EXIT_CODE_MMIO_READ:
    case VMGEXIT_EXIT_CODE_MMIO_WRITE:
        return mmio(gpa, page);
    case VMGEXIT_EXIT_CODE_SNP_GUEST_REQUEST:
        return guest_request(page);
    case VMGEXIT_EXIT_CODE_AP_RESET_HOLD:
        held[cpu] = !vmgexit_ask_hold();
        return vmgexit_answered(page, 0, !held[cpu]);
    default:
        return vmgexit_answered(page, 0, 0); /* caches are the host's own */
    }
}

static bool knows_word(uint64_t word)
{
    return (word & 0xfff) == 0x002 || (word & 0xfff) == 0x100;
}

static struct vmgexit_run msr(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t *word)
{
    (void)cpu;
    if ((*word & 0xfff) == 0x100)
        return (struct vmgexit_run){ .how = VMGEXIT_TERMINATE, .value = *word };
    *word = vm->setup.ghcb_version << 48 | UINT64_C(1) << 32 | vm->setup.c_bit << 24 | 0x001;
    return (struct vmgexit_run){ .how = VMGEXIT_GUEST };
}

static bool sipi(const struct vmgexit_vm *vm, uint32_t cpu)
{
    const bool was_held = held[cpu];

    (void)vm;
    held[cpu] = false;
    return was_held;
}

int main(void)
{
    static const struct vmgexit_host host = {
        .name = "a small host", /* your host and its version */
        .profile = "reference",
        .init = init,
        .knows = knows,
        .vmgexit = carry_out,
        .knows_word = knows_word,
        .msr = msr,
        .sipi = sipi,
    };

    return vmgexit_answer_commands(&host);
}

/* An adapter around the host of host.h. ./adapter --bugs rdtsc,size: with these bugs; all: with all of them. */
#include "host.h"
#include "vmgexit_host.h"

static const char *const names[HOST_BUGS] = { "rdtsc", "size",  "write", "entry", "response",
                                              "frame", "usage", "bound", "rdx",   "fetch" };

/* --- what the host calls: its platform is the kit ------------------------------------------------- */

bool platform_is_memory(uint64_t gpa, uint64_t size)
{
    return vmgexit_is_memory(gpa, size);
}

void platform_load(uint64_t gpa, uint8_t *into, size_t size)
{
    vmgexit_read_memory(gpa, into, size);
}

void platform_store(uint64_t gpa, const uint8_t *from, size_t size)
{
    vmgexit_write_memory(gpa, from, size);
}

void platform_poke(uint64_t gpa, uint64_t value)
{
    vmgexit_store(gpa, (const uint8_t *)&value, sizeof value);
}

void platform_cpuid(uint32_t leaf, uint32_t sub_leaf, uint32_t registers[4])
{
    vmgexit_ask_cpuid(leaf, sub_leaf, registers);
}

void platform_xcr0(uint64_t value)
{
    vmgexit_note_xcr0(value);
}

void platform_in(uint16_t port, unsigned size, uint8_t *bytes)
{
    vmgexit_ask_in(port, size, bytes);
}

void platform_out(uint16_t port, unsigned size, const uint8_t *bytes)
{
    vmgexit_note_out(port, size, bytes, size);
}

void platform_mmio(uint64_t gpa, bool reads, unsigned size, uint8_t *bytes)
{
    if (reads)
        vmgexit_ask_mmio_read(gpa, size, bytes);
    else
        vmgexit_note_mmio_write(gpa, bytes, size);
}

bool platform_msr(uint32_t number, bool writes, uint64_t *value)
{
    return writes ? vmgexit_ask_wrmsr(number, *value) : vmgexit_ask_rdmsr(number, value);
}

uint32_t platform_firmware(void)
{
    return (uint32_t)vmgexit_ask_firmware();
}

bool platform_takes_maps(void)
{
    return vmgexit_vm.setup.map_exit;
}

bool platform_map(uint64_t gpa, uint64_t pages, bool is_private, bool large)
{
    return vmgexit_ask_map(gpa, pages, (is_private ? 16 : 0) | large);
}

uint64_t platform_budget(void)
{
    return vmgexit_vm.setup.has_page_budget ? vmgexit_vm.setup.page_budget : UINT64_MAX;
}

bool platform_hold(void)
{
    return vmgexit_ask_hold();
}

/* --- what the kit calls --------------------------------------------------------------------------- */

static void init(const struct vmgexit_vm *vm)
{
    const struct vmgexit_init_command *setup = &vm->setup;

    host_vm.snp = setup->snp;
    host_vm.version = (unsigned)setup->ghcb_version;
    host_vm.features = setup->has_features ? setup->features : 3;
    host_vm.tsc = setup->tsc_value;
    host_vm.c_bit = (uint8_t)setup->c_bit;
    for (unsigned i = 0; i < HOST_VCPUS; i++)
        host_vm.registered[i] = setup->registered;
}

/* String forms, and what needs memory outside of the page, it does not have. */
static bool knows(const struct vmgexit_vm *vm, const struct vmgexit_ghcb *page)
{
    switch (page->sw_exit_code) {
    case VMGEXIT_EXIT_CODE_IOIO:
        return !VMGEXIT_GET(page->sw_exit_info_1, VMGEXIT_IOIO_INFO_STRING);
    case VMGEXIT_EXIT_CODE_MMIO_READ:
    case VMGEXIT_EXIT_CODE_MMIO_WRITE:
        return vm->setup.ghcb_version == 2;
    case VMGEXIT_EXIT_CODE_SNP_PAGE_STATE_CHANGE:
    case VMGEXIT_EXIT_CODE_SNP_GUEST_REQUEST:
        return vm->setup.ghcb_version == 2 && vm->setup.snp;
    case VMGEXIT_EXIT_CODE_RDTSC:
    case VMGEXIT_EXIT_CODE_CPUID:
    case VMGEXIT_EXIT_CODE_INVD:
    case VMGEXIT_EXIT_CODE_WBINVD:
    case VMGEXIT_EXIT_CODE_MSR:
    case VMGEXIT_EXIT_CODE_AP_RESET_HOLD:
    case VMGEXIT_EXIT_CODE_HYPERVISOR_FEATURES:
        return true;
    default:
        return !vmgexit_exit_of(page);
    }
}

/* What follows an exit. What the host keeps of the vCPU is told. */
static struct vmgexit_run went_on(uint32_t cpu, enum host_end end, uint64_t value)
{
    static const enum vmgexit_goes_on how[] = { [GUEST_RUNS] = VMGEXIT_GUEST,
                                                [PAGE_UNTOUCHED] = VMGEXIT_UNTOUCHED,
                                                [VM_TERMINATED] = VMGEXIT_TERMINATE,
                                                [INTERNAL_ERROR] = VMGEXIT_INTERNAL };

    vmgexit_vcpus[cpu].registered = host_vm.registered[cpu];
    return (struct vmgexit_run){ .how = how[end], .value = value };
}

static struct vmgexit_run carry_out(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t gpa, struct vmgexit_ghcb *page)
{
    const uint64_t code = page->sw_exit_code;

    (void)vm;
    return went_on(cpu, host_exit(cpu, gpa, (uint8_t *)page), code);
}

static bool knows_word(const struct vmgexit_vm *vm, uint64_t word)
{
    const uint64_t info = VMGEXIT_GET(word, VMGEXIT_GHCB_MSR_INFO);

    return info == VMGEXIT_GHCB_INFO_CODE_SEV_INFO_REQUEST || info == VMGEXIT_GHCB_INFO_CODE_CPUID_REQUEST ||
           info == VMGEXIT_GHCB_INFO_CODE_TERMINATION_REQUEST ||
           (info == VMGEXIT_GHCB_INFO_CODE_REGISTER_GPA_REQUEST && vm->setup.snp);
}

static struct vmgexit_run msr(const struct vmgexit_vm *vm, uint32_t cpu, uint64_t *word)
{
    const enum host_end end = host_msr(cpu, word);

    (void)vm;
    return went_on(cpu, end, *word);
}

static void sipi(const struct vmgexit_vm *vm, uint32_t cpu)
{
    (void)vm;
    host_sipi(cpu);
}

int main(int count, char **arguments)
{
    static const struct vmgexit_host host = {
        .name = "a host with bugs",
        .profile = "reference",
        .tells = true,
        .init = init,
        .knows = knows,
        .vmgexit = carry_out,
        .knows_word = knows_word,
        .msr = msr,
        .sipi = sipi,
    };

    if (count == 3 && !strcmp(arguments[1], "--bugs")) {
        for (int i = 0; i < HOST_BUGS; i++)
            host_bugs[i] = !strcmp(arguments[2], "all") || strstr(arguments[2], names[i]);
    }
    return vmgexit_answer_commands(&host);
}

/*
 * What a GHCB host is given and may ask for: the VM as it was set up, guest memory, devices, the firmware.
 *
 * All that is asked is a part of the answer, in order. vmgexit_asked.h has a function for each thing that a
 * host may ask for; the functions here also give what the VM was set up to answer. A host whose assertion
 * fails calls vmgexit_panic.
 */
#ifndef VMGEXIT_ASKS_H
#define VMGEXIT_ASKS_H

#include "vmgexit_asked.h"
#include "vmgexit_commands.h"
#include "vmgexit_layouts.h"
#include "vmgexit_stops.h"
#include "vmgexit_vcpus.h"

#define VMGEXIT_MOST_PAGES 1024 /* of guest memory that are not zero */
#define VMGEXIT_MOST_LEAVES 64
#define VMGEXIT_MOST_VCPUS 4096
#define VMGEXIT_TAKEN_OVER 0x400 /* the page's bytes up to the end of its valid bitmap */

/* How the guest goes on after an exit. */
enum vmgexit_goes_on {
    VMGEXIT_GUEST,
    VMGEXIT_UNTOUCHED, /* the guest goes on, and nothing was written to its page */
    VMGEXIT_ERROR,     /* KVM_RUN fails with this number */
    VMGEXIT_TERMINATE, /* the VM ends; the value is the word of the GHCB MSR */
    VMGEXIT_INTERNAL,  /* an internal error, with the exit code */
};

struct vmgexit_run {
    enum vmgexit_goes_on how;
    uint64_t value;
};

/* The VM as it was set up, but for its memory, which vmgexit_read_memory reads. */
struct vmgexit_vm {
    struct vmgexit_init_command setup;
    struct vmgexit_leaf leaves[VMGEXIT_MOST_LEAVES];
    size_t leaf_count;
    uint8_t certificates[VMGEXIT_LONGEST_LINE / 2];
    size_t certificates_size;
};

static struct vmgexit_vm vmgexit_vm;

/* The exit at hand, and what a host keeps of its VM: it writes `jump_table`, the kit writes the rest. */
static struct vmgexit_now {
    uint32_t cpu;
    uint64_t gpa;
    struct vmgexit_ghcb *page; /* NULL: an exit without a page */
    struct vmgexit_pieces meanwhile; /* what another vCPU writes to the page */
    bool has_ended;
    uint64_t mappings; /* that user space was asked for */
    uint64_t jump_table;
    struct vmgexit_page_states states;
} vmgexit_now;

/* What a host keeps of its vCPUs: it writes them, but for `held` and `held_by`. */
static struct vmgexit_vcpu vmgexit_vcpus[VMGEXIT_MOST_VCPUS];

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

/*
 * Another vCPU writes to the page. It does so once the host has the first 0x400 bytes, after all that the host
 * asks by the functions below, and after its answer. A host may call this after each access of its own, too.
 */
static inline void vmgexit_go_on_meanwhile(void)
{
    if (vmgexit_now.page)
        vmgexit_apply(vmgexit_now.meanwhile, (uint8_t *)vmgexit_now.page, VMGEXIT_PAGE);
}

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
    if (vmgexit_now.page && gpa == vmgexit_now.gpa)
        return (uint8_t *)vmgexit_now.page;
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

/* How many of so many bytes are in the page of an address. */
static inline uint64_t vmgexit_piece(uint64_t gpa, uint64_t size)
{
    const uint64_t room = VMGEXIT_PAGE - gpa % VMGEXIT_PAGE;

    return size < room ? size : room;
}

static inline bool vmgexit_load(uint64_t gpa, uint8_t *into, uint64_t size)
{
    if (!vmgexit_is_memory(gpa, size))
        return false;
    for (uint64_t done = 0, piece; done < size; done += piece) {
        const uint8_t *page = vmgexit_page_at(gpa + done, false);
        piece = vmgexit_piece(gpa + done, size - done);
        if (page)
            memcpy(into + done, page + (gpa + done) % VMGEXIT_PAGE, piece);
        else
            memset(into + done, 0, piece);
    }
    return true;
}

static inline bool vmgexit_store(uint64_t gpa, const uint8_t *from, uint64_t size)
{
    if (!vmgexit_is_memory(gpa, size))
        return false;
    for (uint64_t done = 0, piece; done < size; done += piece) {
        bool is_zero = true;
        uint8_t *page;
        piece = vmgexit_piece(gpa + done, size - done);
        for (uint64_t i = 0; i < piece; i++)
            is_zero &= !from[done + i];
        page = vmgexit_page_at(gpa + done, !is_zero);
        if (page)
            memcpy(page + (gpa + done) % VMGEXIT_PAGE, from + done, piece);
    }
    return true;
}

/* --- what a host asks ---------------------------------------------------------------------------- */

/* What CPUID gives, in EAX, EBX, ECX and EDX. */
static inline void vmgexit_ask_cpuid(uint32_t leaf, uint32_t sub_leaf, uint32_t registers[4])
{
    vmgexit_note_cpuid(leaf, sub_leaf);
    vmgexit_go_on_meanwhile();
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

static inline void vmgexit_ask_in(uint16_t port, unsigned size, uint8_t *bytes)
{
    vmgexit_note_in(port, size);
    vmgexit_go_on_meanwhile();
    memset(bytes, (int)vmgexit_vm.setup.device_byte, size);
}

static inline void vmgexit_ask_mmio_read(uint64_t gpa, unsigned size, uint8_t *bytes)
{
    vmgexit_note_mmio_read(gpa, size);
    vmgexit_go_on_meanwhile();
    memset(bytes, (int)vmgexit_vm.setup.device_byte, size);
}

/* False where guest memory ends before. */
static inline bool vmgexit_read_memory(uint64_t gpa, uint8_t *into, size_t size)
{
    vmgexit_note_read_memory(gpa, size);
    vmgexit_go_on_meanwhile();
    return vmgexit_load(gpa, into, size);
}

static inline bool vmgexit_write_memory(uint64_t gpa, const uint8_t *from, size_t size)
{
    const bool is_done = vmgexit_store(gpa, from, size);
    size_t told = is_done ? size : 0;

    while (told && !from[told - 1])
        told--;
    vmgexit_note_write_memory(gpa, size, from, told);
    vmgexit_go_on_meanwhile();
    return is_done;
}

/* Attributes of a mapping. */
#define VMGEXIT_PRIVATE 16
#define VMGEXIT_LARGE 1 /* 2 MiB */

/* Whether user space made pages private or shared. */
static inline bool vmgexit_ask_map(uint64_t gpa, uint64_t pages, uint64_t attributes)
{
    const uint64_t number = vmgexit_now.mappings++;

    vmgexit_note_map(gpa, pages, attributes);
    vmgexit_go_on_meanwhile();
    if (vmgexit_vm.setup.has_map_fails_at && number == vmgexit_vm.setup.map_fails_at)
        return false;
    vmgexit_change_frames(&vmgexit_now.states, gpa / VMGEXIT_PAGE, pages, attributes & VMGEXIT_PRIVATE);
    return true;
}

/* Whether an access to an MSR does not fault. */
static inline bool vmgexit_ask_rdmsr(uint32_t number, uint64_t *value)
{
    vmgexit_note_rdmsr(number);
    vmgexit_go_on_meanwhile();
    *value = vmgexit_vm.setup.msr_value;
    return !vmgexit_vm.setup.msr_fault;
}

static inline bool vmgexit_ask_wrmsr(uint32_t number, uint64_t value)
{
    vmgexit_note_wrmsr(number, value);
    vmgexit_go_on_meanwhile();
    return !vmgexit_vm.setup.msr_fault;
}

/* What the firmware answers to a guest message: an error, or 0; the response is a page of zeros. */
static inline uint64_t vmgexit_ask_firmware(void)
{
    vmgexit_note_firmware();
    vmgexit_go_on_meanwhile();
    return vmgexit_vm.setup.firmware_error;
}

/* The vCPU waits for a start-up IPI; whether one follows at once. Until then it does not run. */
static inline bool vmgexit_ask_hold(void)
{
    struct vmgexit_vcpu *vcpu = &vmgexit_vcpus[vmgexit_now.cpu];

    vmgexit_note_hold();
    vmgexit_go_on_meanwhile();
    vcpu->held = !vmgexit_vm.setup.sipi;
    vcpu->held_by = vmgexit_now.page ? vmgexit_now.gpa : 0;
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

/* The row of the exit that a page asks for, or NULL: there is none of that code. */
static inline const struct vmgexit_exit *vmgexit_exit_of(const struct vmgexit_ghcb *page)
{
    for (size_t i = 0; i < VMGEXIT_COUNT(vmgexit_exits); i++) {
        if (vmgexit_exits[i].code == page->sw_exit_code)
            return &vmgexit_exits[i];
    }
    return NULL;
}

/* Whether the guest marked what every page of an exit needs. */
static inline bool vmgexit_has_needs(const struct vmgexit_ghcb *page, const struct vmgexit_exit *exit)
{
    for (size_t i = 0; i < sizeof exit->needs; i++) {
        if (exit->needs[i] & ~page->valid_bitmap[i])
            return false;
    }
    return true;
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

#endif /* VMGEXIT_ASKS_H */

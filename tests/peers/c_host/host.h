/* A GHCB host that knows nothing of vmgexit: it is given pages and words of the GHCB MSR, and asks its platform. */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGE_SIZE = 4096, HOST_VCPUS = 4096 };

enum host_bug {
    BUG_RDTSC,    /* RDTSC is an internal error */
    BUG_SIZE,     /* IOIO of size 0 is done */
    BUG_WRITE,    /* any SW_EXITINFO1 but 0 of an MSR exit is a write */
    BUG_ENTRY,    /* a finished entry of 4 KiB says that one page is done */
    BUG_RESPONSE, /* the response page is written after an error of the firmware, too */
    BUG_FRAME,    /* a page past guest memory is registered */
    BUG_USAGE,    /* the usage of the page is not looked at */
    BUG_BOUND,    /* MMIO may go past the end of the shared buffer */
    BUG_RDX,      /* CPUID does not mark RDX valid */
    BUG_FETCH,    /* whether an MSR exit is a read is fetched again after the read */
    HOST_BUGS
};
extern bool host_bugs[HOST_BUGS];

/* The VM, as it is set up. */
struct host_vm {
    bool snp;
    unsigned version;
    uint64_t features, tsc, registered[HOST_VCPUS], waiting[HOST_VCPUS];
    uint8_t c_bit;
};
extern struct host_vm host_vm;

/* How the guest goes on. */
enum host_end { GUEST_RUNS, PAGE_UNTOUCHED, VM_TERMINATED, INTERNAL_ERROR };

enum host_end host_exit(uint32_t cpu, uint64_t gpa, uint8_t page[PAGE_SIZE]);
enum host_end host_msr(uint32_t cpu, uint64_t *word);
void host_sipi(uint32_t cpu);

/* The platform. */
bool platform_is_memory(uint64_t gpa, uint64_t size);
void platform_load(uint64_t gpa, uint8_t *into, size_t size);
void platform_store(uint64_t gpa, const uint8_t *from, size_t size);
void platform_poke(uint64_t gpa, uint64_t value);
void platform_cpuid(uint32_t leaf, uint32_t sub_leaf, uint32_t registers[4]);
void platform_xcr0(uint64_t value);
void platform_in(uint16_t port, unsigned size, uint8_t *bytes);
void platform_out(uint16_t port, unsigned size, const uint8_t *bytes);
void platform_mmio(uint64_t gpa, bool reads, unsigned size, uint8_t *bytes);
bool platform_msr(uint32_t number, bool writes, uint64_t *value); /* false: it faults */
uint32_t platform_firmware(void);
bool platform_takes_maps(void);
bool platform_map(uint64_t gpa, uint64_t pages, bool is_private, bool large);
uint64_t platform_budget(void); /* pages after which a page list is left */
bool platform_hold(void);

#endif

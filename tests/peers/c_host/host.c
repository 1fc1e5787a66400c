/* A GHCB host, from the layout of the page. Fields are read and written by their offsets. */
#include "host.h"
#include <string.h>

enum {
    RAX = 0x1f8, RCX = 0x308, RDX = 0x310, RBX = 0x318,
    CODE = 0x390, INFO_1 = 0x398, INFO_2 = 0x3a0, SCRATCH = 0x3a8,
    XCR0 = 0x3e8, VALID = 0x3f0, BUFFER = 0x800, BUFFER_END = 0xff0, USAGE = 0xffc
};
enum { NOT_REGISTERED = 1, BAD_USAGE, BAD_SCRATCH, MISSING, INVALID, UNKNOWN_EXIT };

bool host_bugs[HOST_BUGS];
struct host_vm host_vm;

static uint64_t get(const uint8_t *page, size_t at)
{
    uint64_t value;
    memcpy(&value, page + at, sizeof value);
    return value;
}

static void put(uint8_t *page, size_t at, uint64_t value)
{
    memcpy(page + at, &value, sizeof value);
}

static bool is_valid(const uint8_t *page, size_t at)
{
    return page[VALID + at / 64] >> at / 8 % 8 & 1;
}

static void give(uint8_t *page, size_t at, uint64_t value)
{
    put(page, at, value);
    page[VALID + at / 64] |= (uint8_t)(1u << at / 8 % 8);
}

static enum host_end answer(uint8_t *page, uint64_t status, uint64_t detail)
{
    memset(page + VALID, 0, 16);
    give(page, INFO_1, status);
    give(page, INFO_2, detail);
    return GUEST_RUNS;
}

static enum host_end done(uint8_t *page, uint64_t detail) { return answer(page, 0, detail); }
static enum host_end refuse(uint8_t *page, uint64_t why) { return answer(page, 2, why); }

/* --- exits --------------------------------------------------------------------------------------- */

static enum host_end rdtsc(uint8_t *page)
{
    done(page, 0);
    if (host_bugs[BUG_RDTSC])
        return INTERNAL_ERROR;
    give(page, RAX, (uint32_t)host_vm.tsc);
    give(page, RDX, host_vm.tsc >> 32);
    return GUEST_RUNS;
}

static enum host_end cpuid(uint8_t *page)
{
    const uint32_t leaf = (uint32_t)get(page, RAX);
    uint32_t registers[4];

    if (!is_valid(page, RAX) || !is_valid(page, RCX) || (leaf == 0xd && !is_valid(page, XCR0)))
        return refuse(page, MISSING);
    if (leaf == 0xd)
        platform_xcr0(get(page, XCR0));
    platform_cpuid(leaf, (uint32_t)get(page, RCX), registers);
    done(page, 0);
    give(page, RAX, registers[0]);
    give(page, RBX, registers[1]);
    give(page, RCX, registers[2]);
    if (!host_bugs[BUG_RDX])
        give(page, RDX, registers[3]);
    return GUEST_RUNS;
}

/* SW_EXITINFO1: bit 0 IN, 4 to 6 the size, 7 to 9 the address size, 10 to 12 the segment, from 16 on the port. */
static enum host_end ioio(uint8_t *page)
{
    const uint64_t info = get(page, INFO_1);
    const unsigned size = info >> 4 & 7, width = info >> 7 & 7;
    const uint16_t port = (uint16_t)(info >> 16);
    uint8_t rax[8] = { 0 };

    if (is_valid(page, RAX))
        memcpy(rax, page + RAX, sizeof rax);
    else if (!(info & 1))
        return refuse(page, MISSING);
    if (info >> 32 || info & 0xe002 || width & (width - 1) || (info >> 10 & 7) > 5 ||
        (size != 1 && size != 2 && size != 4 && (size || !host_bugs[BUG_SIZE])))
        return refuse(page, INVALID);
    if (!size)
        return done(page, 0);
    if (!(info & 1)) {
        platform_out(port, size, rax);
        return done(page, 0);
    }
    if (size == 4)
        memset(rax, 0, sizeof rax);
    platform_in(port, size, rax);
    done(page, 0);
    give(page, RAX, get(rax, 0));
    return GUEST_RUNS;
}

static enum host_end msr_access(uint8_t *page)
{
    uint64_t info = get(page, INFO_1);
    uint64_t value = get(page, RDX) << 32 | (uint32_t)get(page, RAX);

    if (!is_valid(page, RCX) || ((host_bugs[BUG_WRITE] ? info != 0 : info & 1) && !(is_valid(page, RAX) && is_valid(page, RDX))))
        return refuse(page, MISSING);
    if (info > 1 && !host_bugs[BUG_WRITE])
        return refuse(page, INVALID);
    if (!platform_msr((uint32_t)get(page, RCX), info != 0, &value))
        return answer(page, 1, 0x8000030d); /* #GP */
    if (host_bugs[BUG_FETCH])
        info = get(page, INFO_1);
    done(page, 0);
    if (!info) {
        give(page, RAX, (uint32_t)value);
        give(page, RDX, value >> 32);
    }
    return GUEST_RUNS;
}

static enum host_end mmio(uint64_t gpa, uint8_t *page)
{
    const uint64_t size = get(page, INFO_2), at = get(page, SCRATCH) - gpa;
    const uint64_t end = BUFFER_END + (host_bugs[BUG_BOUND] ? 8 : 0);

    if (!is_valid(page, SCRATCH))
        return refuse(page, MISSING);
    if (size > 8)
        return refuse(page, INVALID);
    if (size && (get(page, SCRATCH) < gpa || at < BUFFER || at > end - size))
        return refuse(page, BAD_SCRATCH);
    if (size)
        platform_mmio(get(page, INFO_1), get(page, CODE) == 0x80000001, (unsigned)size, page + at);
    return done(page, 0);
}

static enum host_end guest_request(uint8_t *page)
{
    static uint8_t message[PAGE_SIZE];
    const uint64_t request = get(page, INFO_1), response = get(page, INFO_2);
    uint32_t error;

    if (request % PAGE_SIZE || response % PAGE_SIZE || request == response ||
        !platform_is_memory(request, PAGE_SIZE) || !platform_is_memory(response, PAGE_SIZE))
        return refuse(page, INVALID);
    platform_load(request, message, sizeof message);
    error = platform_firmware();
    memset(message, 0, sizeof message);
    if (!error || host_bugs[BUG_RESPONSE])
        platform_store(response, message, sizeof message);
    return done(page, error);
}

/* An entry: pages done in bits 11:0, frame, operation from bit 52 on, 2 MiB is bit 56. The error of the list. */
static uint64_t page_list(uint8_t *list, unsigned most)
{
    const uint64_t header = get(list, 0), last = header >> 16 & 0xffff;
    uint64_t current = header & 0xffff, budget = platform_budget();

    if (header >> 32 || last > most)
        return UINT64_C(1) << 32 | 1;
    for (; current <= last; current++) {
        uint64_t entry = get(list, 8 + 8 * current), begun = entry & 0xfff, left, now;
        const uint64_t frame = entry >> 12 & 0xffffffffff, operation = entry >> 52 & 0xf;
        const bool large = entry >> 56 & 1;

        memcpy(list, &current, 2);
        if (entry >> 57 || begun > (large ? 512 : 1) || (large && frame % 512) || !operation || operation > 4)
            return UINT64_C(1) << 32 | 2;
        left = (large ? 512 : 1) - begun;
        now = left < budget ? left : budget;
        if (!left)
            continue;
        if (operation <= 2 && !platform_map((frame + begun) * PAGE_SIZE, now, operation == 1, large && now == 512))
            return UINT64_C(0x100) << 32;
        begun = large ? begun + now : now < left ? begun : host_bugs[BUG_ENTRY];
        put(list, 8 + 8 * current, (entry & ~UINT64_C(0xfff)) | begun);
        budget -= now;
        if (now < left)
            return 0;
        if (!budget) {
            current++;
            break;
        }
    }
    memcpy(list, &current, 2);
    return 0;
}

static enum host_end page_state(uint64_t gpa, uint8_t *page)
{
    const uint64_t at = get(page, SCRATCH) - gpa;

    if (!is_valid(page, SCRATCH))
        return refuse(page, MISSING);
    if (get(page, SCRATCH) < gpa || at < BUFFER || at > BUFFER_END - 8)
        return refuse(page, BAD_SCRATCH);
    if (!platform_takes_maps())
        return done(page, UINT64_C(0x100) << 32);
    if (BUFFER_END - at < 16) /* room for the header alone */
        return done(page, UINT64_C(1) << 32 | 1);
    return done(page, page_list(page + at, (unsigned)(BUFFER_END - at - 16) / 8));
}

enum host_end host_exit(uint32_t cpu, uint64_t gpa, uint8_t page[PAGE_SIZE])
{
    if (!gpa || !platform_is_memory(gpa, PAGE_SIZE))
        return PAGE_UNTOUCHED;
    if (host_vm.snp && host_vm.registered[cpu] != gpa)
        return refuse(page, NOT_REGISTERED);
    if ((uint32_t)(get(page, USAGE - 4) >> 32) && !host_bugs[BUG_USAGE])
        return refuse(page, BAD_USAGE);
    if (!is_valid(page, CODE) || !is_valid(page, INFO_1) || !is_valid(page, INFO_2))
        return refuse(page, MISSING);
    switch (get(page, CODE)) {
    case 0x6e:
        return rdtsc(page);
    case 0x72:
        return cpuid(page);
    case 0x76: /* INVD and WBINVD: caches are the host's own */
    case 0x89:
        return done(page, 0);
    case 0x7b:
        return ioio(page);
    case 0x7c:
        return msr_access(page);
    case 0x80000001:
    case 0x80000002:
        return mmio(gpa, page);
    case 0x80000004:
        host_vm.waiting[cpu] = gpa;
        return done(page, platform_hold());
    case 0x80000010:
        return page_state(gpa, page);
    case 0x80000011:
        return guest_request(page);
    case 0x8000fffd:
        return host_vm.version < 2 ? refuse(page, INVALID) : done(page, host_vm.features);
    default:
        return refuse(page, UNKNOWN_EXIT);
    }
}

/* --- the MSR protocol ---------------------------------------------------------------------------- */

enum host_end host_msr(uint32_t cpu, uint64_t *word)
{
    uint32_t registers[4];
    uint64_t frame = *word >> 12;

    switch (*word & 0xfff) {
    case 0x002: /* versions and C-bit */
        *word = (uint64_t)host_vm.version << 48 | UINT64_C(1) << 32 | (uint64_t)host_vm.c_bit << 24 | 0x001;
        break;
    case 0x004: /* CPUID */
        platform_cpuid((uint32_t)(*word >> 32), 0, registers);
        *word = (uint64_t)registers[*word >> 30 & 3] << 32 | (*word & 0xc0000000) | 0x005;
        break;
    case 0x012: /* register a GHCB */
        if (platform_is_memory(frame * PAGE_SIZE, PAGE_SIZE) || host_bugs[BUG_FRAME])
            host_vm.registered[cpu] = frame * PAGE_SIZE;
        else
            frame = UINT64_MAX;
        *word = frame << 12 | 0x013;
        break;
    case 0x100:
        return VM_TERMINATED;
    }
    return GUEST_RUNS;
}

void host_sipi(uint32_t cpu)
{
    platform_poke(host_vm.waiting[cpu] + INFO_2, 1);
}

/*
 * Exits of a guest: a GHCB page, VMGEXIT, and what is expected of the answer. Output is TAP.
 *
 * It is for CPL 0 of an SEV-ES or SNP guest: a module, the guest of a KVM selftest, a small guest. The page is
 * shared with the host, and registered where the guest is an SNP guest; interrupts are off. You supply
 * vmgexit_print. With VMGEXIT_STUB defined it is an ordinary program: an adapter of a GHCB host answers in the
 * place of VMGEXIT.
 *
 * What depends on the VM, values of registers and bytes of the buffer, is compared only where the VM is the
 * one of the export: with VMGEXIT_STUB, or where VMGEXIT_SAME_VM says so.
 */
#ifndef VMGEXIT_GUEST_H
#define VMGEXIT_GUEST_H

#include "vmgexit_layouts.h"
#include <stdbool.h>

/* A function of this file. There are thousands of calls: a copy for each would take minutes to compile. */
#define VMGEXIT_HELPER static __attribute__((unused, noinline))

enum vmgexit_how { VMGEXIT_RETURNED, VMGEXIT_RUN_FAILED, VMGEXIT_VM_ENDED };

struct vmgexit_guest {
    struct vmgexit_ghcb *page;
    uint64_t gpa;
    struct vmgexit_ghcb given; /* the page before the exit */
    enum vmgexit_how how;      /* what the last exit came to; a guest sees only that it returned */
    uint64_t value;
    const char *skipped; /* why; NULL: it is not */
    bool failed;
};

struct vmgexit_exit_test {
    const char *name;
    void (*run)(struct vmgexit_guest *guest);
};

#ifdef VMGEXIT_STUB
#define VMGEXIT_SAME_VM
#include "stub/vmgexit_stub.h"
#else
/* Yours: how a text is printed. */
void vmgexit_print(const char *text);

#define VMGEXIT_MSR 0xc0010130 /* the GHCB MSR */

/* Set the GHCB MSR, and give control to the host; what the MSR holds then. */
VMGEXIT_HELPER uint64_t vmgexit_instruction(uint64_t word)
{
    uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32);

    __asm__ volatile("wrmsr" : : "c"(VMGEXIT_MSR), "a"(low), "d"(high) : "memory");
    __asm__ volatile("rep; vmmcall" : : : "memory"); /* VMGEXIT */
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(VMGEXIT_MSR) : "memory");
    return (uint64_t)high << 32 | low;
}
#endif

/* --- a page ------------------------------------------------------------------------------------- */

VMGEXIT_HELPER void vmgexit_copy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

VMGEXIT_HELPER void vmgexit_mark(struct vmgexit_ghcb *page, size_t offset)
{
    page->valid_bitmap[offset / 64] |= (uint8_t)(1u << offset / 8 % 8);
}

/* A field and its valid bit. */
#define VMGEXIT_SET(page, field, value) \
    ((page)->field = (value), vmgexit_mark(page, offsetof(struct vmgexit_ghcb, field)))

/* Bytes of a page from an offset on, as a string literal. */
#define VMGEXIT_PUT_BYTES(page, offset, bytes) vmgexit_copy((uint8_t *)(page) + (offset), bytes, sizeof(bytes) - 1)

/* A page of zeros for the next exit. */
VMGEXIT_HELPER struct vmgexit_ghcb *vmgexit_new_page(struct vmgexit_guest *guest)
{
    for (size_t i = 0; i < sizeof *guest->page; i++)
        ((volatile uint8_t *)guest->page)[i] = 0;
    return guest->page;
}

/* The VM of a test as the stub is told of it: VMGEXIT_VM({"op": "init", "snp": true}). */
#define VMGEXIT_VM(...) #__VA_ARGS__

/* The VM of a test, which only the stub can set up, and where its page stands there. */
VMGEXIT_HELPER void vmgexit_begin(struct vmgexit_guest *guest, const char *vm, uint64_t gpa)
{
#ifdef VMGEXIT_STUB
    guest->gpa = gpa;
    vmgexit_stub_set_up(guest, vm);
#else
    (void)guest;
    (void)vm;
    (void)gpa;
#endif
}

/* Whether a test can run here that is none for a guest: only the stub can. */
VMGEXIT_HELPER bool vmgexit_has_stub(struct vmgexit_guest *guest, const char *because)
{
#ifdef VMGEXIT_STUB
    (void)guest;
    (void)because;
    return true;
#else
    guest->skipped = because;
    return false;
#endif
}

/* --- exits -------------------------------------------------------------------------------------- */

/* Exit with the page. False where the test is over. */
VMGEXIT_HELPER bool vmgexit_exit(struct vmgexit_guest *guest)
{
    vmgexit_copy(&guest->given, guest->page, sizeof guest->given);
    guest->how = VMGEXIT_RETURNED;
#ifdef VMGEXIT_STUB
    vmgexit_stub_exit(guest);
#else
    vmgexit_instruction(guest->gpa);
#endif
    return !guest->skipped && !guest->failed;
}

/* Exit with a word in the GHCB MSR. False where the test is over. */
VMGEXIT_HELPER bool vmgexit_msr(struct vmgexit_guest *guest, uint64_t *word)
{
    guest->how = VMGEXIT_RETURNED;
#ifdef VMGEXIT_STUB
    vmgexit_stub_msr(guest, word);
#else
    *word = vmgexit_instruction(*word);
#endif
    return !guest->skipped && !guest->failed;
}

/* --- what is expected --------------------------------------------------------------------------- */

VMGEXIT_HELPER void vmgexit_print_number(uint64_t number, unsigned base)
{
    char text[23], *at = text + sizeof text;

    *--at = 0;
    do {
        *--at = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    if (base == 16) {
        *--at = 'x';
        *--at = '0';
    }
    vmgexit_print(at);
}

VMGEXIT_HELPER void vmgexit_print_hex(const char *before, uint64_t number)
{
    vmgexit_print(before);
    vmgexit_print_number(number, 16);
}

/* What is expected of a value; `offset` is where it stands in the page, or 0. */
VMGEXIT_HELPER void vmgexit_expect_at(struct vmgexit_guest *guest, const char *what, size_t offset, uint64_t found,
                                     uint64_t expected)
{
    if (found == expected)
        return;
    guest->failed = true;
    vmgexit_print("# ");
    vmgexit_print(what);
    if (offset)
        vmgexit_print_hex(" at page offset ", offset);
    vmgexit_print_hex(": ", found);
    vmgexit_print_hex(" found, ", expected);
    vmgexit_print(" expected\n");
}

VMGEXIT_HELPER void vmgexit_expect(struct vmgexit_guest *guest, const char *what, uint64_t found, uint64_t expected)
{
    vmgexit_expect_at(guest, what, 0, found, expected);
}

#define VMGEXIT_EXPECT(guest, field, value) vmgexit_expect(guest, #field, (guest)->page->field, value)

#ifdef VMGEXIT_SAME_VM
#define VMGEXIT_EXPECT_OF_VM VMGEXIT_EXPECT
#else
#define VMGEXIT_EXPECT_OF_VM(guest, field, value) ((void)(guest))
#endif

/* The fields that are valid are these, by their offsets. */
VMGEXIT_HELPER void vmgexit_expect_valid(struct vmgexit_guest *guest, const size_t *offsets, size_t count)
{
    struct vmgexit_ghcb expected = { .valid_bitmap = { 0 } };

    for (size_t i = 0; i < count; i++)
        vmgexit_mark(&expected, offsets[i]);
    for (size_t bit = 0; bit < 8 * sizeof expected.valid_bitmap; bit++)
        vmgexit_expect_at(guest, "valid bit", 8 * bit, guest->page->valid_bitmap[bit / 8] >> bit % 8 & 1,
                          expected.valid_bitmap[bit / 8] >> bit % 8 & 1);
}

#define VMGEXIT_AT(field) offsetof(struct vmgexit_ghcb, field)
#define VMGEXIT_EXPECT_VALID(guest, ...)                             \
    vmgexit_expect_valid(guest, (const size_t[]){ __VA_ARGS__ }, \
                         sizeof((const size_t[]){ __VA_ARGS__ }) / sizeof(size_t))

/* The bytes of the page are those of `given`, from an offset on. */
VMGEXIT_HELPER void vmgexit_expect_bytes(struct vmgexit_guest *guest, size_t offset, size_t size)
{
    for (size_t at = offset; at < offset + size; at++)
        vmgexit_expect_at(guest, "byte", at, ((const uint8_t *)guest->page)[at], ((const uint8_t *)&guest->given)[at]);
}

/* The buffer is as in `given`, into which an export puts what changes. */
VMGEXIT_HELPER void vmgexit_expect_buffer(struct vmgexit_guest *guest)
{
#ifdef VMGEXIT_SAME_VM
    vmgexit_expect_bytes(guest, offsetof(struct vmgexit_ghcb, shared_buffer), sizeof guest->given.shared_buffer);
#else
    (void)guest;
#endif
}

/* --- running ------------------------------------------------------------------------------------ */

/* Run tests with a page; how many failed. */
VMGEXIT_HELPER int vmgexit_run_exits(struct vmgexit_ghcb *page, uint64_t gpa, const struct vmgexit_exit_test *tests,
                                    size_t count)
{
    static struct vmgexit_guest guest;
    int failed = 0;

    vmgexit_print("TAP version 13\n1..");
    vmgexit_print_number(count, 10);
    vmgexit_print("\n");
    for (size_t i = 0; i < count; i++) {
        guest.page = page;
        guest.gpa = gpa;
        guest.skipped = NULL;
        guest.failed = false;
        tests[i].run(&guest);
        failed += guest.failed;
        vmgexit_print(guest.failed ? "not ok " : "ok ");
        vmgexit_print_number(i + 1, 10);
        vmgexit_print(" - ");
        vmgexit_print(tests[i].name);
        if (guest.skipped) {
            vmgexit_print(" # SKIP ");
            vmgexit_print(guest.skipped);
        }
        vmgexit_print("\n");
    }
    return failed;
}

#endif /* VMGEXIT_GUEST_H */

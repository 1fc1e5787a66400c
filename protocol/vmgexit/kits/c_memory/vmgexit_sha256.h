/* SHA-256 (FIPS 180-4) of one page, which the answer to `page` begins with. */
#ifndef VMGEXIT_SHA256_H
#define VMGEXIT_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VMGEXIT_SHA256_BLOCK 64

static const uint32_t vmgexit_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t vmgexit_rotated(uint32_t word, int by)
{
    return word >> by | word << (32 - by);
}

static inline void vmgexit_sha256_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t words[64], now[8];

    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        const uint32_t a = words[i - 15], b = words[i - 2];
        words[i] = words[i - 16] + words[i - 7] +
                   (vmgexit_rotated(a, 7) ^ vmgexit_rotated(a, 18) ^ a >> 3) +
                   (vmgexit_rotated(b, 17) ^ vmgexit_rotated(b, 19) ^ b >> 10);
    }
    memcpy(now, state, sizeof now);
    for (int i = 0; i < 64; i++) {
        const uint32_t a = now[0], e = now[4];
        const uint32_t first = now[7] + (vmgexit_rotated(e, 6) ^ vmgexit_rotated(e, 11) ^ vmgexit_rotated(e, 25)) +
                               ((e & now[5]) ^ (~e & now[6])) + vmgexit_sha256_constants[i] + words[i];
        const uint32_t second = (vmgexit_rotated(a, 2) ^ vmgexit_rotated(a, 13) ^ vmgexit_rotated(a, 22)) +
                                ((a & now[1]) ^ (a & now[2]) ^ (now[1] & now[2]));
        memmove(now + 1, now, 7 * sizeof *now);
        now[4] += first;
        now[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += now[i];
}

/* The first 8 bytes of the digest of `size` bytes, a multiple of 64, as a number. */
static inline uint64_t vmgexit_sha256_start(const uint8_t *data, size_t size)
{
    uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    uint8_t last[VMGEXIT_SHA256_BLOCK] = { 0x80 };

    for (size_t at = 0; at < size; at += VMGEXIT_SHA256_BLOCK)
        vmgexit_sha256_block(state, data + at);
    for (int i = 0; i < 8; i++)
        last[sizeof last - 1 - (size_t)i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
    vmgexit_sha256_block(state, last);
    return (uint64_t)state[0] << 32 | state[1];
}

#endif /* VMGEXIT_SHA256_H */

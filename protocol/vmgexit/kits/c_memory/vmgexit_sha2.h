/*
 * SHA-256 and SHA-512 (FIPS 180-4): of a page, which the answer to `page` begins with, and for attestation.
 *
 * Both are one algorithm, on words of 32 and of 64 bits.
 */
#ifndef VMGEXIT_SHA2_H
#define VMGEXIT_SHA2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VMGEXIT_SHA512_SIZE 64

struct vmgexit_sha2 {
    unsigned bits, rounds; /* of a word; of a block */
    unsigned small0[3], small1[3], big0[3], big1[3]; /* how far sigmas rotate; the small ones shift at last */
};

static const struct vmgexit_sha2 vmgexit_sha256_is = { 32, 64, { 7, 18, 3 }, { 17, 19, 10 }, { 2, 13, 22 }, { 6, 11, 25 } };
static const struct vmgexit_sha2 vmgexit_sha512_is = { 64, 80, { 1, 8, 7 }, { 19, 61, 6 }, { 28, 34, 39 }, { 14, 18, 41 } };

/* Those of SHA-256 are the upper halves. */
static const uint64_t vmgexit_sha2_start[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};
static const uint64_t vmgexit_sha2_constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static inline uint64_t vmgexit_rotated(const struct vmgexit_sha2 *of, uint64_t word, unsigned by)
{
    return word >> by | word << (of->bits - by);
}

static inline uint64_t vmgexit_sigma(const struct vmgexit_sha2 *of, uint64_t word, const unsigned by[3], bool is_small)
{
    return vmgexit_rotated(of, word, by[0]) ^ vmgexit_rotated(of, word, by[1]) ^
           (is_small ? word >> by[2] : vmgexit_rotated(of, word, by[2]));
}

/* One block of 16 words. */
static inline void vmgexit_sha2_block(const struct vmgexit_sha2 *of, uint64_t state[8], const uint8_t *block)
{
    const uint64_t mask = UINT64_MAX >> (64 - of->bits);
    uint64_t words[80], now[8];

    for (unsigned i = 0; i < 16; i++) {
        words[i] = 0;
        for (unsigned j = 0; j < of->bits / 8; j++)
            words[i] = words[i] << 8 | *block++;
    }
    for (unsigned i = 16; i < of->rounds; i++)
        words[i] = mask & (words[i - 16] + words[i - 7] + (mask & vmgexit_sigma(of, words[i - 15], of->small0, true)) +
                           (mask & vmgexit_sigma(of, words[i - 2], of->small1, true)));
    memcpy(now, state, sizeof now);
    for (unsigned i = 0; i < of->rounds; i++) {
        const uint64_t a = now[0], e = now[4];
        const uint64_t first = now[7] + (mask & vmgexit_sigma(of, e, of->big1, false)) + ((e & now[5]) ^ (~e & now[6])) +
                               (vmgexit_sha2_constants[i] >> (64 - of->bits)) + words[i];
        const uint64_t second =
            (mask & vmgexit_sigma(of, a, of->big0, false)) + ((a & now[1]) ^ (a & now[2]) ^ (now[1] & now[2]));
        memmove(now + 1, now, 7 * sizeof *now);
        now[4] = (now[4] + first) & mask;
        now[0] = (first + second) & mask;
    }
    for (int i = 0; i < 8; i++)
        state[i] = (state[i] + now[i]) & mask;
}

/* The digest of so many bytes, as eight words. */
static inline void vmgexit_sha2(const struct vmgexit_sha2 *of, const uint8_t *data, size_t size, uint64_t state[8])
{
    const size_t block = 2 * of->bits, rest = size % block;
    const size_t last = rest + of->bits / 4 < block ? block : 2 * block; /* the rest, 0x80, zero, and the size */
    uint8_t end[256] = { 0 };

    for (int i = 0; i < 8; i++)
        state[i] = vmgexit_sha2_start[i] >> (64 - of->bits);
    for (size_t at = 0; at + block <= size; at += block)
        vmgexit_sha2_block(of, state, data + at);
    memcpy(end, data + size - rest, rest);
    end[rest] = 0x80;
    for (size_t i = 0; i < 8; i++)
        end[last - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
    for (size_t at = 0; at < last; at += block)
        vmgexit_sha2_block(of, state, end + at);
}

/* The first 8 bytes of SHA-256, as a number. */
static inline uint64_t vmgexit_sha256_start(const uint8_t *data, size_t size)
{
    uint64_t state[8];

    vmgexit_sha2(&vmgexit_sha256_is, data, size, state);
    return state[0] << 32 | state[1];
}

static inline void vmgexit_sha512(const uint8_t *data, size_t size, uint8_t digest[VMGEXIT_SHA512_SIZE])
{
    uint64_t state[8];

    vmgexit_sha2(&vmgexit_sha512_is, data, size, state);
    for (int i = 0; i < VMGEXIT_SHA512_SIZE; i++)
        digest[i] = (uint8_t)(state[i / 8] >> (56 - i % 8 * 8));
}

#endif /* VMGEXIT_SHA2_H */

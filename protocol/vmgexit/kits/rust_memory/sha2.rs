//! SHA-256 and SHA-512 (FIPS 180-4): of a page, which the answer to `page` begins with, and for attestation.
//!
//! Both are one algorithm, on words of 32 and of 64 bits.

/// What differs: bits of a word, rounds of a block, and how far sigmas rotate; the small ones shift at last.
struct Sha2 {
    bits: u32,
    rounds: usize,
    small: [[u32; 3]; 2],
    big: [[u32; 3]; 2],
}

const SHA256: Sha2 = Sha2 { bits: 32, rounds: 64, small: [[7, 18, 3], [17, 19, 10]], big: [[2, 13, 22], [6, 11, 25]] };
const SHA512: Sha2 = Sha2 { bits: 64, rounds: 80, small: [[1, 8, 7], [19, 61, 6]], big: [[28, 34, 39], [14, 18, 41]] };

/// Those of SHA-256 are the upper halves.
const START: [u64; 8] = [
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
];
const CONSTANTS: [u64; 80] = [
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
];

impl Sha2 {
    /// What a number is as a word.
    const fn word(&self, number: u64) -> u64 {
        number & u64::MAX >> (64 - self.bits)
    }

    const fn rotated(&self, word: u64, by: u32) -> u64 {
        self.word(word >> by | word << (self.bits - by))
    }

    const fn small(&self, word: u64, which: usize) -> u64 {
        let [a, b, c] = self.small[which];
        self.rotated(word, a) ^ self.rotated(word, b) ^ word >> c
    }

    const fn big(&self, word: u64, which: usize) -> u64 {
        let [a, b, c] = self.big[which];
        self.rotated(word, a) ^ self.rotated(word, b) ^ self.rotated(word, c)
    }

    /// One block of 16 words.
    #[inline(always)]
    fn block(&self, state: &mut [u64; 8], bytes: &[u8]) {
        let mut words = [0; 80];
        for (word, held) in words.iter_mut().zip(bytes.chunks_exact(self.bits as usize / 8)) {
            *word = held.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        for i in 16..self.rounds {
            let before = words[i - 16].wrapping_add(words[i - 7]);
            let mixed = self.small(words[i - 15], 0).wrapping_add(self.small(words[i - 2], 1));
            words[i] = self.word(before.wrapping_add(mixed));
        }
        let mut now = *state;
        for (word, constant) in words.iter().zip(CONSTANTS).take(self.rounds) {
            let [a, b, c, _, e, f, g, h] = now;
            let first = h
                .wrapping_add(self.big(e, 1))
                .wrapping_add((e & f) ^ (!e & g))
                .wrapping_add(constant >> (64 - self.bits))
                .wrapping_add(*word);
            let second = self.big(a, 0).wrapping_add((a & b) ^ (a & c) ^ (b & c));
            now.copy_within(0..7, 1);
            now[4] = self.word(now[4].wrapping_add(first));
            now[0] = self.word(first.wrapping_add(second));
        }
        for (held, new) in state.iter_mut().zip(now) {
            *held = self.word(held.wrapping_add(new));
        }
    }

    /// The digest of bytes, as eight words.
    #[inline(always)]
    fn digest(&self, data: &[u8]) -> [u64; 8] {
        let size = 2 * self.bits as usize;
        let blocks = data.chunks_exact(size);
        let rest = blocks.remainder();
        let mut state = START.map(|word| word >> (64 - self.bits));
        blocks.for_each(|bytes| self.block(&mut state, bytes));
        // The rest, 0x80, zero, and the number of bits.
        let mut end = [0; 256];
        let last = if rest.len() + size / 8 < size { size } else { 2 * size };
        end[..rest.len()].copy_from_slice(rest);
        end[rest.len()] = 0x80;
        end[last - 8..last].copy_from_slice(&(8 * data.len() as u64).to_be_bytes());
        end[..last].chunks_exact(size).for_each(|bytes| self.block(&mut state, bytes));
        state
    }
}

/// The first 8 bytes of SHA-256.
pub fn sha256_start(data: &[u8]) -> [u8; 8] {
    let [first, second, ..] = SHA256.digest(data);
    (first << 32 | second).to_be_bytes()
}

pub fn sha512(data: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (into, word) in bytes.chunks_exact_mut(8).zip(SHA512.digest(data)) {
        into.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

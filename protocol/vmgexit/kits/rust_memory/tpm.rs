//! The TPM behind an SVSM, as small as can be: it keeps nothing from command to command.

use crate::kit::memory::Memory;

pub const MOST_RESPONSE: usize = 1 << 16;

/// A response with a header: its code, and what follows.
fn answer(code: u32, body: &[u8], response: &mut [u8; MOST_RESPONSE]) -> usize {
    let length = 10 + body.len();
    response[..2].copy_from_slice(&[0x80, 1]);
    response[2..6].copy_from_slice(&(length as u32).to_be_bytes());
    response[6..10].copy_from_slice(&code.to_be_bytes());
    response[10..length].copy_from_slice(body);
    length
}

impl Memory<'_> {
    /// Carry out a command of the TPM, of at most MOST_RESPONSE bytes: how long the response is.
    pub fn tpm(&mut self, command: &[u8], response: &mut [u8; MOST_RESPONSE]) -> usize {
        self.note("tpm", [command.len() as u64]);
        let Some(code) = command.get(6..10) else { return answer(0x142, &[], response) };
        match code {
            [0, 0, 1, 0x44] => answer(0, &[], response), // TPM2_Startup
            [0, 0, 1, 0x7b] => answer(0, &[0, 4, 0xde, 0xad, 0xbe, 0xef], response), // TPM2_GetRandom
            [0x20, 0, 0, 1] => {
                // As many bytes as it says.
                let said = command.get(10..12).map_or([0; 2], |held| [held[0], held[1]]);
                let length = usize::from(u16::from_be_bytes(said));
                response[..length].iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8 ^ 0x5a);
                length
            }
            [0x20, 0, 0, 2] => {
                // The command, backwards.
                response.iter_mut().zip(command.iter().rev()).for_each(|(byte, held)| *byte = *held);
                command.len()
            }
            _ => answer(0x143, &[], response),
        }
    }
}

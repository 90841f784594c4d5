//! RC4, as connections use it: one stream of keys for each direction, without its first 1024 bytes.

use std::io::IoSliceMut;

use rc4::{KeyInit as _, Rc4, StreamCipher as _};

/// So much of a stream of keys tells too much of the key.
const DISCARDED: usize = 1024;

/// One direction of a connection.
pub struct Cipher(Box<Rc4>);

impl Cipher {
    pub(super) fn new(key: &[u8; 20]) -> Self {
        let mut rc4 = Rc4::new_from_slice(key).expect("20 bytes are a key");
        rc4.apply_keystream(&mut [0; DISCARDED]);
        Self(Box::new(rc4))
    }

    /// Encrypts what is sent next, or decrypts what was received next, where it lies.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }

    /// The same for the first `count` bytes of several buffers.
    pub fn apply_vectored(&mut self, buffers: &mut [IoSliceMut<'_>], mut count: usize) {
        for buffer in buffers {
            let here = count.min(buffer.len());
            self.apply(&mut buffer[..here]);
            count -= here;
        }
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

/// Both directions of a connection.
#[derive(Debug)]
pub struct Ciphers {
    /// Of what we receive.
    pub incoming: Cipher,
    /// Of what we send.
    pub outgoing: Cipher,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_in_a_row_are_one_stream() {
        let plain: Vec<u8> = (0..=255).collect();
        let mut whole = plain.clone();
        Cipher::new(&[7; 20]).apply(&mut whole);
        assert_ne!(whole, plain);
        let (mut first, mut second, mut third) = ([0; 10], [0; 100], [0; 200]);
        let mut cipher = Cipher::new(&[7; 20]);
        let mut rest = &whole[..];
        for count in [5, 150, 101] {
            let mut buffers = [&mut first[..], &mut second, &mut third].map(IoSliceMut::new);
            let mut at = 0;
            for buffer in &mut buffers {
                let here = buffer.len().min(count - at);
                buffer[..here].copy_from_slice(&rest[at..at + here]);
                at += here;
            }
            cipher.apply_vectored(&mut buffers, count);
            let got: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(count).collect();
            let from = whole.len() - rest.len();
            assert_eq!(got, plain[from..from + count]);
            rest = &rest[count..];
        }
    }
}

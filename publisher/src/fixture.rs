//! Small files that tests publish.

/// A mono WAV file of 8 kHz, 8 bits, that plays `seconds`; `seed` decides its samples.
pub(crate) fn wav(seconds: u32, seed: u8) -> Vec<u8> {
    let length = seconds * 8000;
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + length).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&8000_u32.to_le_bytes());
    file.extend_from_slice(&8000_u32.to_le_bytes());
    file.extend_from_slice(b"\x01\0\x08\0data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend((0..length).map(|i| (i / 7 % 251) as u8 ^ seed));
    file
}

/// The head of a PNG file of that many pixels; enough for whoever asks only for its size.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    file.extend_from_slice(&width.to_be_bytes());
    file.extend_from_slice(&height.to_be_bytes());
    file.extend_from_slice(&[8, 2, 0, 0, 0]);
    let checksum = !file[12..].iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    file.extend_from_slice(&checksum.to_be_bytes());
    file.extend_from_slice(b"\0\0\0\0IEND\xae\x42\x60\x82");
    file
}

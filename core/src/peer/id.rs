//! Peer ids: 20 bytes that name a running client, the first 8 its software. BEP 20.

use std::fmt;

use crate::rng::Rng;

/// What our ids begin with: `PW` and the version 0.1.0.
const PREFIX: &[u8; 8] = b"-PW0100-";

/// A running client's id, random after its first 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl PeerId {
    /// A new id of this client.
    pub fn generate(rng: &mut Rng) -> Self {
        let mut bytes = [0; 12];
        rng.fill(&mut bytes);
        Self::ending_in(bytes)
    }

    /// The id of this client with these bytes after its first 8.
    pub fn ending_in(bytes: [u8; 12]) -> Self {
        let mut id = [0; 20];
        id[..8].copy_from_slice(PREFIX);
        id[8..].copy_from_slice(&bytes);
        Self(id)
    }

    /// The software that it names, such as `TR 4.0.5.0` for `-TR4050-`; empty if it is not of that form.
    pub fn client(&self) -> String {
        let [b'-', a, b, version @ .., b'-'] = &self.0[..8] else { return String::new() };
        let is_plain = [a, b].into_iter().chain(version).all(u8::is_ascii_alphanumeric);
        let version: Vec<String> = version.iter().map(|digit| char::from(*digit).to_string()).collect();
        if is_plain { format!("{}{} {}", char::from(*a), char::from(*b), version.join(".")) } else { String::new() }
    }

    /// Whether it names this program, of any version.
    pub fn is_ours(&self) -> bool {
        self.0.starts_with(&PREFIX[..3])
    }

    /// Whether it names the library of rtorrent, of any version.
    pub fn is_of_rtorrent(&self) -> bool {
        self.0.starts_with(b"-lt0")
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Strangers choose these bytes.
        write!(f, "{}", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_ids_name_us_and_differ() {
        let mut rng = Rng::from_seed_u64(1);
        let (a, b) = (PeerId::generate(&mut rng), PeerId::generate(&mut rng));
        assert!(a.0.starts_with(b"-PW") && a.is_ours());
        assert!(!PeerId(*b"-LT20A0-123456789012").is_ours());
        assert!(PeerId(*b"-lt0D80-123456789012").is_of_rtorrent());
        assert!(!PeerId(*b"-LT20A0-123456789012").is_of_rtorrent());
        assert_ne!(a, b);
    }

    #[test]
    fn an_id_names_the_client_if_it_is_of_the_usual_form() {
        assert_eq!(PeerId(*b"-TR4050-123456789012").client(), "TR 4.0.5.0");
        assert_eq!(PeerId(*b"M4-20-8--12345678901").client(), "");
        assert_eq!(PeerId(*b"-T\x1b[31-1234567890123").client(), "");
        assert_eq!(PeerId([0xff; 20]).client(), "");
    }

    #[test]
    fn a_strangers_id_prints_without_control_bytes() {
        assert!(format!("{:?}", PeerId([0x1b; 20])).is_ascii());
        assert!(!format!("{:?}", PeerId([0x1b; 20])).contains('\x1b'));
    }
}

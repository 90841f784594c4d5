//! Whether a file is what its feed says that it is, by a hash of all of it: `podcast:integrity` of type `sri`.
//!
//! A torrent needs none of this, since each piece has its checksum. A web server's word is all there is otherwise.
//!
//! Source: Podcasting 2.0 `integrity`; W3C Subresource Integrity §3.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// What is read at a time.
const CHUNK: usize = 256 * 1024;

/// The hash of a file, as strong as its feed gives one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Integrity {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Integrity {
    /// The strongest hash of a subresource-integrity string that can be read; `None` if there is none. What stands
    /// there and is not understood is no reason to refuse anything.
    pub fn parse(text: &str) -> Option<Self> {
        text.split_ascii_whitespace().filter_map(Self::parse_one).max_by_key(|one| one.algorithm)
    }

    fn parse_one(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('-')?;
        let encoded = rest.split('?').next()?.trim_end_matches('=');
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))?;
        let digest = BASE64_NOPAD.decode(encoded.as_bytes()).ok()?;
        (digest.len() == algorithm.length()).then_some(Self { algorithm, digest })
    }

    /// Whether the file has this hash.
    pub fn is_of(&self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        let digest = match self.algorithm {
            Algorithm::Sha256 => digest::<Sha256>(file)?,
            Algorithm::Sha384 => digest::<Sha384>(file)?,
            Algorithm::Sha512 => digest::<Sha512>(file)?,
        };
        Ok(digest == self.digest)
    }
}

fn digest<D: Digest>(mut file: File) -> io::Result<Vec<u8>> {
    let (mut hasher, mut chunk) = (D::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize().to_vec()),
            length => hasher.update(&chunk[..length]),
        }
    }
}

impl From<Integrity> for String {
    fn from(integrity: Integrity) -> Self {
        format!("{}-{}", integrity.algorithm.name(), BASE64.encode(&integrity.digest))
    }
}

impl TryFrom<String> for Integrity {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no hash that is known")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_HELLO: &str = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const LONG_OF_HELLO: &str =
        "sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";

    #[test]
    fn the_strongest_hash_is_taken_and_what_is_not_understood_is_left_out() {
        let read = |text: &str| Integrity::parse(text).map(String::from);
        assert_eq!(read(OF_HELLO).as_deref(), Some(OF_HELLO));
        assert_eq!(read(&format!("{LONG_OF_HELLO} {OF_HELLO}?ct=audio")).as_deref(), Some(LONG_OF_HELLO));
        assert_eq!(read(&format!("md5-abc= {}", OF_HELLO.trim_end_matches('='))).as_deref(), Some(OF_HELLO));
        for text in ["", "sha256", "sha256-", "sha256-AAAA", "sha256-\u{e9}", "md5-1B2M2Y8AsgTpgAmY7PhCfg=="] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_told_from_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in [OF_HELLO, LONG_OF_HELLO] {
            let integrity = Integrity::parse(text).unwrap();
            std::fs::write(&path, "hello").unwrap();
            assert!(integrity.is_of(&path).unwrap(), "{text}");
            std::fs::write(&path, "hallo").unwrap();
            assert!(!integrity.is_of(&path).unwrap(), "{text}");
        }
    }
}

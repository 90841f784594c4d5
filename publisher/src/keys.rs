//! Each show's signing key.
//!
//! An Ed25519 key is made with the show and kept in `keys/SLUG.ed25519`, readable by its owner only: the 32 secret
//! bytes and nothing else. It signs what must be proven to come from the show's maker even when it is not fetched
//! from them; losing it is like losing the show's name, so an existing key is never written over.

use std::io;
use std::path::Path;

use ed25519_dalek::SigningKey;
use podswarm_core::app::write_atomic;

use crate::slug::Slug;

/// A key file that is there but is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Its length is wrong.
    #[error("key `{path}` has {got} bytes; want 32")]
    Length {
        /// The file.
        path: std::path::PathBuf,
        /// Its length in bytes.
        got: usize,
    },
    /// It cannot be read or written.
    #[error("open the key `{path}`")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Makes the key of `show` in the folder `keys`, unless it has one.
pub(crate) fn ensure(keys: &Path, show: &Slug) -> Result<SigningKey, KeyError> {
    let path = keys.join(format!("{show}.ed25519"));
    let fault = |source| KeyError::Io { path: path.clone(), source };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let secret =
                bytes.try_into().map_err(|b: Vec<u8>| KeyError::Length { path: path.clone(), got: b.len() })?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| fault(error.into()))?;
            write_atomic(&path, &secret, 0o600).map_err(fault)?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(error) => Err(fault(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let show = Slug::from_title("a");
        let key = ensure(dir.path(), &show).unwrap();
        assert_eq!(ensure(dir.path(), &show).unwrap().to_bytes(), key.to_bytes());
        assert_ne!(ensure(dir.path(), &Slug::from_title("b")).unwrap().to_bytes(), key.to_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = dir.path().join("a.ed25519").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.ed25519"), b"short").unwrap();
        assert!(matches!(ensure(dir.path(), &Slug::from_title("a")), Err(KeyError::Length { got: 5, .. })));
        assert_eq!(std::fs::read(dir.path().join("a.ed25519")).unwrap(), b"short");
    }
}

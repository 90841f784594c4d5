//! Cover pictures: which are taken, and what directories want of them.
//!
//! Source: podcast directories take square JPEG and PNG pictures of 1400 to 3000 pixels a side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lofty::picture::{Picture, PictureInformation};
use sha2::{Digest as _, Sha256};

/// Largest picture that is taken, in bytes; it is fetched by every listener's app.
const LARGEST: usize = 16 << 20;

/// A JPEG or PNG picture in memory.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Cover {
    /// The whole file.
    pub(crate) bytes: Vec<u8>,
    /// `image/jpeg` or `image/png`.
    pub(crate) mime: &'static str,
}

/// A picture that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CoverError {
    /// Neither JPEG nor PNG by its first bytes.
    #[error("the picture is neither JPEG nor PNG")]
    Format,
    /// Larger than any app would fetch.
    #[error("the picture has {got} bytes; want at most {LARGEST}")]
    Size {
        /// Its size in bytes.
        got: usize,
    },
    /// Mangled on its way.
    #[error("the picture is not base64")]
    Encoding,
}

impl Cover {
    /// Takes a picture file's bytes as they are sent in JSON.
    pub(crate) fn from_base64(text: &str) -> Result<Self, CoverError> {
        Self::from_bytes(STANDARD.decode(text).map_err(|_| CoverError::Encoding)?)
    }

    /// Takes a picture file's bytes.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self, CoverError> {
        let mime = match &bytes[..] {
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
            _ => return Err(CoverError::Format),
        };
        if bytes.len() > LARGEST {
            return Err(CoverError::Size { got: bytes.len() });
        }
        Ok(Self { bytes, mime })
    }

    /// The name under which it is served; other bytes give another name, since apps cache pictures by address.
    pub(crate) fn file_name(&self) -> String {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&self.bytes)[..4]);
        let extension = if self.mime == "image/png" { "png" } else { "jpg" };
        format!("cover-{digest}.{extension}")
    }

    /// What a directory would say against it, as one sentence; `None` if it fits.
    pub(crate) fn complaint(&self) -> Option<String> {
        let picture = Picture::from_reader(&mut &self.bytes[..]).ok()?;
        let PictureInformation { width, height, .. } = PictureInformation::from_picture(&picture).ok()?;
        let fits = width == height && (1400..=3000).contains(&width);
        (!fits).then(|| format!("the cover has {width} × {height} pixels; directories want a square of 1400 to 3000"))
    }
}

impl std::fmt::Debug for Cover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cover({}, {} bytes)", self.mime, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn only_jpeg_and_png_are_taken() {
        assert_eq!(Cover::from_bytes(fixture::png(2, 2)).unwrap().mime, "image/png");
        assert_eq!(Cover::from_bytes(vec![0xff, 0xd8, 0xff, 0xe0]).unwrap().mime, "image/jpeg");
        assert_eq!(Cover::from_bytes(b"<svg onload=x>".to_vec()), Err(CoverError::Format));
        assert_eq!(Cover::from_bytes(Vec::new()), Err(CoverError::Format));
    }

    #[test]
    fn another_picture_has_another_name() {
        let a = Cover::from_bytes(fixture::png(2, 2)).unwrap();
        let b = Cover::from_bytes(fixture::png(3, 2)).unwrap();
        assert_ne!(a.file_name(), b.file_name());
        assert!(a.file_name().starts_with("cover-"));
        assert_eq!(std::path::Path::new(&a.file_name()).extension().unwrap(), "png");
    }

    #[test]
    fn a_small_or_oblong_cover_draws_a_complaint() {
        let complaint = |w, h| Cover::from_bytes(fixture::png(w, h)).unwrap().complaint();
        assert!(complaint(300, 300).unwrap().contains("300 × 300"));
        assert!(complaint(1400, 1500).is_some());
        assert_eq!(complaint(1400, 1400), None);
    }
}

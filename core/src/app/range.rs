//! The `Range` header: which bytes of a file are asked for.
//!
//! Podcast apps ask for one range, players for its end and then its middle; many ranges at once are rare and, in great
//! number, an attack. A header that does not parse is ignored, as the standard wants, never guessed at.
//!
//! Knows nothing of files: a length comes in, byte ranges within it come out.
//! Source: RFC 9110, section 14.

/// More ranges than this in one request are answered with the whole file.
const MOST: usize = 16;

/// A run of bytes within a file: `first..=last`, `last` below the file's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
}

impl ByteRange {
    /// Number of bytes; never 0.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The whole file, with status 200.
    Whole,
    /// These parts in this order, with status 206.
    Parts(Vec<ByteRange>),
    /// Nothing that the file has; status 416.
    Nothing,
}

/// Reads the value of a `Range` header for a file of `length` bytes.
pub fn parse(header: &str, length: u64) -> Asked {
    let Some((unit, list)) = header.split_once('=') else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let mut parts = Vec::new();
    let mut asked = 0;
    for spec in list.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        asked += 1;
        match parse_one(spec, length) {
            _ if asked > MOST => return Asked::Whole,
            Err(Malformed) => return Asked::Whole,
            Ok(None) => {}
            Ok(Some(part)) => parts.push(part),
        }
    }
    // Overlapping parts would make the answer larger than the file.
    let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.length()));
    match (asked, parts.is_empty()) {
        (0, _) => Asked::Whole,
        (_, true) => Asked::Nothing,
        _ if total > length => Asked::Whole,
        _ => Asked::Parts(parts),
    }
}

/// A range or a number that is not written as the standard wants.
struct Malformed;

/// One `first-last`, `first-` or `-suffix`; `None` if it lies outside the file.
fn parse_one(spec: &str, length: u64) -> Result<Option<ByteRange>, Malformed> {
    let (first, last) = spec.split_once('-').ok_or(Malformed)?;
    match (number(first.trim())?, number(last.trim())?) {
        (None, None) => Err(Malformed),
        (None, Some(suffix)) => {
            let first = length.saturating_sub(suffix);
            Ok((suffix > 0 && length > 0).then(|| ByteRange { first, last: length - 1 }))
        }
        (Some(first), Some(last)) if last < first => Err(Malformed),
        (Some(first), last) => {
            let last = last.unwrap_or(u64::MAX).min(length.saturating_sub(1));
            Ok((first < length).then_some(ByteRange { first, last }))
        }
    }
}

/// A number, saturating; `None` for no digits.
fn number(text: &str) -> Result<Option<u64>, Malformed> {
    match text {
        "" => Ok(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parts(header: &str, want: &[(u64, u64)]) {
        let want = want.iter().map(|&(first, last)| ByteRange { first, last }).collect();
        assert_eq!(parse(header, 1000), Asked::Parts(want), "{header}");
    }

    #[track_caller]
    fn check(header: &str, want: &Asked) {
        assert_eq!(parse(header, 1000), *want, "{header}");
    }

    #[test]
    fn each_form_names_its_bytes() {
        parts("bytes=0-1", &[(0, 1)]);
        parts("bytes=500-", &[(500, 999)]);
        parts("bytes=-200", &[(800, 999)]);
        parts("bytes=-5000", &[(0, 999)]);
        parts("bytes=0-99999", &[(0, 999)]);
        parts("BYTES = 0-0 , 999-999", &[(0, 0), (999, 999)]);
        parts("bytes=0-0,2000-,1-1", &[(0, 0), (1, 1)]);
    }

    #[test]
    fn a_range_outside_the_file_is_refused() {
        check("bytes=1000-", &Asked::Nothing);
        check("bytes=-0", &Asked::Nothing);
        check("bytes=99999999999999999999-", &Asked::Nothing);
        assert_eq!(parse("bytes=0-", 0), Asked::Nothing);
        assert_eq!(parse("bytes=-1", 0), Asked::Nothing);
    }

    #[test]
    fn a_malformed_header_is_ignored() {
        for header in ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "items=0-1", "bytes=1", "bytes=+1-2"]
        {
            check(header, &Asked::Whole);
        }
        check("bytes=18446744073709551615-0", &Asked::Whole);
    }

    #[test]
    fn a_thousand_ranges_or_overlapping_ones_get_the_file_once() {
        check(&format!("bytes={}", "0-0,".repeat(1000)), &Asked::Whole);
        check("bytes=0-,0-", &Asked::Whole);
    }
}

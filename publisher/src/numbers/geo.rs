//! In which country an address is, by a database that the owner supplies.
//!
//! Such databases (`GeoLite2-Country.mmdb`, DB-IP's and others) have a licence of their own, so none comes with us. The
//! file is read at the start, and whole.
//!
//! Source: `MaxMind` DB file format 2.0, through the crate `maxminddb`.

use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{Reader, path};

/// A database of countries; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Countries(Arc<Reader<Vec<u8>>>);

impl Countries {
    /// Reads the file at `path`; the error says what is wrong with it.
    pub(crate) fn open(path: &str) -> Result<Self, String> {
        Reader::open_readfile(path).map(|reader| Self(Arc::new(reader))).map_err(|error| error.to_string())
    }

    /// The country's code by ISO 3166-1, of two letters; `None` if the database has none.
    pub(crate) fn of(&self, ip: IpAddr) -> Option<String> {
        let found = self.0.lookup(ip.to_canonical()).ok()?;
        let code: String = found.decode_path(&path!["country", "iso_code"]).ok()??;
        // What stands in a file of somebody else's becomes a key of ours only if it is a code.
        (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(code)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A database that knows 0.0.0.0/1 as `code`, and nothing else.
    pub(in crate::numbers) fn database(code: &str) -> Vec<u8> {
        fn text(text: &str) -> Vec<u8> {
            let mut bytes = vec![2 << 5 | u8::try_from(text.len()).unwrap()];
            bytes.extend_from_slice(text.as_bytes());
            bytes
        }
        let map = |pairs: u8| vec![7 << 5 | pairs];
        // One node of two records of 24 bits: the first leads to the data, the second to nothing.
        let mut file = vec![0, 0, 1 + 16, 0, 0, 1];
        file.extend([0; 16]);
        file.extend([map(1), text("country"), map(1), text("iso_code"), text(code)].concat());
        file.extend(b"\xab\xcd\xefMaxMind.com");
        file.extend(map(9));
        file.extend([text("node_count"), vec![6 << 5 | 1, 1]].concat());
        let versions = [("binary_format_major_version", 2), ("binary_format_minor_version", 0), ("ip_version", 4)];
        for (name, value) in versions.into_iter().chain([("record_size", 24)]) {
            file.extend([text(name), vec![5 << 5 | 1, value]].concat());
        }
        file.extend([text("database_type"), text("Test-Country")].concat());
        // An array and a number of 64 bits are of the types that need a second byte.
        file.extend([text("languages"), vec![0, 4], text("description"), map(0)].concat());
        file.extend([text("build_epoch"), vec![1, 2, 1]].concat());
        file
    }

    #[test]
    fn a_country_is_told_where_the_database_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("countries.mmdb");
        let open = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Countries::open(path.to_str().unwrap())
        };
        let countries = open(&database("NZ")).unwrap();
        assert_eq!(countries.of("1.2.3.4".parse().unwrap()).as_deref(), Some("NZ"));
        assert_eq!(countries.of("::ffff:1.2.3.4".parse().unwrap()).as_deref(), Some("NZ"));
        assert_eq!(countries.of("203.0.113.1".parse().unwrap()), None);
        assert_eq!(countries.of("2001:db8::1".parse().unwrap()), None);
        assert_eq!(open(&database("a\nb")).unwrap().of("1.2.3.4".parse().unwrap()), None);
        assert!(open(b"no database").is_err());
    }
}

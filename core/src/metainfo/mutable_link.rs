//! Links that name no torrent but a key, whose owner says which torrent is meant.
//!
//! Source: BEP 46 (`xs=urn:btpk:`, `s`). What else stands in the link is as in [`Magnet`].

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde_with::{DeserializeFromStr, SerializeDisplay};

use super::magnet::{MAX_BYTES, parameters, strip_prefix_ignore_case};
use super::{InfoHash, Magnet};
use crate::dht::item::ItemName;

/// Such a link. The text and serde form is the link.
#[derive(Clone, Debug, PartialEq, Eq, DeserializeFromStr, SerializeDisplay)]
pub struct MutableLink {
    /// Under what its owner keeps the torrent's name.
    pub item: ItemName,
    /// All that is not the scheme.
    query: String,
}

/// It is no such link: it does not begin with `magnet:?`, names a torrent itself, or has no `xs=urn:btpk:` with 64 hex
/// digits, or an `s` that is no hex digits of 64 bytes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the magnet link names no key: it has no \"xs=urn:btpk:\" with 64 hex digits")]
pub struct NoKey;

impl MutableLink {
    /// The link to what its owner means now.
    pub fn magnet(&self, torrent: InfoHash) -> Magnet {
        let text = format!("{}&{}", Magnet::new(torrent), self.query);
        text.parse().unwrap_or_else(|_| Magnet::new(torrent))
    }
}

impl FromStr for MutableLink {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let query =
            strip_prefix_ignore_case(text.trim(), "magnet:?").filter(|query| query.len() < MAX_BYTES).ok_or(NoKey)?;
        let values =
            |wanted: &'static str| parameters(query).filter(move |(key, _)| *key == wanted).map(|(_, value)| value);
        let hex = |text: &str| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        if values("xt").next().is_some() {
            return Err(NoKey);
        }
        let key = values("xs").find_map(|source| hex(strip_prefix_ignore_case(&source, "urn:btpk:")?)?.try_into().ok());
        let salt = hex(&values("s").next().unwrap_or_default()).ok_or(NoKey)?;
        let item = ItemName::new(key.ok_or(NoKey)?, salt).ok_or(NoKey)?;
        Ok(Self { item, query: query.to_owned() })
    }
}

impl fmt::Display for MutableLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?{}", self.query)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    const KEY: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";

    #[test]
    fn a_link_by_key_is_told_from_others() {
        let text = format!("magnet:?xs=urn:btpk:{KEY}&s=6e&dn=A+show&tr=http%3A%2F%2Ft.example%2Fannounce");
        let link: MutableLink = text.parse().unwrap();
        assert_eq!(link.to_string(), text);
        assert_eq!(HEXLOWER.encode(&link.item.target().0), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
        let magnet = link.magnet(InfoHash::from_v1([7; 20]));
        assert_eq!((magnet.info_hash, magnet.name.as_deref()), (InfoHash::from_v1([7; 20]), Some("A show")));
        assert_eq!(magnet.trackers, ["http://t.example/announce"]);
        let beside = format!("magnet:?xs=http%3A%2F%2Fx.example%2Fa.torrent&xs.1=urn:btpk:{KEY}&s=6e");
        assert_eq!(beside.parse::<MutableLink>().unwrap().item, link.item, "there may be other sources, too");
        for wrong in [
            format!("magnet:?xs=urn:btpk:{}", &KEY[1..]),
            format!("magnet:?xs=urn:btpk:{KEY}&s=6"),
            format!("magnet:?xs=urn:btpk:{KEY}&s={KEY}{KEY}00"),
            format!("magnet:?xs=urn:btpk:{KEY}&xt=urn:btih:{}", &KEY[..40]),
            format!("http://x.example/?xs=urn:btpk:{KEY}"),
            "magnet:?xs=http://x.example/a".to_owned(),
        ] {
            assert_eq!(wrong.parse::<MutableLink>(), Err(NoKey), "{wrong}");
        }
    }
}

//! What a node remembers when it is not running: its numbers, and whom it knew.
//!
//! A bencoded dictionary, `id` and `nodes` for IPv4, `id6` and `nodes6` for IPv6. A node that comes back under its
//! number is found where it was left, and needs nobody to begin with.

use std::net::SocketAddr;

use super::message::{Contact, Family, compact_nodes, nodes_of};
use super::node_id::NodeId;
use super::table::Table;
use crate::bencode::reader::{Raw, read};
use crate::bencode::{Limits, write_string};

/// The bounds of the file.
const LIMITS: Limits = Limits { bytes: 256 * 1024, depth: 2, values: 16 };
/// The most nodes of one network that are remembered.
const MOST: usize = 500;

/// What a node knew of one network.
pub(super) struct Known {
    pub(super) family: Family,
    pub(super) own: NodeId,
    pub(super) nodes: Vec<SocketAddr>,
}

const fn keys(family: Family) -> (&'static [u8], &'static [u8]) {
    match family {
        Family::V4 => (b"id", b"nodes"),
        Family::V6 => (b"id6", b"nodes6"),
    }
}

pub(super) fn write<'a>(tables: impl Iterator<Item = (Family, &'a Table)>) -> Vec<u8> {
    let mut entries = Vec::new();
    for (family, table) in tables {
        let (id, nodes) = keys(family);
        entries.push((id, table.own().0.to_vec()));
        entries.push((nodes, compact_nodes(table.contacts().take(MOST))));
    }
    entries.sort_unstable();
    let mut out = b"d".to_vec();
    for (key, value) in entries {
        write_string(&mut out, key);
        write_string(&mut out, &value);
    }
    out.push(b'e');
    out
}

/// What can be read of `bytes`; nothing of what is damaged.
pub(super) fn read_all(bytes: &[u8]) -> Vec<Known> {
    let Ok(root) = read(bytes, LIMITS) else { return Vec::new() };
    let known = |family| {
        let (id, nodes) = keys(family);
        let own = NodeId(root.get(id).and_then(Raw::string)?.try_into().ok()?);
        let nodes = nodes_of(family, root.get(nodes).and_then(Raw::string).unwrap_or_default());
        let nodes = nodes.map(|Contact { addr, .. }| addr).take(MOST).collect();
        Some(Known { family, own, nodes })
    };
    Family::ALL.into_iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::time::Instant;

    #[test]
    fn what_was_known_is_known_again_and_nonsense_is_nothing() {
        let mut rng = Rng::from_seed_u64(1);
        let [mut v4, mut v6] = [(); 2].map(|()| Table::new(NodeId::random(&mut rng)));
        let first: SocketAddr = "198.18.0.1:7".parse().unwrap();
        let second: SocketAddr = "[2001:db8::1]:7".parse().unwrap();
        v4.answered(Instant::ZERO, Contact { id: NodeId::random(&mut rng), addr: first });
        v6.answered(Instant::ZERO, Contact { id: NodeId::random(&mut rng), addr: second });
        let written = write([(Family::V4, &v4), (Family::V6, &v6)].into_iter());
        let known = read_all(&written);
        assert_eq!(known.iter().map(|known| known.own).collect::<Vec<_>>(), [v4.own(), v6.own()]);
        assert_eq!(known.iter().map(|known| known.nodes.clone()).collect::<Vec<_>>(), [vec![first], vec![second]]);
        for cut in 0..written.len() {
            assert!(read_all(&written[..cut]).is_empty());
        }
        assert_eq!(read_all(b"d2:id20:aaaaaaaaaaaaaaaaaaaa5:nodes3:abce")[0].nodes, []);
    }
}

//! Room that is given back by those who are quiet for long: there are thousands of them.

use std::collections::BTreeMap;

/// Gives back the room of a map in which nothing is left; otherwise it keeps that of eleven entries.
pub(crate) fn give_room_back<K, V>(map: &mut BTreeMap<K, V>) {
    if map.is_empty() {
        *map = BTreeMap::new();
    }
}

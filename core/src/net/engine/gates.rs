//! Keeps what is asked of one tracker at once within bounds, however many torrents name it.
//!
//! Each announce has a socket of its own. Thousands at once would be a flood to the tracker, and more files than
//! systems let a program open.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use url::Url;

/// So many announces to one host are under way at once.
const AT_ONCE: usize = 16;
/// More hosts are not remembered than this, besides those that are being asked.
const REMEMBERED: usize = 256;

/// A gate for each host of a tracker.
#[derive(Debug, Default)]
pub(super) struct Gates(BTreeMap<String, Arc<Semaphore>>);

impl Gates {
    /// Where announces to this tracker wait for their turn.
    pub(super) fn of(&mut self, tracker: &str) -> Arc<Semaphore> {
        if self.0.len() > REMEMBERED {
            self.0.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let host = Url::parse(tracker).ok().and_then(|url| Some(url.host_str()?.to_ascii_lowercase()));
        let gate = self.0.entry(host.unwrap_or_default());
        Arc::clone(gate.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_gate_however_it_is_asked_and_others_have_theirs() {
        let mut gates = Gates::default();
        let gate = gates.of("http://Tracker.example:6969/announce");
        assert!(Arc::ptr_eq(&gate, &gates.of("udp://tracker.example/")));
        assert!(!Arc::ptr_eq(&gate, &gates.of("udp://other.example/")));
    }

    #[test]
    fn only_those_that_are_asked_are_remembered_for_long() {
        let mut gates = Gates::default();
        let gate = gates.of("http://tracker.example/");
        (0..10_000).for_each(|number| drop(gates.of(&format!("http://{number}.example/"))));
        assert!(gates.0.len() <= REMEMBERED + 1);
        assert!(Arc::ptr_eq(&gate, &gates.of("http://tracker.example/")));
    }
}

//! Whether the publisher may go home: how many full copies others hold, as one sentence.

/// Says what `milli` thousandths of full copies, held by others, mean for the one who published.
pub(crate) fn sentence(milli: u64) -> String {
    let (whole, tenth) = (milli / 1000, milli % 1000 / 100);
    if whole == 0 {
        format!("0.{tenth} copies out, stay on")
    } else {
        format!("{whole}.{tenth} copies out, the swarm is safe; ordinary podcast apps still need you")
    }
}

/// The full copies that others hold, in thousandths: what our own connections see, or what the tracker was told.
///
/// Whoever has everything closes its connection to us, who have everything too; so the tracker's count of complete
/// peers, from which our own seed is taken off, often knows of more.
pub(crate) fn held_elsewhere(connected_milli: u64, complete_on_tracker: u32) -> u64 {
    connected_milli.max(u64::from(complete_on_tracker.saturating_sub(1)) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_full_copy_elsewhere_makes_it_safe() {
        assert_eq!(sentence(0), "0.0 copies out, stay on");
        assert_eq!(sentence(999), "0.9 copies out, stay on");
        assert_eq!(sentence(3_250), "3.2 copies out, the swarm is safe; ordinary podcast apps still need you");
        assert!(sentence(1000).starts_with("1.0 copies out, the swarm is safe"));
    }

    #[test]
    fn copies_that_left_our_connections_are_still_counted() {
        assert_eq!(held_elsewhere(600, 1), 600);
        assert_eq!(held_elsewhere(0, 4), 3000);
        assert_eq!(held_elsewhere(0, 0), 0);
    }
}

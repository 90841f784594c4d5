//! Which bytes of a file somebody got, request by request.
//!
//! Players fetch an episode in pieces, some of them twice. What counts is how many different bytes came together.
//!
//! Law: [`Spans::total`] is never more than the different bytes that were added.

/// Runs of bytes that are kept apart; beyond that the shortest is forgotten.
const MOST: usize = 16;

/// A run of bytes within a file: from `first` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Offset of the first byte.
    pub(crate) first: u64,
    /// Offset of the byte after the last.
    pub(crate) end: u64,
}

impl Span {
    /// Number of bytes.
    const fn len(self) -> u64 {
        self.end.saturating_sub(self.first)
    }
}

/// Runs of bytes, in order, that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// Adds a run to those that are there.
    pub(crate) fn add(&mut self, mut span: Span) {
        if span.len() == 0 {
            return;
        }
        self.0.retain(|there| {
            let is_joined = there.first <= span.end && span.first <= there.end;
            if is_joined {
                span = Span { first: span.first.min(there.first), end: span.end.max(there.end) };
            }
            !is_joined
        });
        let at = self.0.partition_point(|there| *there < span);
        self.0.insert(at, span);
        if self.0.len() > MOST {
            let shortest = (0..self.0.len()).min_by_key(|&at| self.0[at].len()).unwrap_or_default();
            self.0.remove(shortest);
        }
    }

    /// The runs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Span> {
        self.0.iter().copied()
    }

    /// How many bytes they have together.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|span| span.len()).sum()
    }

    /// Whether this is nothing but the first two bytes, with which Apple's players ask whether ranges are served.
    pub(crate) fn is_probe(&self) -> bool {
        self.0 == [Span { first: 0, end: 2 }]
    }
}

#[cfg(test)]
mod tests {
    use podswarm_core::rng::Rng;

    use super::*;

    #[track_caller]
    fn check(added: &[(u64, u64)], want: &[(u64, u64)]) {
        let mut spans = Spans::default();
        for &(first, end) in added {
            spans.add(Span { first, end });
        }
        assert_eq!(spans.iter().map(|span| (span.first, span.end)).collect::<Vec<_>>(), want, "{added:?}");
    }

    #[test]
    fn runs_that_meet_become_one() {
        check(&[(0, 10), (10, 20)], &[(0, 20)]);
        check(&[(10, 20), (0, 10), (30, 40), (15, 35)], &[(0, 40)]);
        check(&[(0, 10), (2, 5), (0, 10)], &[(0, 10)]);
        check(&[(5, 5), (20, 30), (0, 10)], &[(0, 10), (20, 30)]);
    }

    #[test]
    fn what_comes_twice_counts_once_and_what_is_forgotten_not_at_all() {
        let mut rng = Rng::from_seed_u64(1);
        for _ in 0..200 {
            let (mut spans, mut bytes) = (Spans::default(), vec![false; 1000]);
            for _ in 0..rng.next_u64() % 60 {
                let first = rng.next_u64() % 990;
                let span = Span { first, end: first + rng.next_u64() % 10 };
                spans.add(span);
                (span.first..span.end).for_each(|byte| bytes[usize::try_from(byte).unwrap()] = true);
                assert!(spans.iter().count() <= MOST);
                assert!(spans.total() <= bytes.iter().filter(|got| **got).count() as u64);
            }
        }
    }

    #[test]
    fn apples_probe_is_known() {
        let spans = |first, end| {
            let mut spans = Spans::default();
            spans.add(Span { first, end });
            spans
        };
        assert!(spans(0, 2).is_probe());
        assert!(!spans(0, 3).is_probe() && !spans(1, 3).is_probe());
    }
}

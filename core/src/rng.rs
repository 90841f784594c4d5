//! The engine's randomness: a named, portable generator that is always an argument.
//!
//! `ChaCha8` gives the same numbers on every machine and in every version, so one seed gives one run. Parts that must
//! not disturb one another's numbers get a [`Rng::fork`] each.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A seeded stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// A generator from a full seed, as the system's entropy gives it.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A generator from a short seed, as a scenario gives it.
    pub fn from_seed_u64(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// An independent generator; `label` keeps forks made at the same point apart.
    pub fn fork(&mut self, label: u64) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        for (byte, mixed) in seed.iter_mut().zip(label.to_le_bytes()) {
            *byte ^= mixed;
        }
        Self::from_seed(seed)
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number from 0 up to, not including, `n`; 0 if `n` is 0.
    ///
    /// The bias of the multiply-shift method stays below `n / 2^64`.
    pub fn below(&mut self, n: usize) -> usize {
        let product = u128::from(self.next_u64()) * (n as u128);
        usize::try_from(product >> 64).expect("the high half is below n")
    }

    /// One number below each of two that are small, for half the price of one: 16 random bits go into each.
    ///
    /// The bias of the multiply-shift method stays below `n / 2^16`.
    pub fn below_both(&mut self, n: u16, m: u16) -> (u16, u16) {
        let bits = self.next_u32();
        let scale = |bits: u32, n: u16| u16::try_from((bits * u32::from(n)) >> 16).expect("the high half is below n");
        (scale(bits & u32::from(u16::MAX), n), scale(bits >> 16, m))
    }

    /// True in `num` of `den` draws.
    pub fn ratio(&mut self, num: u32, den: u32) -> bool {
        self.below(den as usize) < num as usize
    }

    /// Puts `items` in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// One of `items`, or `None` if there are none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// `around`, longer or shorter by up to `percent` of itself.
    pub fn jitter(&mut self, around: Duration, percent: u32) -> Duration {
        let nanos = u64::try_from(around.as_nanos()).unwrap_or(u64::MAX);
        let width = nanos / 100 * u64::from(percent.min(100));
        let offset = self.next_u64() % width.saturating_mul(2).saturating_add(1);
        Duration::from_nanos((nanos - width).saturating_add(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_run() {
        let mut a = Rng::from_seed_u64(7);
        let mut b = Rng::from_seed_u64(7);
        assert_eq!((0..9).map(|_| a.next_u64()).collect::<Vec<_>>(), (0..9).map(|_| b.next_u64()).collect::<Vec<_>>());
    }

    #[test]
    fn forks_with_other_labels_differ() {
        let root = Rng::from_seed_u64(7);
        assert_ne!(root.clone().fork(1).next_u64(), root.clone().fork(2).next_u64());
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut rng = Rng::from_seed_u64(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[rng.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn below_both_reaches_every_pair_and_no_other() {
        let mut rng = Rng::from_seed_u64(1);
        let mut seen = [[false; 3]; 5];
        for _ in 0..400 {
            let (a, b) = rng.below_both(5, 3);
            seen[usize::from(a)][usize::from(b)] = true;
        }
        assert_eq!(seen, [[true; 3]; 5]);
        assert_eq!(rng.below_both(0, 1), (0, 0));
    }

    #[test]
    fn jitter_stays_within_its_percentage() {
        let mut rng = Rng::from_seed_u64(2);
        for _ in 0..1000 {
            let d = rng.jitter(Duration::from_secs(100), 10);
            assert!((90..=110).contains(&d.as_secs()), "{d:?}");
        }
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        Rng::from_seed_u64(3).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}

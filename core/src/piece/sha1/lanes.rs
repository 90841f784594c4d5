//! Eight chains in the lanes of 256-bit registers.
//!
//! The same code twice: for AVX2, and for processors that have AVX-512 as well, for which the compiler makes one
//! instruction of a rotation, and one of a function of three words.

#![expect(clippy::inline_always, reason = "what is not inlined is not compiled for the same processor")]

use std::arch::x86_64::__m256i;
use std::array;
use std::slice;

use pulp::NullaryFnOnce;
use pulp::x86::{V3, V4};

use super::{BLOCK, Block, Job, Sha1, TOGETHER};

/// Chains that run side by side.
const LANES: usize = TOGETHER as usize;

/// One word of each chain.
type Words = __m256i;

/// What the processor has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lanes {
    Avx2(V3),
    Avx512(V3, V4),
}

impl Lanes {
    /// `None` if the processor has no such registers.
    pub(super) fn find() -> Option<Self> {
        let avx2 = V3::try_new()?;
        Some(V4::try_new().map_or(Self::Avx2(avx2), |avx512| Self::Avx512(avx2, avx512)))
    }

    /// Does all jobs, side by side as long as there are enough of them.
    pub(super) fn run<'a, T: AsRef<[u8]> + 'a>(self, mut jobs: impl Iterator<Item = Job<'a, T>>) {
        let mut active: Vec<Lane<'_, T>> = Vec::with_capacity(LANES);
        loop {
            active.retain_mut(Lane::has_blocks);
            let more = jobs.by_ref().map(Lane::new).filter_map(|mut lane| lane.has_blocks().then_some(lane));
            active.extend(more.take(LANES - active.len()));
            if active.len() < self.least() {
                break;
            }
            let count = active.iter().map(|lane| lane.blocks.len()).min().unwrap_or(0);
            // A lane that nobody needs does what the first does, for nothing.
            let used: [_; LANES] = array::from_fn(|number| active.get(number).unwrap_or(&active[0]));
            let mut state = array::from_fn(|word| array::from_fn(|number| used[number].hash.words[word]));
            self.compress(&mut state, used.map(|lane| &lane.blocks[..count]));
            for (number, lane) in active.iter_mut().enumerate() {
                lane.advance(count, state.map(|words| words[number]));
            }
        }
        active.into_iter().for_each(Lane::finish);
        jobs.for_each(Job::run);
    }

    /// With how many chains this is quicker than one after the other.
    const fn least(self) -> usize {
        match self {
            Self::Avx2(_) => 5,
            Self::Avx512(..) => 4,
        }
    }

    /// Takes each chain over its blocks, of which all have the same number. `state[i][lane]` is word `i` of a chain.
    fn compress(self, state: &mut [[u32; LANES]; 5], blocks: [&[Block]; LANES]) {
        match self {
            Self::Avx2(simd) => simd.vectorize(Compress { simd, state, blocks }),
            Self::Avx512(simd, wide) => wide.vectorize(Compress { simd, state, blocks }),
        }
    }
}

/// A hash that goes on, and what it has not taken yet.
struct Lane<'a, T> {
    hash: &'a mut Sha1,
    /// Whole blocks, which come first.
    blocks: &'a [Block],
    /// What follows them in the same run, less than a block.
    rest: &'a [u8],
    runs: slice::Iter<'a, T>,
}

impl<'a, T: AsRef<[u8]>> Lane<'a, T> {
    fn new(Job { hash, runs }: Job<'a, T>) -> Self {
        Self { hash, blocks: &[], rest: &[], runs: runs.iter() }
    }

    /// Whether whole blocks come next; hashes whatever stands before them.
    fn has_blocks(&mut self) -> bool {
        while self.blocks.is_empty() {
            self.hash.update(std::mem::take(&mut self.rest));
            let Some(run) = self.runs.next() else { return false };
            if self.hash.begun() == 0 {
                (self.blocks, self.rest) = run.as_ref().as_chunks();
            } else {
                self.hash.update(run.as_ref());
            }
        }
        true
    }

    /// Notes that so many blocks are hashed, and to what.
    fn advance(&mut self, count: usize, words: [u32; 5]) {
        self.blocks = &self.blocks[count..];
        self.hash.words = words;
        self.hash.length += (count * BLOCK) as u64;
    }

    /// Hashes all that is left.
    fn finish(self) {
        self.hash.update(self.blocks.as_flattened());
        self.hash.update(self.rest);
        Job { hash: self.hash, runs: self.runs.as_slice() }.run();
    }
}

/// The work, to be compiled for what the processor has.
struct Compress<'a> {
    simd: V3,
    state: &'a mut [[u32; LANES]; 5],
    blocks: [&'a [Block]; LANES],
}

impl NullaryFnOnce for Compress<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, state, blocks } = self;
        let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
        // So that no bound is checked again.
        let blocks = blocks.map(|blocks| &blocks[..count]);
        let mut words = state.map(pulp::cast);
        for at in 0..count {
            words = compress(simd, words, transpose(simd, &blocks, at));
        }
        *state = words.map(pulp::cast);
    }
}

/// The words of block `at` of each chain: word `i` of all of them at `i`.
///
/// Has no closures, as they are not always inlined.
#[inline(always)]
fn transpose(simd: V3, blocks: &[&[Block]; LANES], at: usize) -> [Words; 16] {
    let avx2 = simd.avx2;
    // Words are written with their first byte first.
    let swap = pulp::cast([[3_u8, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]; 2]);
    let mut words = [pulp::cast([0_u32; LANES]); 16];
    for half in 0..2 {
        let mut rows = [words[0]; LANES];
        for lane in 0..LANES {
            let bytes = blocks[lane][at].as_chunks::<32>().0[half];
            rows[lane] = avx2._mm256_shuffle_epi8(pulp::cast(bytes), swap);
        }
        let mut pairs = rows;
        for i in [0, 2, 4, 6] {
            pairs[i] = avx2._mm256_unpacklo_epi32(rows[i], rows[i + 1]);
            pairs[i + 1] = avx2._mm256_unpackhi_epi32(rows[i], rows[i + 1]);
        }
        let mut fours = pairs;
        for i in [0, 4] {
            fours[i] = avx2._mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
            fours[i + 1] = avx2._mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
            fours[i + 2] = avx2._mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = avx2._mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
        }
        for i in 0..4 {
            words[8 * half + i] = avx2._mm256_permute2x128_si256::<0x20>(fours[i], fours[i + 4]);
            words[8 * half + i + 4] = avx2._mm256_permute2x128_si256::<0x31>(fours[i], fours[i + 4]);
        }
    }
    words
}

/// The state of each chain after one block.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "those of FIPS 180-4")]
fn compress(simd: V3, state: [Words; 5], mut words: [Words; 16]) -> [Words; 5] {
    let avx2 = simd.avx2;
    macro_rules! add {
        ($first:expr $(, $more:expr)+) => {{
            let sum = $first;
            $(let sum = avx2._mm256_add_epi32(sum, $more);)+
            sum
        }};
    }
    macro_rules! xor {
        ($first:expr $(, $more:expr)+) => {{
            let bits = $first;
            $(let bits = avx2._mm256_xor_si256(bits, $more);)+
            bits
        }};
    }
    macro_rules! and {
        ($a:expr, $b:expr) => {
            avx2._mm256_and_si256($a, $b)
        };
    }
    macro_rules! or {
        ($a:expr, $b:expr) => {
            avx2._mm256_or_si256($a, $b)
        };
    }
    macro_rules! rotate_left {
        ($word:expr, $by:literal) => {{
            let word = $word;
            or!(avx2._mm256_slli_epi32::<$by>(word), avx2._mm256_srli_epi32::<{ 32 - $by }>(word))
        }};
    }
    let [mut a, mut b, mut c, mut d, mut e] = state;
    // Four times twenty rounds, each with its function and its constant.
    macro_rules! rounds {
        ($function:expr, $constant:literal, $($round:literal)+) => {{
            let constant = pulp::cast([$constant; LANES]);
            $(
                let at = $round % 16;
                if $round >= 16 {
                    let mixed = xor!(words[(at + 13) % 16], words[(at + 8) % 16], words[(at + 2) % 16], words[at]);
                    words[at] = rotate_left!(mixed, 1);
                }
                let sum = add!(add!(e, constant, words[at]), add!(rotate_left!(a, 5), $function));
                (a, b, c, d, e) = (sum, a, rotate_left!(b, 30), c, d);
            )+
        }};
    }
    rounds!(xor!(d, and!(b, xor!(c, d))), 0x5a82_7999_u32,
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
    rounds!(xor!(b, c, d), 0x6ed9_eba1_u32,
        20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39);
    rounds!(or!(and!(b, c), and!(d, or!(b, c))), 0x8f1b_bcdc_u32,
        40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59);
    rounds!(xor!(b, c, d), 0xca62_c1d6_u32,
        60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79);
    let [a0, b0, c0, d0, e0] = state;
    [add!(a0, a), add!(b0, b), add!(c0, c), add!(d0, d), add!(e0, e)]
}

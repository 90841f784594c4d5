//! The index: what every read is answered from, and nothing else depends on.
//!
//! An [`Index`] keeps bytes under a tree's name and a key. It knows nothing of records, versions or checksums, and it need
//! not be durable: the journal is the truth, and whatever is doubtful here is thrown away and built again.

pub(super) mod memory;
pub(super) mod value;

/// An ordered map of bytes for every tree.
pub(super) trait Index: Send + Sync {
    /// Makes `writes`, in order.
    fn apply(&self, writes: &[Write<'_>]) -> Result<(), IndexFault>;

    /// The value of `key` in `tree`.
    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault>;

    /// Shows `visit` every key that begins with `prefix`, in byte order, until it fails.
    fn scan(&self, tree: &str, prefix: &[u8], visit: Visitor<'_>) -> Result<(), IndexFault>;
}

/// What [`Index::scan`] calls with each key and value.
pub(super) type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), IndexFault>;

/// One write to an index; without a value the key is removed.
pub(super) struct Write<'a> {
    /// The tree's name.
    pub(super) tree: &'a str,
    /// The key in the tree.
    pub(super) key: &'a [u8],
    /// The new value, or `None` to remove the key.
    pub(super) value: Option<Vec<u8>>,
}

/// The index gave an error, a panic, nothing in time, or bytes that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct IndexFault(pub(super) String);

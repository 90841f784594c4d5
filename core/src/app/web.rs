//! What the pages of the two programs share: how they look.
//!
//! | files of `core/web` | shared by |
//! |---|---|
//! | [`LOOK`] | all pages, those of listeners among them, which stay light |
//! | [`PANEL`] | the pages where owners drive a daemon |
//!
//! A program has them in front of rules of its own, in the same asset, so that no page asks for one more: what stands
//! later wins, and differs on purpose.
//!
//! Law: the pages' colours stand here alone.

/// Colours, type, boxes and players, as CSS.
pub const LOOK: &str = include_str!("../../web/look.css");

/// Forms, dialogs, figures and plots, as CSS; it stands behind [`LOOK`].
pub const PANEL: &str = include_str!("../../web/panel.css");

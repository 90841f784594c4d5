//! What the pages of the two programs share: how they look, and what their scripts are written with.
//!
//! | files of `core/web` | shared by |
//! |---|---|
//! | [`LOOK`], [`BASICS`] | all pages, those of listeners among them, which stay light |
//! | [`PANEL`], [`TOOLS`] | the pages where owners drive a daemon |
//!
//! A program has them in front of rules and scripts of its own, in the same asset, so that no page asks for one more:
//! what stands later wins, and differs on purpose.
//!
//! Laws: the pages' colours stand here alone, and no script behind these declares one of their names again.

/// Colours, type, boxes and players, as CSS.
pub const LOOK: &str = include_str!("../../web/look.css");

/// Forms, dialogs, figures and plots, as CSS; it stands behind [`LOOK`].
pub const PANEL: &str = include_str!("../../web/panel.css");

/// What every script begins with. It makes the rest strict.
pub const BASICS: &str = include_str!("../../web/basics.js");

/// How an owner's page asks a daemon, tells what comes of it and draws it; it stands behind [`BASICS`].
pub const TOOLS: &str = include_str!("../../web/tools.js");

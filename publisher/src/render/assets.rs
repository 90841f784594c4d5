//! What pages load: their styles and scripts. What they share with the agent's page comes first, what is their own
//! behind it.

use podswarm_core::app::web;

/// The type of styles.
pub(crate) const CSS: &str = "text/css; charset=utf-8";
/// The type of scripts.
pub(crate) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The dashboard itself.
pub(crate) const DASHBOARD: &str = include_str!("../../web/dashboard.html");

/// The script that draws the numbers; it needs that of the dashboard, which may come later.
pub(crate) const NUMBERS: &str = include_str!("../../web/numbers.js");

/// How every page looks: `style.css`.
pub(crate) fn style() -> String {
    [web::LOOK, include_str!("../../web/style.css")].concat()
}

/// The script of the pages of listeners: `live.js`.
pub(crate) fn live() -> String {
    [web::BASICS, include_str!("../../web/live.js")].concat()
}

/// How the dashboard looks besides: `dashboard.css`.
pub(crate) fn dashboard_style() -> String {
    [web::PANEL, include_str!("../../web/dashboard.css")].concat()
}

/// The script of the dashboard: `dashboard.js`.
pub(crate) fn dashboard_script() -> String {
    [web::BASICS, web::TOOLS, include_str!("../../web/dashboard.js")].concat()
}

//! Whether people who use a keyboard, a screen reader, or little light can use a page: axe looks, in both colours.

use std::path::Path;

use podswarm_tests::browser::Browser;

/// Everything that axe finds against a page, in words. WCAG 2.2, levels A and AA, and what is good practice besides.
const FIND: &str = "
    const found = await axe.run(document, { runOnly: {
        type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }});
    return found.violations.map(it =>
        it.id + ': ' + it.help + ': ' + it.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')).join('\\n');
";

/// Panics with what is wrong with the page, which tests call `name`.
#[track_caller]
pub(crate) fn check_access(browser: &Browser, name: &str) {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axe/axe.min.js");
    let axe = std::fs::read_to_string(&axe).expect("`tests/run axe` fetches axe");
    for is_dark in [false, true] {
        browser.darken(is_dark);
        let found = browser.run(&format!("{axe}\n{FIND}"));
        let colours = if is_dark { "dark" } else { "light" };
        assert_eq!(found, "", "{name} in {colours} colours:\n{}", found.as_str().unwrap_or_default());
    }
    browser.darken(false);
}

//! What a bench tells: a table, a drawing of it, and its place in `BENCHMARKS.md`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

const WIDTH: f64 = 720.0;
const LABEL_WIDTH: f64 = 210.0;
const BAR_HEIGHT: f64 = 18.0;
const ROW_HEIGHT: f64 = 26.0;
const TOP: f64 = 44.0;

/// The outcome of a bench.
#[derive(Debug)]
pub(crate) struct Section {
    /// What names it on the command line and its drawing.
    pub(crate) name: &'static str,
    /// Its heading.
    pub(crate) title: String,
    /// What was measured, and how.
    pub(crate) text: String,
    /// The names of the columns; the first is that of who was measured.
    pub(crate) columns: Vec<&'static str>,
    /// The rows, formatted.
    pub(crate) rows: Vec<Vec<String>>,
    /// What is drawn: a label and a value each.
    pub(crate) bars: Vec<(String, f64)>,
    /// What the bars' length means.
    pub(crate) bars_say: String,
    /// Where a line is drawn across, if there is a limit.
    pub(crate) limit: Option<f64>,
}

impl Section {
    fn table(&self) -> String {
        let mut text = format!("| {} |\n|{}\n", self.columns.join(" | "), "---|".repeat(self.columns.len()));
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }

    /// The section as Markdown.
    pub(crate) fn markdown(&self, command: &str) -> String {
        format!(
            "## {}\n\n{}\n\n{}\n![{}](tests/plots/{}.svg)\n\n`{command}` on {}.\n",
            self.title,
            self.text,
            self.table(),
            self.bars_say,
            self.name,
            machine(),
        )
    }

    /// Puts the section into the page of benchmarks in place of an older one, and draws it.
    pub(crate) fn keep(&self, root: &Path, command: &str) -> io::Result<()> {
        let page = root.join("BENCHMARKS.md");
        let old = fs::read_to_string(&page)?;
        fs::write(&page, replace_section(&old, &format!("## {}\n", self.title), &self.markdown(command)))?;
        let plots = root.join("tests/plots");
        fs::create_dir_all(&plots)?;
        fs::write(plots.join(self.name).with_extension("svg"), self.svg())
    }

    fn svg(&self) -> String {
        let longest = self.bars.iter().map(|(_, value)| *value).chain(self.limit).fold(f64::MIN_POSITIVE, f64::max);
        let room = WIDTH - LABEL_WIDTH - 80.0;
        let x = |value: f64| LABEL_WIDTH + value / longest * room;
        let count = f64::from(u32::try_from(self.bars.len()).expect("a table is short"));
        let height = TOP + count * ROW_HEIGHT + 12.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\" fill=\"#1b1f24\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"12\" y=\"24\" font-size=\"14\">{}</text>\n",
            escaped(&self.bars_say),
        );
        for ((label, value), number) in self.bars.iter().zip(0_u32..) {
            let y = TOP + f64::from(number) * ROW_HEIGHT;
            let colour = if label.starts_with("Podswarm") { "#1f6feb" } else { "#9aa4af" };
            let text_y = y + 13.0;
            let end = x(*value);
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{text_y}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LABEL_WIDTH}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{text_y}\">{}</text>",
                LABEL_WIDTH - 8.0,
                escaped(label),
                end - LABEL_WIDTH,
                end + 6.0,
                short(*value),
            );
        }
        if let Some(limit) = self.limit {
            let (at, bottom) = (x(limit), height - 12.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#d4660b\" stroke-dasharray=\"4 3\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#d4660b\">limit</text>",
                TOP - 4.0,
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// A number with as many digits as a reader needs.
pub(crate) fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The middle one, of an odd number the exact one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Replaces the section that begins with the line `heading`, or appends one.
fn replace_section(page: &str, heading: &str, section: &str) -> String {
    let Some(begin) = page.find(heading) else {
        return format!("{}\n\n{section}", page.trim_end());
    };
    let rest = &page[begin + heading.len()..];
    let end = rest.find("\n## ").map_or(page.len(), |end| begin + heading.len() + end + 1);
    let after = &page[end..];
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{}{section}{gap}{after}", &page[..begin])
}

/// The machine, as far as it matters: processor, cores, kernel.
fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = Command::new("uname").arg("-r").output().map(|output| output.stdout).unwrap_or_default();
    format!("{cores} cores of {model}, Linux {}", String::from_utf8_lossy(&kernel).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_elder() {
        let page = "# Page\n\n## A\n\none\n\n## B\n\ntwo\n";
        assert_eq!(replace_section(page, "## A\n", "## A\n\nnew\n"), "# Page\n\n## A\n\nnew\n\n## B\n\ntwo\n");
        assert_eq!(replace_section(page, "## B\n", "## B\n\nnew\n"), "# Page\n\n## A\n\none\n\n## B\n\nnew\n");
        assert_eq!(replace_section("# Page\n", "## C\n", "## C\n\nnew\n"), "# Page\n\n## C\n\nnew\n");
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}

//! A run as a drawing: the completion curve, how the uplinks were used, and what the publisher sent.

use std::fmt::Write as _;

use super::Outcome;
use super::timeline::{Sample, ratio};

const WIDTH: f64 = 840.0;
const PANEL_HEIGHT: f64 = 190.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const GAP: f64 = 56.0;
const INK: &str = "#1b1f24";
const GRID: &str = "#d5dae0";
const BLUE: &str = "#1f6feb";
const ORANGE: &str = "#d4660b";
const GREY: &str = "#6e7781";

/// A line of a panel.
struct Line<'a> {
    label: &'a str,
    colour: &'a str,
    points: Vec<(f64, f64)>,
}

/// One of the drawings above one another.
struct Panel<'a> {
    title: &'a str,
    unit: &'a str,
    most: f64,
    lines: Vec<Line<'a>>,
}

/// Draws a run as an SVG document.
pub fn svg(outcome: &Outcome) -> String {
    let bound = outcome.report.bound.as_secs_f64();
    let end = outcome.timeline.samples.last().map_or(1.0, |sample| sample.at.as_secs_f64()).max(bound * 1.02);
    let panels = panels(outcome);
    let height = TOP + panels.iter().map(|_| PANEL_HEIGHT + GAP).sum::<f64>();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(&mut svg, (LEFT, 24.0), "16", &outcome.scenario.to_string());
    for (panel, number) in panels.iter().zip(0_u8..) {
        draw(&mut svg, panel, TOP + f64::from(number) * (PANEL_HEIGHT + GAP), end, bound);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panels(outcome: &Outcome) -> Vec<Panel<'static>> {
    let peers = outcome.report.subscribers as u64;
    let samples = &outcome.timeline.samples;
    let line = |label, colour, of: &dyn Fn(&Sample) -> f64| Line {
        label,
        colour,
        points: samples.iter().map(|sample| (sample.at.as_secs_f64(), of(sample))).collect(),
    };
    let most_copies = samples.iter().map(|sample| sample.copies).fold(1.0, f64::max).ceil();
    vec![
        Panel {
            title: "Subscribers that have the episode",
            unit: "%",
            most: 100.0,
            lines: vec![line("complete", BLUE, &|sample| 100.0 * ratio(sample.complete as u64, peers))],
        },
        Panel {
            title: "Uplinks in use",
            unit: "%",
            most: 100.0,
            lines: vec![
                line("publisher", ORANGE, &|sample| 100.0 * sample.publisher_use),
                line("subscribers", BLUE, &|sample| 100.0 * sample.crowd_use),
            ],
        },
        Panel {
            title: "Copies that the publisher has sent",
            unit: "",
            most: most_copies,
            lines: vec![line("copies", ORANGE, &|sample| sample.copies)],
        },
    ]
}

fn draw(svg: &mut String, panel: &Panel<'_>, top: f64, end: f64, bound: f64) {
    let x = |seconds: f64| LEFT + seconds / end * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| top + PANEL_HEIGHT * (1.0 - (value / panel.most).min(1.0));
    text(svg, (LEFT, top - 10.0), "13", panel.title);
    for quarter in 0..=4 {
        let value = panel.most * f64::from(quarter) / 4.0;
        rule(svg, (LEFT, y(value)), (WIDTH - RIGHT, y(value)), GRID, "");
        let label = if panel.most > 4.0 { format!("{value:.0}{}", panel.unit) } else { format!("{value:.2}") };
        text_end(svg, (LEFT - 8.0, y(value) + 4.0), &label);
    }
    for tenth in 0..=10 {
        let seconds = end * f64::from(tenth) / 10.0;
        text_middle(svg, (x(seconds), top + PANEL_HEIGHT + 16.0), &format!("{seconds:.0} s"));
    }
    rule(svg, (x(bound), top), (x(bound), top + PANEL_HEIGHT), GREY, " stroke-dasharray=\"4 4\"");
    text_end(svg, (x(bound) - 4.0, top + 14.0), "bound");
    for (line, number) in panel.lines.iter().zip(0_u8..) {
        let points: Vec<String> = line.points.iter().map(|(s, v)| format!("{:.1},{:.1}", x(*s), y(*v))).collect();
        let (colour, points) = (line.colour, points.join(" "));
        let _ = writeln!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{points}\"/>");
        if panel.lines.len() > 1 {
            let place = (WIDTH - RIGHT - 90.0, top + PANEL_HEIGHT - 26.0 + 16.0 * f64::from(number));
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>", place.0, place.1, line.label);
        }
    }
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, more: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ =
        writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"{more}/>");
}

fn text(svg: &mut String, (x, y): (f64, f64), size: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\">{text}</text>");
}

fn text_end(svg: &mut String, (x, y): (f64, f64), text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" fill=\"{GREY}\">{text}</text>");
}

fn text_middle(svg: &mut String, (x, y): (f64, f64), text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" fill=\"{GREY}\">{text}</text>");
}

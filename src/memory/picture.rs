//! Lifetimes against offsets, as SVG.
//!
//! Owns the drawing: time runs to the right, a column for each kernel, and offsets upwards. Where an output runs into its dying input,
//! their rectangles lie over each other.

use std::fmt::Write;

use nablac_loops::{Life, Program, Role};

use super::page::escape;
use super::{Report, purpose};

/// What the drawing of places takes, in its own units; names of kernels stand below, offsets on the left.
const HEIGHT: f64 = 420.0;
const WIDTH: f64 = 1040.0;
const LEFT: f64 = 76.0;
const TOP: f64 = 12.0;
const BELOW: f64 = 170.0;

/// A letter of a label is about so wide.
const LETTER: f64 = 5.6;

/// Names of kernels are cut to so many letters: there is room for no more.
const NAME: usize = 26;

/// The picture of a plan.
pub(super) fn picture(nests: &Program, report: &Report) -> String {
    let scale = Scale {
        moment: WIDTH / report.occupancy.moments.len().max(1) as f64,
        byte: HEIGHT / report.arena_bytes.max(1) as f64,
    };
    let (width, height) = (LEFT + WIDTH + 8.0, TOP + HEIGHT + BELOW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Places in the arena over time</title>\n"
    );
    let peak = scale.x(report.peak.moment);
    _ = writeln!(
        svg,
        "<rect class=\"peak\" x=\"{peak:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{HEIGHT}\"/>",
        scale.moment
    );
    axes(&mut svg, report, &scale);
    for life in report.occupancy.lives.iter().filter(|life| life.first <= life.last) {
        rectangle(&mut svg, nests, report, life, &scale);
    }
    svg + "</svg>\n"
}

struct Scale {
    moment: f64,
    byte: f64,
}

impl Scale {
    fn x(&self, moment: usize) -> f64 {
        LEFT + moment as f64 * self.moment
    }

    fn y(&self, offset: usize) -> f64 {
        TOP + HEIGHT - offset as f64 * self.byte
    }
}

fn axes(svg: &mut String, report: &Report, scale: &Scale) {
    for quarter in 0..=4 {
        let offset = report.arena_bytes * quarter / 4;
        let (y, end) = (scale.y(offset), LEFT + WIDTH);
        _ = writeln!(
            svg,
            "<path class=\"line\" d=\"M{LEFT} {y:.1}H{end}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{offset}</text>",
            LEFT - 6.0,
            y + 3.5
        );
    }
    for (moment, name) in report.occupancy.moments.iter().enumerate() {
        let (x, y) = (scale.x(moment) + scale.moment / 2.0 + 3.0, TOP + HEIGHT + 10.0);
        let cut: String = name.chars().take(NAME).collect();
        let class = if moment == report.peak.moment { "end bold" } else { "end" };
        _ = writeln!(
            svg,
            "<text class=\"{class}\" transform=\"translate({x:.1} {y:.1}) rotate(-65)\">{}<title>{}</title></text>",
            escape(&cut),
            escape(name)
        );
    }
}

fn rectangle(svg: &mut String, nests: &Program, report: &Report, life: &Life, scale: &Scale) {
    let name = &nests.buffer(life.buffer).name;
    let at_peak = (life.first..=life.last).contains(&report.peak.moment);
    let class = match nests.buffer(life.buffer).role {
        Role::Local if life.is_scratch(nests) => "scratch",
        Role::Local => "local",
        Role::Output => "output",
        Role::State(_) => "state",
        _ => "input",
    };
    let (x, y) = (scale.x(life.first), scale.y(life.offset + life.bytes));
    let width = (life.last - life.first + 1) as f64 * scale.moment;
    let height = life.bytes as f64 * scale.byte;
    let moments = &report.occupancy.moments;
    _ = write!(
        svg,
        "<g class=\"{class}{}\"><title>{}: {} bytes at {}..{}, {}; from {} to {}</title>\
         <rect x=\"{x:.1}\" y=\"{y:.2}\" width=\"{width:.1}\" height=\"{height:.2}\"/>",
        if at_peak { " owner" } else { "" },
        escape(name),
        life.bytes,
        life.offset,
        life.offset + life.bytes,
        escape(&purpose(nests, life)),
        escape(&moments[life.first]),
        escape(&moments[life.last]),
    );
    let letters = (width / LETTER) as usize;
    if height > 11.0 && letters > 4 {
        let cut: String = name.chars().take(letters - 1).collect();
        _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 3.0,
            y + (height / 2.0 + 3.5).min(12.0),
            escape(&cut)
        );
    }
    *svg += "</g>\n";
}

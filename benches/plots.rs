//! The plots of docs/performance.md, drawn of docs/performance.json, where a full run with `JAILWARDEN_WRITE_DOCS=1`
//! keeps its figures. They have a ground of their own, as who looks at them may do so in the dark.

use std::collections::BTreeMap;
use std::fs;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::{Deserialize, Serialize};

use crate::support::docs::{hold, is_written, root};
use crate::support::{Plan, median};

const KEPT: &str = "docs/performance.json";

/// What is compared, in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Series {
    name: String,
    points: Vec<Point>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The row.
    of: String,
    least: f64,
    median: f64,
    most: f64,
}

impl Point {
    pub(crate) fn new(of: impl Into<String>, values: &[f64]) -> Self {
        let tenth = |value: f64| (value * 10.0).round() / 10.0;
        Self {
            of: of.into(),
            least: tenth(values.iter().copied().fold(f64::INFINITY, f64::min)),
            median: tenth(median(values)),
            most: tenth(values.iter().copied().fold(0.0, f64::max)),
        }
    }
}

type Figures = BTreeMap<String, Vec<Series>>;

fn kept() -> Figures {
    let text = fs::read_to_string(root().join(KEPT)).unwrap_or_else(|_| "{}".into());
    serde_json::from_str(&text).unwrap()
}

/// Keeps what was measured, to be drawn.
pub(crate) fn keep<const N: usize>(plan: Plan, plot: &str, series: [(&str, Vec<Point>); N]) {
    if plan.smoke || !is_written() {
        return;
    }
    let series = series.map(|(name, points)| Series {
        name: name.to_owned(),
        points,
    });
    let mut figures = kept();
    figures.insert(plot.to_owned(), series.into());
    let text = serde_json::to_string_pretty(&figures).unwrap();
    fs::write(root().join(KEPT), text + "\n").unwrap();
}

struct Plot {
    /// Its bench.
    name: &'static str,
    title: &'static str,
}

const PLOTS: [Plot; 3] = [
    Plot {
        name: "rivals",
        title: "fail2ban is killed on a real host: until all its jails protect again",
    },
    Plot {
        name: "recovery",
        title: "From a fault until all jails that can protect do, without the waits of the settings",
    },
    Plot {
        name: "change",
        title: "From an edit of one jail's file until it is in force",
    },
];

/// Draws all, or holds them to what they are drawn of.
pub(crate) fn run(_: Plan) -> bool {
    let figures = kept();
    for plot in &PLOTS {
        if let Some(series) = figures.get(plot.name) {
            let drawn = draw(plot.title, series);
            hold(&format!("docs/performance-{}.svg", plot.name), &drawn);
        }
    }
    true
}

const WIDTH: i32 = 960;
/// Of the title and the names of the series, and of the axis.
const HEAD: i32 = 72;
const FOOT: i32 = 44;
const MARGIN: i32 = 24;
/// Of the names beside the bars, and of the figures behind them.
const NAMES: i32 = 460;
const FIGURES: i32 = 70;
const BAR: i32 = 16;
/// Between two rows.
const GAP: i32 = 12;
const TITLE: i32 = 22;
const SMALL: i32 = 15;

const GROUND: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(36, 41, 47);
const PALE: RGBColor = RGBColor(225, 228, 232);
/// Of the series, in their order.
const COLOURS: [RGBColor; 2] = [RGBColor(9, 105, 218), RGBColor(165, 173, 182)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn words(size: i32, across: HPos) -> TextStyle<'static> {
    let style = TextStyle::from(("sans-serif", size).into_font());
    style.color(&INK).pos(Pos::new(across, VPos::Center))
}

/// A bar for each series in each row, as long as the median, and a line from the least to the greatest.
fn draw(title: &str, series: &[Series]) -> String {
    let rows = series.first().map_or(0, |first| first.points.len());
    let each = i32::try_from(series.len()).unwrap() * BAR + GAP;
    let height = i32::try_from(rows).unwrap() * each;
    let mut svg = String::new();
    let size = (WIDTH.unsigned_abs(), (HEAD + height + FOOT).unsigned_abs());
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    area.fill(&GROUND).unwrap();
    let name = words(TITLE, HPos::Left);
    area.draw_text(title, &name, (MARGIN, 26)).unwrap();
    name_series(&area, series);

    let all = series.iter().flat_map(|series| &series.points);
    let most = all.map(|point| point.most).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .margin_left(NAMES)
        .margin_right(FIGURES)
        .margin_top(HEAD)
        .x_label_area_size(FOOT)
        .build_cartesian_2d(0.0..most, height..0)
        .unwrap();
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh().disable_y_axis();
    mesh.light_line_style(TRANSPARENT).bold_line_style(PALE);
    mesh.axis_style(PALE).x_labels(6);
    mesh.x_label_style(words(SMALL, HPos::Center));
    mesh.x_label_formatter(&|value| format!("{value:.0} ms"));
    mesh.draw().unwrap();
    let is_ours = |nth: i32, of: &str| match series.len() {
        1 => of.starts_with("jailwarden"),
        _ => nth == 0,
    };
    for (nth, series) in (0..).zip(series) {
        for (row, point) in (0..).zip(&series.points) {
            let top = row * each + nth * BAR + GAP / 2;
            let (middle, bottom) = (top + BAR / 2 - 1, top + BAR - 2);
            let colour = COLOURS[usize::from(!is_ours(nth, &point.of))].filled();
            let bar = Rectangle::new([(0.0, top), (point.median, bottom)], colour);
            chart.draw_series([bar]).unwrap();
            let spread = vec![(point.least, middle), (point.most, middle)];
            let spread = PathElement::new(spread, INK.mix(0.55));
            chart.draw_series([spread]).unwrap();
            let (x, y) = chart.backend_coord(&(point.most.max(point.median), middle));
            let figure = format!("{:.0} ms", point.median);
            let after = words(SMALL, HPos::Left);
            area.draw_text(&figure, &after, (x + 8, y)).unwrap();
            if nth == 0 {
                let before = words(SMALL, HPos::Right);
                let at = (NAMES - 10, HEAD + row * each + each / 2);
                area.draw_text(&point.of, &before, at).unwrap();
            }
        }
    }
    drop(chart);
    drop(area);
    svg + "\n"
}

/// Which colour is whose, where there are several.
fn name_series(area: &Area, series: &[Series]) {
    let mut left = MARGIN;
    if let [only] = series {
        let name = words(SMALL, HPos::Left);
        return area.draw_text(&only.name, &name, (left, 54)).unwrap();
    }
    for (series, colour) in series.iter().zip(COLOURS) {
        let patch = [(left, 48), (left + 12, 60)];
        area.draw(&Rectangle::new(patch, colour.filled())).unwrap();
        let name = words(SMALL, HPos::Left);
        area.draw_text(&series.name, &name, (left + 18, 54))
            .unwrap();
        left += 50 + 7 * i32::try_from(series.name.len()).unwrap();
    }
}

//! Charts, drawn here as SVG. They stretch with the page, so what is written stands beside them and not in them; every
//! chart has the same numbers in a table, and whoever points at a day reads them.

use maud::{Markup, html};

use super::layout::table;

/// Units of the drawing; the page stretches them.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;
/// Of a day's place, what its bar leaves free.
const GAP: f64 = 0.24;
/// Lines across, besides the one at the bottom.
const TICKS: u32 = 2;

/// A row of values, one for each label.
#[derive(Debug)]
pub(super) struct Series {
    /// What they are.
    pub(super) name: &'static str,
    /// None where there is nothing to tell.
    pub(super) values: Vec<Option<f64>>,
}

/// A chart, before it is drawn.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// What it shows.
    pub(super) title: &'a str,
    /// Of each place.
    pub(super) labels: &'a [String],
    /// What is drawn over the labels.
    pub(super) series: &'a [Series],
    /// How a value is written.
    pub(super) unit: fn(f64) -> String,
    /// The least that the scale reaches to.
    pub(super) least: f64,
}

impl Chart<'_> {
    /// Bars, one upon the other.
    pub(super) fn bars(&self) -> Markup {
        let sums = (0..self.labels.len()).map(|place| self.series.iter().map(|row| value(row, place)).sum());
        let most = nice(sums.fold(self.least, f64::max));
        let step = self.step();
        let bar = |place: usize, row: usize| {
            let below: f64 = self.series.iter().take(row).map(|row| value(row, place)).sum();
            let height = self.series.get(row).map_or(0.0, |row| value(row, place)) / most * HEIGHT;
            let top = HEIGHT - below / most * HEIGHT - height;
            (place_of(place) * step + step * GAP / 2.0, top, step * (1.0 - GAP), height)
        };
        self.figure(most, &html! {
            @for place in 0..self.labels.len() {
                g .place {
                    title { (self.words(place)) }
                    rect .hit x=(n(place_of(place) * step)) y="0" width=(n(step)) height=(n(HEIGHT)) {}
                    @for row in 0..self.series.len() {
                        @let (x, y, width, height) = bar(place, row);
                        @if height > 0.0 {
                            rect class=(format!("bar s{row}")) x=(n(x)) y=(n(y)) width=(n(width)) height=(n(height)) {}
                        }
                    }
                }
            }
        })
    }

    /// Lines, which break where there is nothing to tell.
    pub(super) fn lines(&self) -> Markup {
        let all = self.series.iter().flat_map(|row| row.values.iter().flatten().copied());
        let most = nice(all.fold(self.least, f64::max));
        let step = self.step();
        let point = |place: usize, value: f64| ((place_of(place) + 0.5) * step, HEIGHT - value / most * HEIGHT);
        self.figure(
            most,
            &html! {
                @for (number, row) in self.series.iter().enumerate() {
                    path class=(format!("line s{number}")) d=(path(row, point)) vector-effect="non-scaling-stroke" {}
                }
                @for place in 0..self.labels.len() {
                    g .place {
                        title { (self.words(place)) }
                        rect .hit x=(n(place_of(place) * step)) y="0" width=(n(step)) height=(n(HEIGHT)) {}
                        @for (number, row) in self.series.iter().enumerate() {
                            @if let Some(value) = row.values.get(place).copied().flatten() {
                                @let (x, y) = point(place, value);
                                // A round cap on a line of no length is a dot, however the drawing is stretched.
                                @let drawn = format!("M{} {}h0.01", n(x), n(y));
                                path class=(format!("dot s{number}")) d=(drawn) vector-effect="non-scaling-stroke" {}
                            }
                        }
                    }
                }
            },
        )
    }

    fn step(&self) -> f64 {
        WIDTH / place_of(self.labels.len().max(1))
    }

    fn words(&self, place: usize) -> String {
        let label = self.labels.get(place).map_or("", String::as_str);
        let values = self.series.iter().map(|row| format!("{} {}", row.name, self.written(row, place)));
        format!("{label}: {}", values.collect::<Vec<_>>().join(", "))
    }

    fn written(&self, row: &Series, place: usize) -> String {
        row.values.get(place).copied().flatten().map_or_else(|| "–".to_owned(), self.unit)
    }

    fn figure(&self, most: f64, drawn: &Markup) -> Markup {
        let count = self.labels.len();
        let shown =
            [0, count / 2, count.saturating_sub(1)].map(|place| self.labels.get(place).map_or("", String::as_str));
        let ticks = (0..=TICKS).rev().map(|tick| (self.unit)(most * f64::from(tick) / f64::from(TICKS)));
        html! {
            figure .chart {
                figcaption {
                    h3 { (self.title) }
                    ul .legend { @for (number, row) in self.series.iter().enumerate() {
                        li { span class=(format!("key s{number}")) aria-hidden="true" {} (row.name) }
                    } }
                }
                div .plot {
                    div .ticks aria-hidden="true" { @for tick in ticks { span { (tick) } } }
                    @let view = format!("0 0 {WIDTH} {HEIGHT}");
                    svg viewBox=(view) preserveAspectRatio="none" role="img" aria-label=(self.summary()) {
                        @for tick in 0..=TICKS {
                            @let y = n(HEIGHT * f64::from(tick) / f64::from(TICKS));
                            path .grid d=(format!("M0 {y}H{WIDTH}")) vector-effect="non-scaling-stroke" {}
                        }
                        (drawn)
                    }
                    div .labels aria-hidden="true" { @for label in shown { span { (label) } } }
                }
                details {
                    summary { "As a table" }
                    (self.table())
                }
            }
        }
    }

    fn summary(&self) -> String {
        let most = self.series.iter().map(|row| {
            let most = row.values.iter().flatten().copied().fold(0.0, f64::max);
            format!("{} at most {}", row.name, (self.unit)(most))
        });
        format!("{}, {} days: {}", self.title, self.labels.len(), most.collect::<Vec<_>>().join(", "))
    }

    fn table(&self) -> Markup {
        let names: Vec<String> = self.series.iter().map(|row| format!("#{}", row.name)).collect();
        let mut columns = vec!["Day"];
        columns.extend(names.iter().map(String::as_str));
        let rows: Vec<Vec<Markup>> = (0..self.labels.len())
            .rev()
            .map(|place| {
                let label = self.labels.get(place).map_or("", String::as_str);
                let mut row = vec![html! { (label) }];
                row.extend(self.series.iter().map(|series| html! { (self.written(series, place)) }));
                row
            })
            .collect();
        table(self.title, &columns, &rows, "Nothing.")
    }
}

/// A small line without numbers, which stand beside it.
pub(super) fn sparkline(values: &[f64], about: &str) -> Markup {
    let most = values.iter().copied().fold(1.0, f64::max);
    let step = WIDTH / place_of(values.len().max(2) - 1);
    let points = values
        .iter()
        .enumerate()
        .map(|(place, value)| format!("{} {}", n(place_of(place) * step), n(HEIGHT - value / most * HEIGHT)));
    let line = points.collect::<Vec<_>>().join("L");
    html! {
        @let view = format!("0 -6 {WIDTH} {}", HEIGHT + 12.0);
        svg .spark viewBox=(view) preserveAspectRatio="none" role="img" aria-label=(about) {
            title { (about) }
            path .area d=(format!("M{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z")) {}
            path .line d=(format!("M{line}")) vector-effect="non-scaling-stroke" {}
        }
    }
}

fn path(row: &Series, point: impl Fn(usize, f64) -> (f64, f64)) -> String {
    let (mut drawn, mut is_down) = (String::new(), false);
    for (place, value) in row.values.iter().enumerate() {
        if let Some(value) = value {
            let (x, y) = point(place, *value);
            drawn.push_str(&format!("{}{} {}", if is_down { 'L' } else { 'M' }, n(x), n(y)));
        }
        is_down = value.is_some();
    }
    drawn
}

fn value(row: &Series, place: usize) -> f64 {
    row.values.get(place).copied().flatten().unwrap_or(0.0)
}

/// The least of some steps between powers of ten that is no less. From 4 on they are whole, and so are their halves.
fn nice(most: f64) -> f64 {
    if !most.is_finite() || most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 6.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= most * (1.0 - 1e-9)).unwrap_or(most)
}

#[expect(clippy::cast_precision_loss, reason = "places are days of a year at most")]
fn place_of(place: usize) -> f64 {
    place as f64
}

/// To a hundredth of a unit.
fn n(number: f64) -> String {
    let rounded = (number * 100.0).round() / 100.0;
    // There is no zero below zero.
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize) -> Vec<String> {
        (1..=count).map(|day| format!("day {day}")).collect()
    }

    fn whole(value: f64) -> String {
        format!("{value:.0}")
    }

    #[test]
    fn a_scale_ends_at_a_round_number_that_nothing_exceeds() {
        for (most, end) in
            [(0.0, 1.0), (1.0, 1.0), (3.0, 3.0), (4.5, 6.0), (81.0, 100.0), (1_234.0, 1_600.0), (0.31, 0.4)]
        {
            assert!((nice(most) - end).abs() < 1e-9, "{most}: {}", nice(most));
        }
        assert_eq!(nice(f64::NAN), 1.0);
    }

    #[test]
    fn bars_stand_on_one_another_and_fill_the_scale() {
        let labels = labels(2);
        let values = |values: [f64; 2]| values.map(Some).to_vec();
        let series =
            [Series { name: "In", values: values([60.0, 0.0]) }, Series { name: "Out", values: values([40.0, 50.0]) }];
        let chart = Chart { title: "Messages", labels: &labels, series: &series, unit: whole, least: 1.0 };
        let drawn = chart.bars().into_string();
        assert!(drawn.contains(r#"<rect class="bar s0" x="60" y="40" width="380" height="60">"#), "{drawn}");
        assert!(drawn.contains(r#"<rect class="bar s1" x="60" y="0" width="380" height="40">"#), "{drawn}");
        assert!(drawn.contains(r#"<rect class="bar s1" x="560" y="50" width="380" height="50">"#), "{drawn}");
        assert_eq!(drawn.matches("class=\"bar").count(), 3, "nothing is no bar");
        assert!(drawn.contains("<title>day 1: In 60, Out 40</title>"), "{drawn}");
        assert!(
            drawn.contains("role=\"img\"") && drawn.contains("aria-label=\"Messages, 2 days: In at most 60"),
            "{drawn}"
        );
        assert!(drawn.contains("<details>") && !drawn.contains("style="), "{drawn}");
    }

    #[test]
    fn a_line_breaks_where_nothing_is_known() {
        let labels = labels(4);
        let series = [Series { name: "p50", values: vec![Some(1.0), Some(2.0), None, Some(2.0)] }];
        let chart = Chart { title: "Times", labels: &labels, series: &series, unit: whole, least: 0.1 };
        let drawn = chart.lines().into_string();
        assert!(drawn.contains(r#"d="M125 50L375 0M875 0""#), "{drawn}");
        assert_eq!(drawn.matches("class=\"dot").count(), 3);
    }

    #[test]
    fn nothing_at_all_is_drawn_as_nothing() {
        let chart = Chart { title: "Messages", labels: &[], series: &[], unit: whole, least: 1.0 };
        for drawn in [chart.bars(), chart.lines(), sparkline(&[], "none"), sparkline(&[3.0], "one")] {
            let drawn = drawn.into_string();
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        }
    }
}

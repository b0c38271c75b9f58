//! The report as a picture: one panel a question, a horizontal bar a row. Plain SVG, without fonts or scripts of its
//! own.

use std::fmt::Write as _;

use super::{
    options::Scenario,
    report::{Report, readable},
};

const WIDTH: f64 = 860.0;
const LABEL: f64 = 300.0;
const VALUE: f64 = 120.0;
const BAR: f64 = 18.0;
const STEP: f64 = 26.0;
const HEAD: f64 = 44.0;

/// Bars of one unit.
struct Panel {
    title: &'static str,
    unit: &'static str,
    bars: Vec<(String, f64)>,
}

/// Draws what there is of it.
pub(super) fn draw(report: &Report) -> String {
    let panels: Vec<_> = panels(report).into_iter().filter(|panel| !panel.bars.is_empty()).collect();
    let height: f64 = panels.iter().map(|panel| HEAD + STEP * panel.bars.len() as f64).sum::<f64>() + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut top = 0.0;
    for panel in &panels {
        draw_panel(&mut svg, panel, top);
        top += HEAD + STEP * panel.bars.len() as f64;
    }
    svg + "</svg>\n"
}

fn panels(report: &Report) -> Vec<Panel> {
    let best =
        |scenario, prefix, label: &str| report.best(scenario, prefix, "rate").map(|rate| (label.to_owned(), rate));
    let all = |scenario: Scenario, prefix: &str, name: &str| -> Vec<(String, f64)> {
        let rows = report.rows().iter().filter(|row| row.scenario == scenario && row.what.starts_with(prefix));
        let figure = |row: &super::report::Row| row.figures.iter().find(|figure| figure.name == name).map(|f| f.value);
        rows.filter_map(|row| Some((row.what.clone(), figure(row)?))).collect()
    };
    let entry = [
        best(Scenario::Broker, "single", "bare publisher, single"),
        best(Scenario::Ingest, "single", "ingest, single"),
        best(Scenario::Reference, "1 process, single", "reference, single, 1 process"),
        best(Scenario::Reference, "2 processes, single", "reference, single, 2 processes"),
        best(Scenario::Broker, "batches of 50", "bare publisher, batches of 50"),
        best(Scenario::Ingest, "batches of 50", "ingest, batches of 50"),
        best(Scenario::Reference, "1 process, batches", "reference, batches of 50, 1 process"),
    ];
    let worker = [
        best(Scenario::Worker, "bare writes", "its MongoDB writes, bare"),
        best(Scenario::Worker, "top rate", "worker"),
    ];
    let added: Vec<_> =
        all(Scenario::Worker, "", "p95").into_iter().filter(|(what, _)| what.ends_with("in flight")).collect();
    vec![
        Panel {
            title: "Messages taken and confirmed",
            unit: "messages/s",
            bars: entry.into_iter().flatten().collect(),
        },
        Panel { title: "ingest, p99 of the 200", unit: "ms", bars: all(Scenario::Ingest, "single", "p99") },
        Panel { title: "Messages answered", unit: "answers/s", bars: worker.into_iter().flatten().collect() },
        Panel { title: "worker, p95 of what it adds to AI and Graph", unit: "ms", bars: added },
        Panel { title: "Answers where the AI takes 1 s", unit: "answers/s", bars: all(Scenario::Growth, "", "rate") },
        Panel { title: "Webhook to Graph, p95 at half load", unit: "ms", bars: all(Scenario::EndToEnd, "", "p95") },
    ]
}

fn draw_panel(svg: &mut String, panel: &Panel, top: f64) {
    let most = panel.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("a String takes any text");
    put(format_args!("<text x=\"16\" y=\"{}\" font-weight=\"bold\">{}</text>\n", top + 30.0, escaped(panel.title)));
    for (n, (label, value)) in panel.bars.iter().enumerate() {
        let y = top + HEAD + STEP * n as f64;
        let width = (WIDTH - LABEL - VALUE) * value.max(0.0) / most;
        put(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
            LABEL - 8.0,
            y + 13.0,
            escaped(label)
        ));
        put(format_args!("<rect x=\"{LABEL}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"#2a7f62\"/>\n"));
        put(format_args!(
            "<text x=\"{:.1}\" y=\"{}\">{} {}</text>\n",
            LABEL + width + 6.0,
            y + 13.0,
            readable(*value),
            escaped(panel.unit)
        ));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::figure;

    #[test]
    fn bars_are_as_long_as_their_values_and_labels_are_escaped() {
        let mut report = Report::default();
        report.add(Scenario::Growth, "1 worker", vec![figure("rate", 30.0, "/s")]);
        report.add(Scenario::Growth, "4 <workers> & more", vec![figure("rate", 120.0, "/s")]);
        let svg = draw(&report);
        assert!(svg.contains("width=\"440.0\"") && svg.contains("width=\"110.0\""), "{svg}");
        assert!(svg.contains("4 &lt;workers&gt; &amp; more"), "{svg}");
        assert_eq!(svg.matches("font-weight").count(), 1, "panels without bars are left out");
    }

    #[test]
    fn nothing_measured_is_still_a_picture() {
        assert!(draw(&Report::default()).ends_with("</svg>\n"));
    }
}

//! A growth as a picture: cost over size, both from the origin of what was measured.

use std::fmt::Write as _;

use crate::{Growth, Line};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
/// Room for the numbers on the left and above, and for the words below.
const LEFT: f64 = 64.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 110.0;
const BELOW: f64 = 52.0;
/// One for each line; they differ in lightness too.
const COLOURS: [&str; 3] = ["#0b5fa5", "#b3541e", "#5a5a5a"];
/// Numbers at the left side.
const STEPS: u8 = 4;

/// The picture as SVG: sizes to the right, each ten times as far as that before it, and milliseconds
/// upwards from zero. A bar at each point reaches from the least to the most.
pub fn svg(growth: &Growth) -> String {
    let points = || growth.lines.iter().flat_map(|line| &line.points);
    let most = points().map(|point| point.wall_ms.max).fold(f64::MIN_POSITIVE, f64::max);
    let sizes = points().map(|point| f64::from(point.size.max(1)).log10());
    let (low, high) =
        sizes.fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)));
    let across = (high - low).max(f64::EPSILON);
    let x =
        |size: u32| LEFT + (f64::from(size.max(1)).log10() - low) / across * (WIDTH - LEFT - RIGHT);
    let y = |ms: f64| TOP + (1.0 - ms / most) * (HEIGHT - TOP - BELOW);

    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>",
        escape(&growth.name)
    );
    for step in 0..=STEPS {
        let ms = most * f64::from(step) / f64::from(STEPS);
        let (at, right) = (y(ms), WIDTH - RIGHT);
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#dddddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{ms:.1}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for point in growth.lines.iter().take(1).flat_map(|line| &line.points) {
        let (at, below) = (x(point.size), HEIGHT - BELOW + 18.0);
        let _ = writeln!(
            text,
            "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{}</text>",
            point.size
        );
    }
    let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0);
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">{}</text>",
        escape(&growth.of)
    );
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{}\" text-anchor=\"end\">ms</text>", TOP - 8.0);
    for (line, colour) in growth.lines.iter().zip(COLOURS.iter().cycle()) {
        draw(&mut text, line, colour, &x, &y);
    }
    text.push_str("</svg>\n");
    text
}

fn draw(
    text: &mut String,
    line: &Line,
    colour: &str,
    x: &impl Fn(u32) -> f64,
    y: &impl Fn(f64) -> f64,
) {
    let Some(last) = line.points.last() else { return };
    let places: Vec<String> = line
        .points
        .iter()
        .map(|point| format!("{:.1},{:.1}", x(point.size), y(point.wall_ms.median)))
        .collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        places.join(" ")
    );
    for point in &line.points {
        let (at, spread) = (x(point.size), point.wall_ms);
        let _ = writeln!(
            text,
            "<path d=\"M{at:.1} {:.1}V{:.1}\" stroke=\"{colour}\"/>\
             <circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
            y(spread.min),
            y(spread.max),
            y(spread.median)
        );
    }
    let (beside, at) = (x(last.size) + 8.0, y(last.wall_ms.median) + 4.0);
    let _ = writeln!(
        text,
        "<text x=\"{beside:.1}\" y=\"{at:.1}\" fill=\"{colour}\">{}</text>",
        escape(&line.subject)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Point, Spread};

    #[test]
    fn a_picture_has_a_point_for_each_size_between_its_edges() {
        let point = |size, median| {
            let wall_ms = Spread { median, min: median / 2.0, max: median * 2.0 };
            Point { size, wall_ms, syscalls: None }
        };
        let line = Line {
            subject: "podbond".to_owned(),
            points: vec![point(10, 1.0), point(100, 2.0), point(1000, 3.0)],
        };
        let growth = Growth {
            name: "bond ADD".to_owned(),
            of: "links & more".to_owned(),
            lines: vec![line],
        };
        let text = svg(&growth);
        assert_eq!(text.matches("<circle").count(), 3);
        // The first at the left edge, half of the highest bar up in the middle of its decade.
        assert!(text.contains("points=\"64.0,230.0 297.0,192.0 530.0,154.0\""), "{text}");
        assert!(text.contains("links &amp; more"));
        assert_eq!(growth.file_name(), "growth-bond-add");
    }
}

//! The history of an event as a drawing of a few lines.

use crate::session::latency::History;

const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// What a place looks like that is filled by so many thirds.
const FILLED: [char; 3] = ['_', 'o', '#'];

/// Draws an event, oldest sample first, with how long ago each was below it.
pub fn draw(event: &History, now_s: u32) -> String {
    let latencies = || event.samples.iter().map(|[_, ms]| *ms);
    let (high, low) = (latencies().max().unwrap_or(0), latencies().min().unwrap_or(0));
    let mut text = format!(
        "{} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.name,
        event.max_ms,
        "-".repeat(COLUMNS)
    );
    for part in event.samples.chunks(COLUMNS) {
        let heights: Vec<usize> = part.iter().map(|[_, ms]| height(*ms, low, high)).collect();
        let labels: Vec<String> = part.iter().map(|[at_s, _]| age(now_s, *at_s)).collect();
        draw_bars(&mut text, &heights);
        draw_labels(&mut text, &labels);
    }
    text
}

/// The height of a bar, in thirds of a row, from 0.
fn height(ms: u32, low: u32, high: u32) -> usize {
    let steps = ROWS * FILLED.len();
    let range = (high - low).max(1) as f64;
    (((ms - low) as f64 * steps as f64 / range) as usize).min(steps - 1)
}

fn draw_bars(text: &mut String, heights: &[usize]) {
    for row in (0..ROWS).rev() {
        text.extend(heights.iter().map(|height| match height.checked_sub(row * FILLED.len()) {
            Some(filled) => FILLED.get(filled).copied().unwrap_or('|'),
            None => ' ',
        }));
        text.push('\n');
    }
}

/// Writes labels downwards, below an empty line.
fn draw_labels(text: &mut String, labels: &[String]) {
    let longest = labels.iter().map(String::len).max().unwrap_or(0);
    text.push_str(&" ".repeat(labels.len()));
    text.push('\n');
    for line in 0..longest {
        text.extend(labels.iter().map(|label| label.chars().nth(line).unwrap_or(' ')));
        text.push('\n');
    }
}

fn age(now_s: u32, at_s: u32) -> String {
    match now_s.saturating_sub(at_s) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_rise_with_the_latency() {
        let samples = vec![[100, 10], [130, 25], [160, 40]];
        let event = History { name: "command".into(), max_ms: 50, samples };
        let drawn = draw(&event, 3800);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], "command - high 40 ms, low 10 ms (all time high 50 ms)");
        assert_eq!(lines[2..6], ["  #", " _|", " ||", "_||"]);
        assert_eq!(lines[6..], ["   ", "111", "hhh"]);
    }
}

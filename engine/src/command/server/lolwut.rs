//! `LOLWUT`: a ring of swapped squares, another one each time, and the version.

use crate::exec::context::ClientCtx;
use base::args::{Args, parse_integer};
use base::error::{self, Done};
use base::random::Random;

const WIDTH: usize = 64;
const HEIGHT: usize = 24;

pub fn lolwut(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    // Whatever else is there, Redis only looks whether a version is a number.
    if args.len() > 2 && args.is(1, "VERSION") && parse_integer(args.at(2)).is_none() {
        return Err(error::NOT_INTEGER);
    }
    let mut text = draw(&mut cx.core().random);
    text.push_str(&format!("\nRedis ver. {}\n", cx.exec.release.redis_version));
    cx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// A disc of two interleaved spirals, as if one were swapped for the other while it turns.
fn draw(random: &mut Random) -> String {
    const SHADES: [char; 4] = [' ', '░', '▒', '▓'];
    let turns = 1.0 + random.unit() * 3.0;
    let phase = random.unit() * std::f64::consts::TAU;
    let arms = 1.0 + random.below(4) as f64;
    let mut picture = String::new();
    for row in 0..HEIGHT {
        for column in 0..WIDTH {
            let x = (column as f64 + 0.5) / WIDTH as f64 * 2.0 - 1.0;
            let y = (row as f64 + 0.5) / HEIGHT as f64 * 2.0 - 1.0;
            let radius = x.hypot(y);
            let wave = (y.atan2(x) * arms + radius * turns * std::f64::consts::TAU + phase).sin();
            let shade = if radius > 1.0 { 0 } else { ((wave + 1.0) * 1.999) as usize };
            picture.push(SHADES[shade]);
        }
        picture.truncate(picture.trim_end().len());
        picture.push('\n');
    }
    picture
}

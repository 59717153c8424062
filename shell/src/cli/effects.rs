//! `shell effects`.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::asked::Server;
use super::output;
use crate::effects::follow::{Format, Request};
use crate::refusal::Refusal;
use crate::upgrade::Update;

/// What the line begins with that says why there are no more.
const LAST_WORDS: &[u8] = b"{\"error\"";

/// Arguments of `shell effects`.
#[derive(clap::Args)]
pub struct Args {
    /// Go on when the end of the stream is reached.
    #[arg(long)]
    follow: bool,
    /// Begin at this position, if the stream still has it; without it, at its end.
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Have writers wait when this reader is slow, instead of cutting it off.
    #[arg(long)]
    hold: bool,
    /// Lines, the bytes of the stream as they are, or how much is written in a second.
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    format: Format,
    #[command(flatten)]
    server: Server,
}

/// Runs `shell effects`.
pub fn run(args: &Args) -> ExitCode {
    let format = if args.server.json { Format::Json } else { args.format };
    let path = path(Request { from: args.from, follow: args.follow, hold: args.hold, format });
    let mut printer = Printer { format, line: Vec::new(), refusal: None };
    let outcome = args.server.client().bytes(&path, |bytes| printer.print(bytes));
    match printer.refusal.map_or(outcome, Err) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}

fn path(request: Request) -> String {
    let Request { from, follow, hold, format } = request;
    let from = from.map_or_else(String::new, |from| format!("&from={from}"));
    let format = match format {
        Format::Text => "text",
        Format::Resp => "resp",
        Format::Rate => "rate",
        Format::Json => "json",
    };
    format!("/v1/effects?format={format}&follow={follow}&hold={hold}{from}")
}

/// Prints what comes, but for the last words of a server that breaks off.
struct Printer {
    format: Format,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    refusal: Option<Refusal>,
}

impl Printer {
    /// Breaks off when nobody reads what is printed.
    fn print(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let out = match self.format {
            Format::Resp => bytes.to_vec(),
            Format::Text | Format::Rate | Format::Json => self.lines(bytes),
        };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&out).and_then(|()| stdout.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn lines(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.line.extend_from_slice(bytes);
        let whole = self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines: Vec<u8> = self.line.drain(..whole).collect();
        let last = lines.trim_ascii_end().iter().rposition(|byte| *byte == b'\n');
        let last = last.map_or(0, |at| at + 1);
        if lines[last..].starts_with(LAST_WORDS)
            && let Ok(Update::Error(refusal)) = serde_json::from_slice(&lines[last..])
        {
            self.refusal = Some(refusal);
            lines.truncate(last);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Code;

    #[test]
    fn lines_are_printed_whole_and_last_words_are_not() {
        let mut printer = Printer { format: Format::Text, line: Vec::new(), refusal: None };
        assert_eq!(printer.lines(b"0 0 \"SE"), b"");
        assert_eq!(
            printer.lines(b"T\"\n7 0 \"DEL\" \"{\\\"error\"\n8"),
            b"0 0 \"SET\"\n7 0 \"DEL\" \"{\\\"error\"\n"
        );
        let refusal = Refusal::new(Code::CutOff, "too slow");
        assert_eq!(
            printer.lines(format!(" 0 \"X\"\n{}\n", refusal.to_json()).as_bytes()),
            b"8 0 \"X\"\n"
        );
        assert_eq!(printer.refusal, Some(refusal));
    }

    #[test]
    fn requests_are_queries() {
        let request = Request { from: Some(7), follow: true, hold: false, format: Format::Resp };
        assert_eq!(path(request), "/v1/effects?format=resp&follow=true&hold=false&from=7");
    }
}

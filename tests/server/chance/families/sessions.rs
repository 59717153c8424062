//! What concerns the client that sends it, and commands that are none.

pub const LINES: &str = "
  PING|ECHO [ $text ]
  ? HELLO 2|3|4
  WATCH ( $any )*3
  UNWATCH
  EXEC|DISCARD
  CLIENT NO-EVICT on|off|x
  NOSUCH $text $int
  WAIT 0 0
";

//! HyperLogLogs.

pub const LINES: &str = "
5 PFADD $hll ( $text )*9
  PFADD $hll
3 PFCOUNT ( $hll )*3
3 PFMERGE $hll ( $hll )*3
  SET $hll $text
  GET|STRLEN $hll
  SETRANGE $hll $offset $text
  APPEND $hll $text
  PFDEBUG ENCODING|TODENSE|GETREG|DECODE|x $hll
";

//! Replies as text that tells all that the bytes tell, types and kinds of null among it.
//!
//! | text | reply |
//! | --- | --- |
//! | `+OK` | a simple string |
//! | `-ERR no such key` | an error |
//! | `17` | an integer |
//! | `"a\x00b"` | a bulk string |
//! | `nil`, `nil-array` | the nulls of RESP2: of a bulk string, of an array |
//! | `[1 "a" [2]]` | an array; over several lines when it is long |
//! | `null`, `true`, `false` | of RESP3 |
//! | `,1.5`, `(12345` | a double, a big number |
//! | `txt:"a"`, `!"ERR a"` | a verbatim string, a bulk error |
//! | `~[1 2]`, `>[1 2]` | a set, a push |
//! | `{"a": 1 "b": 2}` | a map |
//! | `\|{"a": 1} 2` | attributes and the reply they are about |
//! | `(array)` | of which only the type is recorded |

use crate::harness::connection::Reply;

/// Columns that an aggregate may take in one line.
const WIDTH_MAX: usize = 96;

/// What of a reply is recorded.
#[derive(Clone, Copy, PartialEq)]
pub enum View {
    /// All of it.
    Exactly,
    /// Its elements, sorted.
    Unordered,
    /// Its type.
    TypeOnly,
    /// None of it.
    Nothing,
}

impl View {
    /// What of this reply is recorded.
    pub fn of(self, reply: &Reply) -> String {
        if self == View::TypeOnly {
            return format!("({})", type_name(&reply.0));
        }
        let mut reader = Reader { rest: &reply.0 };
        let mut node = reader.node();
        assert!(reader.rest.is_empty(), "bytes after the end of {reply:?}");
        if self == View::Unordered {
            node.items.sort_by_cached_key(Node::inline);
        }
        node.lines().join("\n")
    }
}

fn type_name(bytes: &[u8]) -> &'static str {
    match bytes {
        b"$-1\r\n" | b"*-1\r\n" | b"_\r\n" => "null",
        [b'+', ..] => "simple string",
        [b'-' | b'!', ..] => "error",
        [b':', ..] => "integer",
        [b'$', ..] => "bulk string",
        [b'=', ..] => "verbatim string",
        [b'*', ..] => "array",
        [b'~', ..] => "set",
        [b'%', ..] => "map",
        [b'>', ..] => "push",
        _ => panic!("a type of reply that no line needed yet: {}", bytes.escape_ascii()),
    }
}

/// A reply as text: a head, and for an aggregate its elements and what closes it.
struct Node {
    head: String,
    items: Vec<Node>,
    tail: &'static str,
    /// Whether it says itself where it ends, so that another can follow on the same line.
    is_closed: bool,
}

impl Node {
    fn leaf(head: String) -> Self {
        Self { head, items: Vec::new(), tail: "", is_closed: true }
    }

    /// A simple string or an error. What has spaces or brackets ends with the line.
    fn simple(kind: char, text: &[u8]) -> Self {
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || b"-_|@.".contains(b);
        let is_closed = text.iter().all(is_word);
        let text = escaped(text).replace("\\\"", "\"");
        Self { is_closed, ..Self::leaf(format!("{kind}{text}")) }
    }

    fn aggregate(head: &str, items: Vec<Node>, tail: &'static str) -> Self {
        let is_closed = items.iter().all(|item| item.is_closed);
        Self { head: head.into(), items, tail, is_closed }
    }

    fn inline(&self) -> String {
        let items: Vec<_> = self.items.iter().map(Node::inline).collect();
        format!("{}{}{}", self.head, items.join(" "), self.tail)
    }

    fn lines(&self) -> Vec<String> {
        let inline = self.inline();
        if self.items.is_empty() || (self.is_closed && inline.len() <= WIDTH_MAX) {
            return vec![inline];
        }
        let inner = self.items.iter().flat_map(Node::lines).map(|line| format!("  {line}"));
        [self.head.clone()].into_iter().chain(inner).chain([self.tail.into()]).collect()
    }
}

/// Reads a reply that is known to be whole.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let taken;
        (taken, self.rest) = self.rest.split_at(count);
        taken
    }

    /// What comes before the next end of a line.
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n").expect("a line");
        let line = self.take(end);
        self.take(2);
        line
    }

    fn node(&mut self) -> Node {
        let kind = self.take(1)[0];
        let header = self.line();
        match (kind, header) {
            (b'$', b"-1") => Node::leaf("nil".into()),
            (b'*', b"-1") => Node::leaf("nil-array".into()),
            (b'_', b"") => Node::leaf("null".into()),
            (b'#', b"t") => Node::leaf("true".into()),
            (b'#', b"f") => Node::leaf("false".into()),
            (b'+' | b'-', text) => Node::simple(kind.into(), text),
            (b':', number) => Node::leaf(integer(number).to_string()),
            (b',' | b'(', number) => Node::simple(kind.into(), number),
            (b'$' | b'=' | b'!', length) => self.string(kind, count(length)),
            (b'*', length) => Node::aggregate("[", self.nodes(count(length)), "]"),
            (b'~', length) => Node::aggregate("~[", self.nodes(count(length)), "]"),
            (b'>', length) => Node::aggregate(">[", self.nodes(count(length)), "]"),
            (b'%', length) => Node::aggregate("{", self.pairs(count(length)), "}"),
            (b'|', length) => self.attributed(count(length)),
            _ => panic!("no reply begins like this: {}{}", kind as char, header.escape_ascii()),
        }
    }

    fn string(&mut self, kind: u8, length: usize) -> Node {
        let bytes = self.take(length);
        assert_eq!(self.take(2), b"\r\n", "after a string");
        Node::leaf(match kind {
            b'$' => quoted(bytes),
            b'!' => format!("!{}", quoted(bytes)),
            _ => format!("{}:{}", bytes[..3].escape_ascii(), quoted(&bytes[4..])),
        })
    }

    fn nodes(&mut self, count: usize) -> Vec<Node> {
        (0..count).map(|_| self.node()).collect()
    }

    fn pairs(&mut self, count: usize) -> Vec<Node> {
        let pair = |_| {
            let key = self.node().inline();
            let value = self.node();
            Node { head: format!("{key}: {}", value.head), ..value }
        };
        (0..count).map(pair).collect()
    }

    fn attributed(&mut self, count: usize) -> Node {
        let attributes = Node::aggregate("|{", self.pairs(count), "}").inline();
        let reply = self.node();
        Node { head: format!("{attributes} {}", reply.head), ..reply }
    }
}

/// A number in the only form it may have.
fn integer(text: &[u8]) -> i64 {
    let text = str::from_utf8(text).expect("digits");
    let number: i64 = text.parse().expect("a number");
    assert_eq!(number.to_string(), text, "a number in another form");
    number
}

fn count(text: &[u8]) -> usize {
    usize::try_from(integer(text)).expect("a length")
}

/// As `redis-cli` takes it: see [`crate::harness::words`].
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes))
}

/// As it stands between double quotes.
fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &str) -> String {
        View::Exactly.of(&Reply(bytes.into()))
    }

    #[test]
    fn replies_that_differ_read_differently() {
        let cases = [
            ("+OK\r\n", "+OK"),
            ("-ERR no such 'key' \"a\\\r\n", r#"-ERR no such 'key' "a\\"#),
            (":-1\r\n", "-1"),
            ("$3\r\na\0\"\r\n", r#""a\x00\"""#),
            ("$0\r\n\r\n", r#""""#),
            ("$-1\r\n", "nil"),
            ("*-1\r\n", "nil-array"),
            ("_\r\n", "null"),
            ("*0\r\n", "[]"),
            ("*2\r\n:1\r\n*1\r\n$1\r\n2\r\n", r#"[1 ["2"]]"#),
            ("~1\r\n#t\r\n", "~[true]"),
            (">1\r\n,1.5\r\n", ">[,1.5]"),
            ("%1\r\n+a\r\n*1\r\n(7\r\n", "{+a: [(7]}"),
            ("|1\r\n+a\r\n:1\r\n:2\r\n", "|{+a: 1} 2"),
            ("=5\r\ntxt:a\r\n", r#"txt:"a""#),
            ("!5\r\nERR a\r\n", r#"!"ERR a""#),
        ];
        for (bytes, text) in cases {
            assert_eq!(all(bytes), text);
        }
    }

    #[test]
    fn what_could_run_into_the_next_element_has_a_line_of_its_own() {
        assert_eq!(all("*2\r\n-ERR a\r\n:1\r\n"), "[\n  -ERR a\n  1\n]");
    }

    #[test]
    fn long_aggregates_take_a_line_for_each_element() {
        let word = "x".repeat(WIDTH_MAX / 2);
        let text = all(&format!("*2\r\n+{word}\r\n*2\r\n+{word}\r\n:1\r\n"));
        assert_eq!(text, format!("[\n  +{word}\n  [+{word} 1]\n]"));
    }

    #[test]
    fn elements_without_order_are_sorted_and_types_are_named() {
        let reply = Reply(b"*2\r\n$1\r\nb\r\n$1\r\na\r\n".to_vec());
        assert_eq!(View::Unordered.of(&reply), r#"["a" "b"]"#);
        assert_eq!(View::TypeOnly.of(&reply), "(array)");
    }
}

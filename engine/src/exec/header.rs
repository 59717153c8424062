//! The first line of a script or library, which begins with `#!` and says what it is and may do.

use base::error::{self, Error};
use base::resp::inline;
use lua::flag;

/// What a script says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bits of [`lua::flag`].
    pub flags: u32,
    /// Where the source begins: at the end of the first line, so that lines keep their numbers.
    pub len: usize,
}

fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut data, mut spans) = (Vec::new(), Vec::new());
    if !inline::split(line, &mut data, &mut spans) || spans.is_empty() {
        return None;
    }
    let word = |span: &base::resp::parse::Span| &data[span.start as usize..][..span.len as usize];
    Some(spans.iter().map(|span| word(span).to_vec()).collect())
}

/// The length of the first line.
fn first_line(source: &[u8]) -> Option<usize> {
    // As in C, where a zero ends a text.
    memchr::memchr2(b'\n', 0, source).filter(|at| source[*at] == b'\n')
}

/// What a script says of itself: nothing, if it does not begin with `#!`.
pub fn header_of(source: &[u8]) -> Result<Header, Error> {
    if !source.starts_with(b"#!") {
        return Ok(Header { flags: flag::UNSAID, len: 0 });
    }
    let len = first_line(source).ok_or(Error::new("ERR Invalid script shebang"))?;
    let words = words(&source[..len]);
    let words = words.ok_or(Error::new("ERR Invalid engine in script shebang"))?;
    if words[0] != b"#!lua" {
        return Err(error::with_bytes("ERR Unexpected engine in script shebang: ", &words[0]));
    }
    let mut flags = 0;
    for word in &words[1..] {
        let named = word.strip_prefix(b"flags=");
        let unknown = || error::with_bytes("ERR Unknown lua shebang option: ", word);
        let named = named.ok_or_else(unknown)?;
        for name in named.split(|byte| *byte == b',').filter(|_| !named.is_empty()) {
            let unexpected = || error::with_bytes("ERR Unexpected flag in script shebang: ", name);
            flags |= flag::named(name).ok_or_else(unexpected)?;
        }
    }
    Ok(Header { flags, len })
}

/// The name of a library, and where its source begins, as the first line says.
pub fn library_header(source: &[u8]) -> Result<(Vec<u8>, usize), Error> {
    const INVALID: Error = Error::new("ERR Invalid library metadata");
    if !source.starts_with(b"#!") {
        return Err(Error::new("ERR Missing library metadata"));
    }
    let len = first_line(source).ok_or(INVALID)?;
    let words = words(&source[..len]).ok_or(INVALID)?;
    let mut name: Option<&[u8]> = None;
    for word in &words[1..] {
        if !word.get(..5).is_some_and(|key| key.eq_ignore_ascii_case(b"name=")) {
            return Err(error::with_bytes("ERR Invalid metadata value given: ", word));
        }
        if name.replace(&word[5..]).is_some() {
            return Err(Error::new(
                "ERR Invalid metadata value, name argument was given multiple times",
            ));
        }
    }
    let name = name.ok_or(Error::new("ERR Library name was not given"))?;
    if !lua::is_name(name) {
        return Err(Error::new(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at \
             least one character long",
        ));
    }
    let engine = words[0].get(2..).unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(Error::owned([b"ERR Engine '", engine, b"' not found"].concat()));
    }
    Ok((name.to_vec(), len))
}

#[cfg(test)]
mod tests {
    use super::{Header, header_of, library_header};
    use lua::flag;

    #[test]
    fn a_script_says_what_it_may_do() {
        for (source, expect) in [
            ("return 1", Ok(Header { flags: flag::UNSAID, len: 0 })),
            ("#!lua\nreturn 1", Ok(Header { flags: 0, len: 5 })),
            (
                "#!lua flags=no-writes,allow-oom\n",
                Ok(Header { flags: flag::NO_WRITES | flag::ALLOW_OOM, len: 31 }),
            ),
            ("#!lua", Err("ERR Invalid script shebang")),
            ("#!lua \"\n", Err("ERR Invalid engine in script shebang")),
            ("#!sh\n", Err("ERR Unexpected engine in script shebang: #!sh")),
            ("#!lua x=1\n", Err("ERR Unknown lua shebang option: x=1")),
            ("#!lua flags=x\n", Err("ERR Unexpected flag in script shebang: x")),
        ] {
            let found = header_of(source.as_bytes());
            let expect = expect.map_err(|text| text.as_bytes().to_vec());
            assert_eq!(found.map_err(|error| error.text().to_vec()), expect, "{source}");
        }
    }

    #[test]
    fn a_library_says_its_name() {
        assert_eq!(library_header(b"#!lua name=a_1\n..").unwrap(), (b"a_1".to_vec(), 14));
        assert_eq!(library_header(b"#!LUA NAME=a\n").unwrap().0, b"a");
        let error = library_header(b"#!lua name=a name=b\n").unwrap_err();
        assert!(error.text().ends_with(b"multiple times"));
    }
}

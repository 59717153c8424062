//! Values as servers before 7.0 wrote them.

/// A length or a number of things.
fn length(len: usize) -> Vec<u8> {
    match len {
        0..=0x3f => vec![len as u8],
        0x40..=0x3fff => vec![0x40 | (len >> 8) as u8, len as u8],
        _ => [&[0x80][..], &(len as u32).to_be_bytes()].concat(),
    }
}

/// A string, in the plainest form.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes.len())[..], bytes].concat()
}

/// So many things.
pub fn counted(things: &[Vec<u8>]) -> Vec<u8> {
    [length(things.len()), things.concat()].concat()
}

/// A score as text.
pub fn score(text: &str) -> Vec<u8> {
    match text {
        "inf" => vec![254],
        "-inf" => vec![255],
        _ => [&[text.len() as u8][..], text.as_bytes()].concat(),
    }
}

/// The head of an element of a ziplist that is an integer or a string, and what follows.
fn element(bytes: &[u8]) -> Vec<u8> {
    let integer = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
    let integer = integer.filter(|value| value.to_string().as_bytes() == bytes);
    let Some(value) = integer else {
        return match bytes.len() {
            len @ 0..=0x3f => [&[len as u8][..], bytes].concat(),
            len @ 0x40..=0x3fff => [&[0x40 | (len >> 8) as u8, len as u8][..], bytes].concat(),
            len => [&[0x80][..], &(len as u32).to_be_bytes(), bytes].concat(),
        };
    };
    let bytes = value.to_le_bytes();
    match value {
        0..=12 => vec![0xf1 + value as u8],
        -0x80..=0x7f => vec![0xfe, bytes[0]],
        -0x8000..=0x7fff => [&[0xc0], &bytes[..2]].concat(),
        -0x80_0000..=0x7f_ffff => [&[0xf0], &bytes[..3]].concat(),
        -0x8000_0000..=0x7fff_ffff => [&[0xd0], &bytes[..4]].concat(),
        _ => [&[0xe0], &bytes[..]].concat(),
    }
}

/// A ziplist.
pub fn ziplist(elements: &[Vec<u8>]) -> Vec<u8> {
    let (mut body, mut before, mut last) = (Vec::new(), 0, 10);
    for bytes in elements {
        let start = body.len();
        match before {
            0..=253 => body.push(before as u8),
            _ => body.extend([&[0xfe][..], &(before as u32).to_le_bytes()].concat()),
        }
        body.extend(element(bytes));
        (before, last) = (body.len() - start, 10 + start);
    }
    let bytes = (11 + body.len() as u32).to_le_bytes();
    let count = (elements.len() as u16).to_le_bytes();
    [&bytes[..], &(last as u32).to_le_bytes(), &count, &body, &[0xff]].concat()
}

/// A zipmap, some of whose values have room behind them.
pub fn zipmap(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let length = |len: usize| match len {
        0..=253 => vec![len as u8],
        _ => [&[0xfe][..], &(len as u32).to_le_bytes()].concat(),
    };
    let mut bytes = vec![pairs.len().min(254) as u8];
    for (at, (field, value)) in pairs.iter().enumerate() {
        let unused = at % 3;
        bytes.extend([length(field.len()), field.clone(), length(value.len())].concat());
        bytes.push(unused as u8);
        bytes.extend([&value[..], &[7; 2][..unused]].concat());
    }
    bytes.push(0xff);
    bytes
}

//! JSON as the peer protocol uses it: one value a line, numbers from 0 to 2^64 - 1, text without escapes.
//!
//! The reader takes any bytes. What is no such JSON, or is nested too deep, is refused as a whole. A value is
//! a part of its line; nothing is copied or allocated.

/// How deep lists and objects may be nested.
pub const DEEPEST: usize = 8;

/// A value, as it stands in its line.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// The line, if it is one object.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let start = space(line, 0);
        let end = value(line, start, 0)?;
        (space(line, end) == line.len() && line[start] == b'{').then(|| Json(&line[start..end]))
    }

    /// A whole number of at most 64 bits.
    pub fn number(self) -> Option<u64> {
        let mut number: u64 = 0;
        for digit in self.0 {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        }
        Some(number)
    }

    /// True or false.
    pub fn flag(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    pub fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// A text, without its quotation marks.
    pub fn text(self) -> Option<&'a [u8]> {
        (self.0[0] == b'"').then(|| &self.0[1..self.0.len() - 1])
    }

    /// What a list holds.
    pub fn items(self) -> Option<Items<'a>> {
        (self.0[0] == b'[').then(|| Items { text: self.0, at: 1 })
    }

    /// What an object holds: each key, and its value.
    pub fn members(self) -> Option<Members<'a>> {
        (self.0[0] == b'{').then(|| Members(Items { text: self.0, at: 1 }))
    }

    /// The value of a key of an object; none of one that is not there, or is there twice.
    pub fn member(self, key: &[u8]) -> Option<Json<'a>> {
        let mut found = self.members()?.filter(|(name, _)| *name == key);
        let first = found.next()?;
        found.next().is_none().then_some(first.1)
    }
}

/// The values of a list.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let start = space(self.text, self.at);
        let end = value(self.text, start, 0)?;
        // One letter stands behind each value: a comma, a colon or the closing bracket.
        self.at = space(self.text, end) + 1;
        Some(Json(&self.text[start..end]))
    }
}

/// The keys and values of an object.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a>(Items<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?.text()?, self.0.next()?))
    }
}

fn space(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && matches!(text[at], b' ' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// Where a value ends that starts at `at`.
fn value(text: &[u8], at: usize, depth: usize) -> Option<usize> {
    match *text.get(at)? {
        b'{' => held(text, at, depth, true),
        b'[' => held(text, at, depth, false),
        b'"' => string(text, at),
        b't' => word(text, at, b"true"),
        b'f' => word(text, at, b"false"),
        b'n' => word(text, at, b"null"),
        _ => digits(text, at),
    }
}

fn held(text: &[u8], at: usize, depth: usize, is_object: bool) -> Option<usize> {
    let closing = if is_object { b'}' } else { b']' };
    if depth >= DEEPEST {
        return None;
    }
    let mut at = space(text, at + 1);
    if *text.get(at)? == closing {
        return Some(at + 1);
    }
    loop {
        at = space(text, at);
        if is_object {
            if *text.get(at)? != b'"' {
                return None;
            }
            at = space(text, string(text, at)?);
            if *text.get(at)? != b':' {
                return None;
            }
            at = space(text, at + 1);
        }
        at = space(text, value(text, at, depth + 1)?);
        let next = *text.get(at)?;
        at += 1;
        if next == closing {
            return Some(at);
        }
        if next != b',' {
            return None;
        }
    }
}

fn string(text: &[u8], at: usize) -> Option<usize> {
    let length = text[at + 1..].iter().position(|letter| *letter == b'"')?;
    let inner = &text[at + 1..at + 1 + length];
    let is_plain = inner.iter().all(|letter| (0x20..0x7f).contains(letter) && *letter != b'\\');
    is_plain.then_some(at + length + 2)
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text[at..].starts_with(word).then(|| at + word.len())
}

fn digits(text: &[u8], at: usize) -> Option<usize> {
    let length = text[at..].iter().take_while(|letter| letter.is_ascii_digit()).count();
    let is_number = length == 1 || (length > 1 && text[at] != b'0');
    is_number.then_some(at + length)
}

/// An answer while it is written. What does not fit sets `is_full`.
pub struct Answer<'a> {
    buffer: &'a mut [u8],
    length: usize,
    needs_comma: bool,
    pub is_full: bool,
}

impl<'a> Answer<'a> {
    /// An answer that is begun in `buffer`: an object.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        let mut answer = Answer { buffer, length: 0, needs_comma: false, is_full: false };
        answer.open(b'{');
        answer
    }

    /// Begin again with nothing written.
    pub fn restart(&mut self) {
        self.length = 0;
        self.needs_comma = false;
        self.is_full = false;
        self.open(b'{');
    }

    /// The line, with its end.
    pub fn finished(&mut self) -> &[u8] {
        self.close(b'}');
        self.raw(b"\n");
        &self.buffer[..self.length]
    }

    fn raw(&mut self, text: &[u8]) {
        match self.buffer.get_mut(self.length..self.length + text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                self.length += text.len();
            }
            None => self.is_full = true,
        }
    }

    fn separate(&mut self) {
        if self.needs_comma {
            self.raw(b", ");
        }
        self.needs_comma = true;
    }

    pub fn open(&mut self, bracket: u8) {
        self.separate();
        self.raw(&[bracket]);
        self.needs_comma = false;
    }

    pub fn close(&mut self, bracket: u8) {
        self.raw(&[bracket]);
        self.needs_comma = true;
    }

    pub fn key(&mut self, key: &str) {
        self.put_text(key);
        self.raw(b": ");
        self.needs_comma = false;
    }

    /// Text; what JSON would escape becomes a question mark.
    pub fn put_text(&mut self, text: &str) {
        self.separate();
        self.raw(b"\"");
        for letter in text.bytes() {
            let is_plain = (0x20..0x7f).contains(&letter) && letter != b'"' && letter != b'\\';
            self.raw(&[if is_plain { letter } else { b'?' }]);
        }
        self.raw(b"\"");
    }

    pub fn put_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.separate();
        self.raw(&digits[at..]);
    }

    pub fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.put_text(text);
    }

    pub fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        self.put_number(number);
    }

    pub fn flag(&mut self, key: &str, flag: bool) {
        self.key(key);
        self.put_flag(flag);
    }

    pub fn put_flag(&mut self, flag: bool) {
        self.separate();
        self.raw(if flag { b"true" } else { b"false" });
    }

    pub fn hex(&mut self, key: &str, bytes: &[u8]) {
        self.key(key);
        self.put_hex(bytes);
    }

    pub fn put_null(&mut self) {
        self.separate();
        self.raw(b"null");
    }

    pub fn put_hex(&mut self, bytes: &[u8]) {
        self.separate();
        self.raw(b"\"");
        for byte in bytes {
            let digits = b"0123456789abcdef";
            self.raw(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
        self.raw(b"\"");
    }
}

//! A JSON parser by recursive descent (RFC 8259), over any allocator.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use crate::workloads::text::Text;

/// A value and everything below it.
#[derive(Debug)]
pub enum Value<A: Allocator> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number, as a double.
    Number(f64),
    /// A string, its escapes resolved.
    Text(Text<A>),
    /// An array.
    List(Vec<Self, A>),
    /// An object: its members in their order, equal names included.
    Object(Members<A>),
}

/// Names with their values.
pub type Members<A> = Vec<(Text<A>, Value<A>), A>;

/// What is wrong with a document, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What it is.
    pub kind: ErrorKind,
    /// Bytes before it.
    pub at: usize,
}

/// What may be wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It ends in the middle of a value.
    End,
    /// A character that cannot stand there.
    Unexpected,
    /// A number that is none.
    Number,
    /// An unknown escape, or half of a surrogate pair.
    Escape,
    /// A control character inside a string.
    Control,
    /// Values lie more than [`DEEPEST`] levels deep.
    Depth,
}

/// Levels that are read: a document must not decide how much stack a program needs.
pub const DEEPEST: usize = 64;

/// Reads a document: one value, with nothing but white space around it.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse<A: Allocator + Copy>(document: &str, allocator: A) -> Result<Value<A>, Error> {
    let mut parser = Parser { document, at: 0, depth: 0, allocator };
    parser.skip_space();
    let value = parser.value()?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => parser.fail(ErrorKind::Unexpected),
    }
}

struct Parser<'d, A> {
    document: &'d str,
    /// Bytes read. On the boundary of a character wherever the document is cut.
    at: usize,
    depth: usize,
    allocator: A,
}

impl<A: Allocator + Copy> Parser<'_, A> {
    fn fail<T>(&self, kind: ErrorKind) -> Result<T, Error> {
        Err(Error { kind, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.document.as_bytes().get(self.at).copied()
    }

    /// What is wrong where something else was to come.
    fn unexpected<T>(&self) -> Result<T, Error> {
        self.fail(if self.peek().is_none() { ErrorKind::End } else { ErrorKind::Unexpected })
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes past `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    fn value(&mut self) -> Result<Value<A>, Error> {
        match self.peek() {
            Some(b'{') => self.object().map(Value::Object),
            Some(b'[') => self.list().map(Value::List),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.unexpected(),
        }
    }

    fn word(&mut self, word: &str, value: Value<A>) -> Result<Value<A>, Error> {
        for byte in word.bytes() {
            if !self.take(byte) {
                return self.unexpected();
            }
        }
        Ok(value)
    }

    /// Elements between brackets, separated by commas; stands at the opening one.
    fn elements<T>(
        &mut self,
        close: u8,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T, A>, Error> {
        if self.depth == DEEPEST {
            return self.fail(ErrorKind::Depth);
        }
        self.depth += 1;
        self.at += 1;
        let mut elements = Vec::new_in(self.allocator);
        self.skip_space();
        if !self.take(close) {
            loop {
                elements.push(element(self)?);
                self.skip_space();
                if self.take(close) {
                    break;
                }
                if !self.take(b',') {
                    return self.unexpected();
                }
                self.skip_space();
            }
        }
        self.depth -= 1;
        Ok(elements)
    }

    fn list(&mut self) -> Result<Vec<Value<A>, A>, Error> {
        self.elements(b']', Self::value)
    }

    fn object(&mut self) -> Result<Members<A>, Error> {
        self.elements(b'}', |parser| {
            let name = parser.text()?;
            parser.skip_space();
            if !parser.take(b':') {
                return parser.unexpected();
            }
            parser.skip_space();
            Ok((name, parser.value()?))
        })
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.fail(ErrorKind::Number) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<f64, Error> {
        let start = self.at;
        self.take(b'-');
        // A zero stands alone: no number begins with another digit behind it.
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        self.document[start..self.at].parse().or_else(|_| self.fail(ErrorKind::Number))
    }

    /// A string. Without escapes it is copied as a whole, into one block of its size.
    fn text(&mut self) -> Result<Text<A>, Error> {
        if !self.take(b'"') {
            return self.unexpected();
        }
        let mut text = Text::new_in(self.allocator);
        loop {
            let start = self.at;
            // Bytes of longer characters are above all those that end the run.
            while self.peek().is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            text.push_str(&self.document[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push_str(self.escape()?.encode_utf8(&mut [0; 4])),
                Some(_) => return self.fail(ErrorKind::Control),
                None => return self.fail(ErrorKind::End),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        self.at += 1;
        let Some(letter) = self.peek() else { return self.fail(ErrorKind::End) };
        let plain = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.fail(ErrorKind::Escape),
        };
        self.at += 1;
        Ok(plain)
    }

    /// The character of one or two UTF-16 units; stands behind the first `\u`.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.unit()?;
        let code = match first {
            0xD800..0xDC00 if self.take(b'\\') && self.take(b'u') => match self.unit()? {
                second @ 0xDC00..0xE000 => 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => return self.fail(ErrorKind::Escape),
            },
            _ => first,
        };
        // A surrogate that is left alone is no character.
        char::from_u32(code).map_or_else(|| self.fail(ErrorKind::Escape), Ok)
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Error> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return self.fail(ErrorKind::End) };
            let Some(digit) = char::from(byte).to_digit(16) else { return self.fail(ErrorKind::Escape) };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Global;

    use super::*;

    /// The value as Rust's own formatting has it, or what is wrong.
    fn read(document: &str) -> Result<String, ErrorKind> {
        fn show(value: &Value<Global>) -> String {
            match value {
                Value::Null => "null".to_owned(),
                Value::Bool(truth) => truth.to_string(),
                Value::Number(number) => format!("{number:?}"),
                Value::Text(text) => format!("{:?}", text.as_str()),
                Value::List(list) => {
                    format!("[{}]", list.iter().map(show).collect::<std::vec::Vec<_>>().join(","))
                }
                Value::Object(members) => members
                    .iter()
                    .map(|(name, value)| format!("{}={}", name.as_str(), show(value)))
                    .collect::<std::vec::Vec<_>>()
                    .join(";"),
            }
        }
        parse(document, Global).map(|value| show(&value)).map_err(|error| error.kind)
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let expected = "a=[1.0,-0.5,1200.0,true,false,null];b=;=[]";
        assert_eq!(
            read(" {\"a\": [1, -0.5 ,12e+2,true,false,null],\n\"b\":{},\t\"\":[ ]}\r\n").unwrap(),
            expected
        );
        for (document, value) in [("0", "0.0"), ("-0", "-0.0"), ("1E2", "100.0"), ("2.5e-1", "0.25")] {
            assert_eq!(read(document).unwrap(), value);
        }
    }

    #[test]
    fn every_escape_is_resolved() {
        let expected = format!("{:?}", "\"\\/\u{8}\u{c}\n\r\tüé😀");
        assert_eq!(read(r#""\"\\\/\b\f\n\r\tü\u00E9\ud83d\uDE00""#).unwrap(), expected);
    }

    #[test]
    fn what_is_no_document_is_an_error_and_no_panic() {
        use ErrorKind::{Control, Depth, End, Escape, Number, Unexpected};
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let cases = [
            ("", End),
            ("[1,", End),
            ("{\"a\"", End),
            ("\"abc", End),
            ("\"abc\\", End),
            ("\"\\u12", End),
            ("tru", End),
            ("nul1", Unexpected),
            ("[1 2]", Unexpected),
            ("[1,]", Unexpected),
            ("{1:2}", Unexpected),
            ("{\"a\" 2}", Unexpected),
            ("1 2", Unexpected),
            ("01", Unexpected),
            ("ü", Unexpected),
            ("-", Number),
            ("1.", Number),
            ("1e", Number),
            (r#""\x""#, Escape),
            (r#""\ü""#, Escape),
            (r#""\u12g4""#, Escape),
            (r#""\ud83d""#, Escape),
            (r#""\ud83d\n""#, Escape),
            (r#""\ud83d\u0041""#, Escape),
            (r#""\ude00""#, Escape),
            ("\"a\nb\"", Control),
            (&deep(DEEPEST + 1), Depth),
        ];
        for (document, error) in cases {
            assert_eq!(read(document), Err(error), "{document}");
        }
        assert!(read(&deep(DEEPEST)).is_ok());
    }

    #[test]
    fn a_document_cut_anywhere_is_an_error_at_its_end_or_before() {
        let document = r#"{"name": "ü\n\ud83d\ude00", "list": [1.5e3, true, null, {"x": []}]}"#;
        for at in (0..document.len()).filter(|&at| document.is_char_boundary(at)) {
            let error = parse(&document[..at], Global).unwrap_err();
            assert!(error.at <= at, "{error:?} in the first {at} bytes");
        }
        assert!(parse(document, Global).is_ok());
    }
}

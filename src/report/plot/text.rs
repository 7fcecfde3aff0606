//! How wide text is, estimated by its characters: no fonts are read, so the same text takes the same room on every
//! machine.

/// The size of all text in plots, pixels. The style sheet says the same.
pub(super) const SIZE: f64 = 11.0;

/// From the top of one line of text to the next, pixels.
pub(super) const LINE_HEIGHT: i32 = 13;

/// The width of `text` in pixels, on the generous side of what common sans-serif faces need.
pub(super) fn width(text: &str) -> u32 {
    (text.chars().map(em).sum::<f64>() * SIZE).ceil() as u32
}

/// `text`, cut to `most` pixels with an ellipsis where it is wider.
pub(super) fn fitted(text: &str, most: u32) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if width(&cut) + ((em(c) + em('…')) * SIZE).ceil() as u32 > most {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

/// The width of a character in ems.
fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.3,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '/' | '-' | ' ' | '\u{202f}' | '\u{a0}' => 0.38,
        'm' | 'M' | 'W' | '@' | '%' => 0.95,
        'w' | 'A'..='Z' | '&' | '…' => 0.8,
        // Combining marks and the controls that turn text around take no room.
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => 0.0,
        // East Asian scripts and pictures.
        '\u{1100}'..='\u{11ff}'
        | '\u{2e80}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ff60}' => 1.1,
        '\u{1f000}'..='\u{3ffff}' => 1.3,
        _ => 0.62,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_counts_characters_rather_than_bytes() {
        assert_eq!(width("µµ"), width("nn"));
        assert!(width("漢字") > width("ab"));
        assert_eq!(width(""), 0);
    }

    #[test]
    fn long_text_is_cut_where_it_stops_fitting() {
        let cut = fitted(&"x".repeat(500), 60);
        assert!(cut.ends_with('…') && width(&cut) <= 60);
        assert_eq!(fitted("slab", 60), "slab");
    }
}

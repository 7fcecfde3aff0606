//! File names from ids.
//!
//! An id is anything: `churn`, `../../x`, `<script>`. A slug is 1–57 of `a-z 0-9 - _`, and no two ids share one.

use std::collections::HashSet;

/// Room for a readable beginning; what is cut is told apart by the hash behind it.
const LONGEST: usize = 48;

/// Names that one platform or another reserves, whatever their extension.
const RESERVED: [&str; 5] = ["con", "prn", "aux", "nul", "index"];

/// Hands out slugs and remembers which are taken.
#[derive(Default)]
pub(crate) struct Slugs {
    taken: HashSet<String>,
}

impl Slugs {
    /// A slug for `id`. The same ids in the same order get the same slugs.
    pub(crate) fn take(&mut self, id: &str) -> String {
        let readable = readable(id);
        let plain = readable == id && !RESERVED.contains(&id);
        let mut slug = if plain { readable.clone() } else { format!("{readable}-{:08x}", hash(id)) };
        let mut attempt = 1;
        while !self.taken.insert(slug.clone()) {
            attempt += 1;
            slug = format!("{readable}-{:08x}-{attempt}", hash(id));
        }
        slug
    }
}

fn readable(id: &str) -> String {
    let mut slug = String::new();
    for c in id.chars() {
        let c = c.to_ascii_lowercase();
        if slug.len() == LONGEST {
            break;
        }
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "x".to_owned() } else { slug.to_owned() }
}

/// FNV-1a, 32 bits: stable across platforms and releases, which the standard library's hasher is not.
pub(crate) fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_ids_are_their_own_slugs() {
        let mut slugs = Slugs::default();
        assert_eq!(slugs.take("pool-local"), "pool-local");
        assert_eq!(slugs.take("null"), "null");
    }

    #[test]
    fn hostile_ids_become_harmless_names() {
        let mut slugs = Slugs::default();
        let long = "x".repeat(5_000);
        for id in [
            "../../x",
            "<script>alert(1)</script>",
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "nul",
            "\u{202e}evil",
            &long,
        ] {
            let slug = slugs.take(id);
            assert!(slug.len() < 70, "{slug}");
            assert!(
                slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b)),
                "{slug}"
            );
        }
    }

    #[test]
    fn ids_that_look_alike_get_different_slugs() {
        let mut slugs = Slugs::default();
        let ids = ["a b", "a/b", "A-B", "a-b", "a-b", "a--b"];
        let given: HashSet<String> = ids.iter().map(|id| slugs.take(id)).collect();
        assert_eq!(given.len(), ids.len());
    }
}

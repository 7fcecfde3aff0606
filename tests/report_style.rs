//! The style sheet's colours can be told from what they stand on, in light and in dark.

#![cfg(feature = "harness")]

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../report-templates/style.css");

/// The variables of the light theme, and those of the dark one on top of them.
fn themes() -> [BTreeMap<String, String>; 2] {
    let (light, rest) =
        STYLE.split_once("@media (prefers-color-scheme: dark)").expect("there is a dark theme");
    let light = variables(light);
    let (dark, _) = rest.split_once("\n}\n").expect("it ends");
    let mut both = light.clone();
    both.extend(variables(dark));
    [light, both]
}

fn variables(css: &str) -> BTreeMap<String, String> {
    let colour = |line: &str| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": ")?;
        Some((name.to_owned(), value.trim_end_matches(';').to_owned()))
    };
    css.lines().filter_map(colour).collect()
}

/// Relative luminance as WCAG 2 defines it.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = u8::from_str_radix(&colour[at..at + 2], 16).expect("colours are #rrggbb");
        let share = f64::from(value) / 255.0;
        if share <= 0.03928 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

fn contrast(a: &str, b: &str) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_has_a_contrast_of_4_5_everywhere_it_stands() {
    for theme in themes() {
        for text in ["text", "dim", "link", "failed"] {
            for ground in ["page", "raised"] {
                let found = contrast(&theme[text], &theme[ground]);
                assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
            }
        }
        for text in ["text", "link"] {
            assert!(contrast(&theme[text], &theme["caution"]) >= 4.5, "{text} on a caution");
        }
        assert!(contrast(&theme["dim"], &theme["shade"]) >= 4.5, "words in the shade");
    }
}

#[test]
fn marks_have_a_contrast_of_3_on_the_page_and_in_the_shade() {
    for theme in themes() {
        for hue in 0..10 {
            for ground in ["page", "shade"] {
                let found = contrast(&theme[&format!("hue-{hue}")], &theme[ground]);
                assert!(found >= 3.0, "hue-{hue} on {ground}: {found:.2}");
            }
        }
        assert!(contrast(&theme["focus"], &theme["page"]) >= 3.0, "the focus ring");
    }
}

#[test]
fn every_heat_class_has_the_text_colour_of_the_higher_contrast_and_at_least_4_5() {
    let [theme, _] = themes();
    for class in 0..9 {
        let (ground, text) = (&theme[&format!("heat-{class}")], &theme[&format!("heat-text-{class}")]);
        let other = if text == "#000000" { "#ffffff" } else { "#000000" };
        assert!(contrast(ground, text) >= contrast(ground, other), "heat-{class}");
        assert!(contrast(ground, text) >= 4.5, "heat-{class}");
    }
}

#[test]
fn heat_darkens_from_step_to_step() {
    let [theme, _] = themes();
    let light: Vec<f64> = (0..9).map(|class| luminance(&theme[&format!("heat-{class}")])).collect();
    assert!(light.windows(2).all(|pair| pair[0] > pair[1]), "{light:?}");
}

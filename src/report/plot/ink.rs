//! What a mark is, written into the only thing plotters carries from a style to a backend: its colour.
//!
//! Plotters knows no CSS classes. A colour's red is the role of the mark, its green and blue are the look of the
//! allocator; [`super::svg`] reads them back and writes classes. The numbers are never seen as colours.

use plotters::style::RGBColor;

use crate::report::look::Look;

/// What a mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Axis lines.
    Axis,
    /// Lines across the plot.
    Grid,
    /// Tick labels and descriptions.
    Text,
    /// A value written beside its mark.
    Value,
    /// The part of a plot that needs a caution.
    Shade,
    /// The line that a perfect result would follow.
    Ideal,
    /// An allocator's line.
    Line(Look),
    /// An allocator's bar.
    Bar(Look),
    /// An allocator's marker.
    Mark(Look),
    /// An allocator's interval.
    Whisker(Look),
    /// An allocator's name at the end of its line.
    Name(Look),
}

impl Ink {
    /// The colour that stands for it.
    pub(super) fn rgb(self) -> RGBColor {
        let (role, look) = match self {
            Self::Axis => (0, None),
            Self::Grid => (1, None),
            Self::Text => (2, None),
            Self::Value => (3, None),
            Self::Shade => (4, None),
            Self::Ideal => (5, None),
            Self::Line(look) => (6, Some(look)),
            Self::Bar(look) => (7, Some(look)),
            Self::Mark(look) => (8, Some(look)),
            Self::Whisker(look) => (9, Some(look)),
            Self::Name(look) => (10, Some(look)),
        };
        let look = look.unwrap_or(Look { hue: 0, dash: 0, marker: 0 });
        RGBColor(role, look.hue << 4 | look.dash, look.marker)
    }

    /// The mark that a colour stands for; an axis for a colour of plotters' own.
    pub(super) fn from_rgb((role, hue_dash, marker): (u8, u8, u8)) -> Self {
        let look = Look { hue: hue_dash >> 4, dash: hue_dash & 15, marker };
        match role {
            1 => Self::Grid,
            2 => Self::Text,
            3 => Self::Value,
            4 => Self::Shade,
            5 => Self::Ideal,
            6 => Self::Line(look),
            7 => Self::Bar(look),
            8 => Self::Mark(look),
            9 => Self::Whisker(look),
            10 => Self::Name(look),
            _ => Self::Axis,
        }
    }

    /// Its CSS classes.
    pub(super) fn classes(self) -> String {
        match self {
            Self::Axis => "axis".to_owned(),
            Self::Grid => "grid".to_owned(),
            Self::Text => "tick".to_owned(),
            Self::Value => "value".to_owned(),
            Self::Shade => "shade".to_owned(),
            Self::Ideal => "ideal".to_owned(),
            Self::Line(look) => format!("line hue-{} dash-{}", look.hue, look.dash),
            Self::Bar(look) => format!("bar hue-{}", look.hue),
            Self::Mark(look) => format!("mark hue-{}", look.hue),
            Self::Whisker(look) => format!("whisker hue-{}", look.hue),
            Self::Name(look) => format!("name hue-{}", look.hue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::look;

    #[test]
    fn every_ink_survives_the_way_through_a_colour() {
        let look = look::of("mimalloc");
        for ink in [
            Ink::Axis,
            Ink::Grid,
            Ink::Text,
            Ink::Value,
            Ink::Shade,
            Ink::Ideal,
            Ink::Line(look),
            Ink::Bar(look),
            Ink::Mark(look),
            Ink::Whisker(look),
            Ink::Name(look),
        ] {
            let RGBColor(r, g, b) = ink.rgb();
            assert_eq!(Ink::from_rgb((r, g, b)), ink);
        }
    }
}

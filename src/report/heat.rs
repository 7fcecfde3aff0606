//! The steps of the heat scale: a ratio to the best, on a logarithm to base 2, cut into classes.

use serde::Serialize;

/// Steps in each doubling. Four: a step is 19 %, well above what six rounds cannot tell apart.
const STEPS_PER_DOUBLING: f64 = 4.0;

/// Classes, the last of which is open. Eight steps reach a ratio of 4; what is slower than that is slow enough,
/// and its number stands in the cell.
pub(crate) const CLASSES: usize = 9;

/// One class of the scale, for the legend.
#[derive(Serialize)]
pub(crate) struct Step {
    pub(crate) class: String,
    pub(crate) label: String,
}

/// The class of `ratio`, 0 (the best) to `CLASSES - 1`.
pub(crate) fn class(ratio: f64) -> usize {
    let step = (ratio.max(1.0).log2() * STEPS_PER_DOUBLING).floor();
    (step as usize).min(CLASSES - 1)
}

/// What the legend says of each class.
pub(crate) fn legend() -> Vec<Step> {
    let edge = |index: usize| 2f64.powf(index as f64 / STEPS_PER_DOUBLING);
    (0..CLASSES)
        .map(|index| Step {
            class: format!("heat-{index}"),
            label: if index + 1 == CLASSES {
                format!("≥ {:.0}", edge(index))
            } else {
                format!("{:.2}–{:.2}", edge(index), edge(index + 1))
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_steps_make_a_doubling_and_the_last_class_is_open() {
        let classes: Vec<usize> =
            [0.9, 1.0, 1.18, 1.2, 1.5, 2.01, 3.9, 4.1, 1e9].iter().map(|ratio| class(*ratio)).collect();
        assert_eq!(classes, [0, 0, 0, 1, 2, 4, 7, 8, 8]);
    }

    #[test]
    fn the_legend_has_an_entry_for_every_class() {
        let legend = legend();
        assert_eq!(legend.len(), CLASSES);
        assert_eq!(legend[0].label, "1.00–1.19");
        assert_eq!(legend[8].label, "≥ 4");
    }
}

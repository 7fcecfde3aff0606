//! Which of several figures the star marks: one rule for every table of the site.

/// A figure, as far as it is known: the least and the most that it may be.
pub(crate) type Range = (f64, f64);

/// For each figure, whether it is the least, where less is better. Equals share it, and so do those that may be either
/// side of each other. Nothing is marked where all are equal, where there is but one, or where a figure that may be
/// the least may also be more than another that is known: the measurements do not say then.
pub(crate) fn least(figures: &[Option<Range>]) -> Vec<bool> {
    let known = || figures.iter().flatten();
    let start = known().map(|(low, _)| *low).fold(f64::INFINITY, f64::min);
    let leads = |(low, _): &Range| *low <= start;
    let most_of_leaders = known().filter(|it| leads(it)).map(|(_, high)| *high).fold(start, f64::max);
    let others = || known().filter(|it| !leads(it));
    let clear = others().next().is_some() && others().all(|(low, _)| most_of_leaders <= *low);
    figures.iter().map(|figure| clear && figure.as_ref().is_some_and(leads)).collect()
}

/// [`least`] of figures that are known exactly.
pub(crate) fn least_of(figures: impl Iterator<Item = Option<f64>>) -> Vec<bool> {
    least(&figures.map(|figure| figure.map(|it| (it, it))).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_share_the_mark_and_all_equal_have_none() {
        assert_eq!(least_of([Some(3.0), Some(1.0), None, Some(1.0)].into_iter()), [false, true, false, true]);
        assert_eq!(least_of([Some(1.0), Some(1.0)].into_iter()), [false, false]);
        assert_eq!(least_of([Some(1.0), None].into_iter()), [false, false]);
        assert!(least(&[]).is_empty());
    }

    #[test]
    fn what_is_below_a_limit_is_least_only_if_the_limit_is() {
        let below = |limit| Some((0.0, limit));
        let exactly = |value| Some((value, value));
        assert_eq!(least(&[below(50.0), below(50.0), exactly(50.0)]), [true, true, false]);
        assert_eq!(least(&[below(60.0), exactly(55.0), exactly(70.0)]), [false; 3]);
        assert_eq!(least(&[below(50.0), below(50.0)]), [false; 2]);
    }
}

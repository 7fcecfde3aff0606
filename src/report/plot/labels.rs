//! Where labels at the ends of lines go, so that none covers another.

/// Moves `wanted` positions apart until neighbours are at least `gap` away from each other and all lie within
/// `low..=high`, moving each as little as its neighbours allow. `None` for those that there is no room for: the
/// last ones of the input, which should therefore come most important first.
pub(super) fn spread(wanted: &[i32], gap: i32, low: i32, high: i32) -> Vec<Option<i32>> {
    let room = ((high - low) / gap + 1).max(0) as usize;
    let mut order: Vec<usize> = (0..wanted.len().min(room)).collect();
    order.sort_by_key(|index| wanted[*index]);

    // Blocks of touching labels; a block sits where its members would like it to on average.
    struct Block {
        members: Vec<usize>,
        top: f64,
    }
    let place = |members: &[usize]| {
        let sum: f64 = members
            .iter()
            .enumerate()
            .map(|(row, at)| f64::from(wanted[*at]) - (row as i32 * gap) as f64)
            .sum();
        let height = (members.len() as i32 - 1) * gap;
        (sum / members.len() as f64).clamp(f64::from(low), f64::from((high - height).max(low)))
    };
    let mut blocks: Vec<Block> = Vec::new();
    for index in order {
        let mut members = vec![index];
        let mut top = place(&members);
        while let Some(above) =
            blocks.pop_if(|above| above.top + (above.members.len() as i32 * gap) as f64 > top)
        {
            members = [above.members, members].concat();
            top = place(&members);
        }
        blocks.push(Block { members, top });
    }

    let mut placed = vec![None; wanted.len()];
    for block in blocks {
        for (row, index) in block.members.iter().enumerate() {
            placed[*index] = Some(block.top.round() as i32 + row as i32 * gap);
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_do_not_touch_stay_where_they_are() {
        assert_eq!(spread(&[10, 50, 90], 12, 0, 100), [Some(10), Some(50), Some(90)]);
    }

    #[test]
    fn labels_at_one_height_spread_around_it_and_keep_their_order() {
        assert_eq!(spread(&[50, 50, 50], 12, 0, 100), [Some(38), Some(50), Some(62)]);
    }

    #[test]
    fn labels_stay_inside_and_those_without_room_are_left_out() {
        let placed = spread(&[0; 20], 12, 0, 100);
        let given: Vec<i32> = placed.iter().flatten().copied().collect();
        assert_eq!(given.len(), 9);
        assert!(given.iter().all(|y| (0..=100).contains(y)));
        assert!(given.windows(2).all(|pair| pair[1] - pair[0] >= 12));
        assert_eq!(placed[19], None);
    }
}

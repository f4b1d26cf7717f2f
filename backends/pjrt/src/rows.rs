//! Puts results row after row that a device lays out otherwise.
//!
//! Pure. Not every plugin does it, though its interface lets one ask: that for processors hands out what it has.

/// Copies elements whose axes lie in `order`, the one that varies fastest first, to where the last axis does.
pub(crate) fn put(from: &[u8], dims: &[i64], order: &[i64], to: &mut [u8]) -> Result<(), String> {
    let strange = || format!("a result of shape {dims:?} lies in the order {order:?}");
    let lens: Option<Vec<usize>> = dims.iter().map(|it| usize::try_from(*it).ok()).collect();
    let lens = lens.ok_or_else(strange)?;
    let steps = steps(&lens, order).ok_or_else(strange)?;
    let elements: usize = lens.iter().product();
    let size = to.len().checked_div(elements).unwrap_or(0);
    if from.len() != to.len() || size * elements != to.len() {
        return Err(strange());
    }
    let mut place = vec![0; lens.len()];
    let mut at = 0;
    for to in to.chunks_exact_mut(size.max(1)) {
        let element = from.get(at * size..(at + 1) * size).ok_or_else(strange)?;
        to.copy_from_slice(element);
        // On to the next, as an odometer does.
        for ((place, len), step) in place.iter_mut().zip(&lens).zip(&steps).rev() {
            *place += 1;
            at += step;
            if *place < *len {
                break;
            }
            at -= step * len;
            *place = 0;
        }
    }
    Ok(())
}

/// How far the next element along each axis is; `None` if the order does not name each axis once.
fn steps(lens: &[usize], order: &[i64]) -> Option<Vec<usize>> {
    let mut steps = vec![None; lens.len()];
    let mut step = 1;
    for axis in order {
        let axis = usize::try_from(*axis).ok()?;
        if steps.get_mut(axis)?.replace(step).is_some() {
            return None;
        }
        step *= lens.get(axis)?;
    }
    steps.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each element is where it lies when it is row after row.
    #[track_caller]
    fn check(dims: &[i64], order: &[i64], from: &[u8], expect: Result<&[u8], &str>) {
        let mut to = vec![0; from.len()];
        let got = put(from, dims, order, &mut to).map(|()| to.as_slice());
        assert_eq!(
            got.as_ref().map(|it| &**it).map_err(String::as_str),
            expect.as_ref().map(|it| &**it).map_err(|it| *it)
        );
    }

    #[test]
    fn any_order_becomes_rows() {
        check(&[2, 3], &[1, 0], &[1, 2, 3, 4, 5, 6], Ok(&[1, 2, 3, 4, 5, 6]));
        check(&[2, 3], &[0, 1], &[1, 4, 2, 5, 3, 6], Ok(&[1, 2, 3, 4, 5, 6]));
        // Two bytes each.
        check(&[2, 2], &[0, 1], &[1, 1, 3, 3, 2, 2, 4, 4], Ok(&[1, 1, 2, 2, 3, 3, 4, 4]));
        // The middle axis fastest, then the first.
        check(&[2, 2, 2], &[1, 0, 2], &[0, 2, 4, 6, 1, 3, 5, 7], Ok(&[0, 1, 2, 3, 4, 5, 6, 7]));
        check(&[], &[], &[7, 8], Ok(&[7, 8]));
        check(&[2, 0], &[0, 1], &[], Ok(&[]));
    }

    #[test]
    fn an_order_that_is_none_is_refused() {
        for order in [&[0][..], &[0, 0], &[0, 2], &[0, -1], &[0, 1, 1]] {
            let words = format!("a result of shape [1, 2] lies in the order {order:?}");
            check(&[1, 2], order, &[1, 2], Err(&words));
        }
    }
}

//! An example at other lengths: cut where it is longer, begun anew where it is shorter.

use std::ops::Range;

use backend_api::{Shape, Tensor, strings};

/// The tensor at a shape with as many axes. Fails only where there is nothing to begin anew with.
pub fn stretched(tensor: &Tensor, shape: &Shape) -> Result<Tensor, String> {
    let own = tensor.shape();
    if own == shape {
        return Ok(tensor.clone());
    }
    let nothing = own.elements() == 0 && shape.elements() > 0;
    if nothing || own.dims().len() != shape.dims().len() {
        return Err(format!("what has shape {own} cannot be given shape {shape}"));
    }
    let mut data = Vec::new();
    if let Some(size) = tensor.dtype().size() {
        data.reserve_exact(shape.elements().saturating_mul(size));
        each((own.dims(), shape.dims()), 0, &mut |span| {
            data.extend_from_slice(&tensor.data()[span.start * size..span.end * size]);
        });
    } else {
        let words: Vec<&[u8]> = tensor.strings().collect();
        let mut pushed = Ok(());
        each((own.dims(), shape.dims()), 0, &mut |span| {
            for word in &words[span] {
                if pushed.is_ok() {
                    pushed = strings::push(&mut data, word);
                }
            }
        });
        pushed.map_err(|it| it.to_string())?;
    }
    let made = Tensor::new(tensor.dtype(), shape.clone(), data.into());
    Ok(made.map_err(|it| it.to_string())?.aligned())
}

/// Goes through the elements of the old shape, the first at `start`, in the order of the new one.
fn each((own, wanted): (&[usize], &[usize]), start: usize, take: &mut impl FnMut(Range<usize>)) {
    let block = |dims: &[usize]| dims.iter().product::<usize>();
    let (Some((length, own_rest)), Some((wanted_length, wanted_rest)), false) =
        (own.split_first(), wanted.split_first(), own == wanted)
    else {
        return take(start..start + block(own));
    };
    let step = block(own_rest);
    for place in 0..*wanted_length {
        each((own_rest, wanted_rest), start + place % length * step, take);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use backend_api::DType;

    #[track_caller]
    fn check(dims: &[usize], wanted: &[usize], expect: Result<&[i32], &str>) {
        let numbers: Vec<i32> = (1..).take(dims.iter().product()).collect();
        let tensor = Tensor::from_elements(dims, &numbers).expect("as many as needed");
        let shape = Shape::new(wanted).expect("a shape");
        let made = stretched(&tensor, &shape);
        let expect = expect.map_err(str::to_owned);
        let numbers = made.as_ref().map(|it| it.view::<i32>().expect("numbers"));
        assert_eq!(numbers.map_err(Clone::clone), expect, "{dims:?} as {wanted:?}");
    }

    #[test]
    fn every_axis_is_cut_or_begun_anew() {
        check(&[2, 3], &[2, 3], Ok(&[1, 2, 3, 4, 5, 6]));
        check(&[2, 3], &[1, 3], Ok(&[1, 2, 3]));
        check(&[2, 3], &[3, 3], Ok(&[1, 2, 3, 4, 5, 6, 1, 2, 3]));
        check(&[2, 3], &[3, 2], Ok(&[1, 2, 4, 5, 1, 2]));
        check(&[1, 2], &[2, 5], Ok(&[1, 2, 1, 2, 1, 1, 2, 1, 2, 1]));
        check(&[2, 3], &[2, 0], Ok(&[]));
        check(&[], &[], Ok(&[1]));
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        check(&[2, 0], &[2, 1], Err("what has shape [2,0] cannot be given shape [2,1]"));
        check(&[2, 0], &[3, 0], Ok(&[]));
        check(&[2], &[2, 1], Err("what has shape [2] cannot be given shape [2,1]"));
    }

    #[test]
    fn words_are_stretched_too() {
        let words = Tensor::from_strings(&[2], &["a", "bcd"]).expect("words");
        let made = stretched(&words, &Shape::new(&[3]).expect("a shape")).expect("fits");
        assert_eq!(made, Tensor::from_strings(&[3], &["a", "bcd", "a"]).expect("words"));
        assert_eq!(made.dtype(), DType::Bytes);
    }
}

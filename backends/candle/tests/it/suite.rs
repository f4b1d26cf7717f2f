//! The seam's suite.

use backend_api::conformance::conformance_of_known_shapes;
use backend_candle::{Candle, DTYPES};

use super::fixtures;

#[test]
fn passes_the_suite() {
    conformance_of_known_shapes(&Candle, &fixtures(), &DTYPES);
}

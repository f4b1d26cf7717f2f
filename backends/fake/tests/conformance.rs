//! The seam's suite against the scripted backend, and against the suite itself: a fake that broke
//! the contract would make every test above it worthless.

use std::path::Path;

use backend_api::{DType, conformance::conformance};
use backend_fake::Fake;

#[test]
fn passes_the_suite() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    conformance(&Fake::new(), &fixtures, &DType::ALL);
}

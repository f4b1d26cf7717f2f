use super::*;

const SIDES: &str = "inputs = [{ name = \"x\", datatype = \"FP32\", shape = [-1, 4] }]\n\
                     outputs = [{ name = \"y\", datatype = \"FP32\", shape = [-1, 4] }]\n";

/// Rows and files of the programs, or a part of the fault.
#[track_caller]
fn check(text: &str, expect: Result<&[(usize, &str)], &str>) {
    let parsed = Manifest::parse(text, Path::new("folder/model.stablehlo"));
    match (parsed, expect) {
        (Ok(got), Ok(expect)) => {
            let expect: Vec<_> = expect.iter().map(|(n, it)| (*n, PathBuf::from(it))).collect();
            assert_eq!(got.programs, expect, "{text}");
        }
        (Err(got), Err(expect)) => assert!(got.contains(expect), "{text}: {got}"),
        (got, expect) => panic!("{text}: {got:?}, expected {expect:?}"),
    }
}

#[test]
fn programs_ascend_and_lie_beside_it() {
    let two = format!("{SIDES}programs = {{ 16 = \"b\", 2 = \"a\" }}");
    check(&two, Ok(&[(2, "folder/a"), (16, "folder/b")]));
    check(SIDES, Err("programs: there are 0, expected 1 to 64"));
    check(&format!("{SIDES}programs = {{ 0 = \"a\" }}"), Err("\"0\" is no number of rows"));
    check(&format!("{SIDES}programs = {{ 1 = \"../a\" }}"), Err("not in the same folder"));
    check(&format!("{SIDES}program = 1"), Err("program"));
}

#[test]
fn without_rows_there_is_one_program() {
    let fixed = SIDES.replace("-1", "1");
    check(&fixed, Ok(&[(1, "folder/model.stablehlo")]));
    check(&format!("{fixed}programs = {{ 1 = \"a\", 2 = \"b\" }}"), Err("expected 1 to 1"));
    check(&SIDES.replacen("-1", "1", 1), Err("in all tensors or in none"));
}

#[test]
fn what_xla_does_not_know_is_refused() {
    check(&SIDES.replace("FP32", "BYTES"), Err("\"BYTES\" is no type that XLA knows"));
    check(&SIDES.replace("4]", "-1]"), Err("-1 is no length"));
    check(&SIDES.replace("4] }", "4], range = [0, 1] }"), Err("range is for INT32 and INT64"));
}

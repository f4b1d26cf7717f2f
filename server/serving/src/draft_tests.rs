use std::sync::Mutex;

use server_base::LogConfig;
use smallvec::smallvec;

use super::*;

#[derive(Default)]
struct Kept {
    config: LogConfig,
    offered: Mutex<Vec<Record>>,
}

impl VersionLog for Kept {
    fn config(&self) -> &LogConfig {
        &self.config
    }

    fn offer(&self, record: Box<Record>) {
        self.offered.lock().expect("no panics").push(*record);
    }

    fn commit(&self, record: Box<Record>, _: Told) {
        self.offer(record);
    }
}

struct Nobody;

impl Caller for Nobody {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// Two versions may take the same inputs in another order: what was gathered for one is nothing to
/// the other.
#[test]
fn a_request_that_is_routed_again_brings_nothing_of_the_first_version() {
    let logs = [Arc::new(Kept::default()), Arc::new(Kept::default())];
    let [first, second] = logs.each_ref().map(|it| Arc::clone(it) as Arc<dyn VersionLog>);
    let begin = |place: &mut Option<Draft>, log| {
        Draft::begin(place, log, Instant::now(), (Protocol::Http, &Nobody));
    };
    let mut place = None;
    begin(&mut place, &first);
    let ours: Inputs = smallvec![Tensor::from_elements(&[3], &[1_i32, 2, 3]).expect("fits")];
    place.as_mut().expect("begun").takes(&ours, (3, 100), Route::Shared);
    begin(&mut place, &second);
    place.take().expect("begun").finish(Some((Kind::Invalid, "x".into())), Duration::ZERO);
    assert_eq!(logs[0].offered.lock().expect("no panics").len(), 0);
    let offered = logs[1].offered.lock().expect("no panics");
    let shown: Vec<_> =
        offered.iter().map(|it| (it.inputs.len(), it.rows, it.held, it.route)).collect();
    assert_eq!(shown, [(0, 1, 0, Route::Direct)]);
}

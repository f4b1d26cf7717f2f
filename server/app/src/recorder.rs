//! Where series are kept, and how they become text.
//!
//! A series that has a version lives as long as somebody holds its handle: when the version is
//! gone, so are its series, two sweeps later, by when they have been scraped a last time. Thousands
//! of swaps therefore leave nothing behind. Histograms are counters by bucket from the first sample
//! on; nothing is kept a sample at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use indexmap::IndexMap;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use metrics_exporter_prometheus::LabelSet;
use metrics_exporter_prometheus::formatting::{
    write_help_line, write_metric_line, write_type_line,
};
use metrics_util::registry::{Registry, Storage};
use server_base::Series;

/// The label that makes a series mortal.
const VERSION: &str = "version";

/// All series of the process. Clones share them.
#[derive(Clone)]
pub struct Recorded {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry<Key, Cells>,
    declared: BTreeMap<&'static str, Series>,
}

/// A value and whether the last sweep found nobody holding it.
struct Cell<V> {
    value: V,
    was_unheld: AtomicBool,
}

/// A number in bits: of an integer for counters, of a float for gauges.
struct Bits(AtomicU64);

/// Samples by bucket, and their sum.
struct Buckets {
    bounds: &'static [f64],
    /// One more than bounds: the last is for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum: Bits,
}

/// Makes cells. Knows the bounds of every histogram.
struct Cells {
    bounds: BTreeMap<&'static str, &'static [f64]>,
}

impl Recorded {
    /// With nothing recorded yet.
    pub fn new(declared: &[Series]) -> Recorded {
        let bounds = declared.iter().map(|it| (it.name, it.buckets)).collect();
        let declared = declared.iter().map(|it| (it.name, *it)).collect();
        Recorded { inner: Arc::new(Inner { registry: Registry::new(Cells { bounds }), declared }) }
    }

    /// The text of all series, in the order of their names.
    pub fn render(&self) -> String {
        let Inner { registry, declared } = &*self.inner;
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        let mut write = |key: &Key, kind: &str, line: &dyn Fn(&mut String, &LabelSet)| {
            let text = lines.entry(key.name().to_owned()).or_insert_with(|| {
                let mut head = String::new();
                let help = declared.get(key.name()).map_or("", |it| it.help);
                write_help_line(&mut head, key.name(), None, None, help);
                write_type_line(&mut head, key.name(), None, None, kind);
                head
            });
            line(text, &LabelSet::from_key_and_global(key, &IndexMap::new()));
        };
        registry.visit_counters(|key, it| {
            write(key, "counter", &|text, labels| {
                let value = it.value.0.load(Ordering::Relaxed);
                write_metric_line::<&str, _>(text, key.name(), None, labels, None, value, None);
            });
        });
        registry.visit_gauges(|key, it| {
            write(key, "gauge", &|text, labels| {
                let value = it.value.float();
                write_metric_line::<&str, _>(text, key.name(), None, labels, None, value, None);
            });
        });
        registry.visit_histograms(|key, it| {
            write(key, "histogram", &|text, labels| it.value.write(text, key.name(), labels));
        });
        lines.into_values().collect()
    }

    /// Drops series of versions that nobody has held since the last sweep.
    pub fn sweep(&self) {
        fn keep<V>(key: &Key, cell: &Arc<Cell<V>>) -> bool {
            let mortal = key.labels().any(|it| it.key() == VERSION);
            // The registry holds one; a handle is another.
            let unheld = mortal && Arc::strong_count(cell) == 1;
            !(cell.was_unheld.swap(unheld, Ordering::Relaxed) && unheld)
        }
        let registry = &self.inner.registry;
        registry.retain_counters(keep);
        registry.retain_gauges(keep);
        registry.retain_histograms(keep);
    }
}

impl Recorder for Recorded {
    // Help stands in the declarations.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let held = |it: &Arc<Cell<Bits>>| Counter::from_arc(Arc::clone(it));
        self.inner.registry.get_or_create_counter(key, held)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let held = |it: &Arc<Cell<Bits>>| Gauge::from_arc(Arc::clone(it));
        self.inner.registry.get_or_create_gauge(key, held)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let held = |it: &Arc<Cell<Buckets>>| Histogram::from_arc(Arc::clone(it));
        self.inner.registry.get_or_create_histogram(key, held)
    }
}

impl<V> Cell<V> {
    fn new(value: V) -> Arc<Cell<V>> {
        Arc::new(Cell { value, was_unheld: AtomicBool::new(false) })
    }
}

impl Storage<Key> for Cells {
    type Counter = Arc<Cell<Bits>>;
    type Gauge = Arc<Cell<Bits>>;
    type Histogram = Arc<Cell<Buckets>>;

    fn counter(&self, _: &Key) -> Self::Counter {
        Cell::new(Bits(AtomicU64::new(0)))
    }

    fn gauge(&self, _: &Key) -> Self::Gauge {
        Cell::new(Bits(AtomicU64::new(0)))
    }

    fn histogram(&self, key: &Key) -> Self::Histogram {
        let bounds = self.bounds.get(key.name()).copied().unwrap_or_default();
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Cell::new(Buckets { bounds, counts, sum: Bits(AtomicU64::new(0)) })
    }
}

impl Bits {
    fn float(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, more: f64) {
        let add = |bits| Some((f64::from_bits(bits) + more).to_bits());
        // The closure always says yes, so this always succeeds.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl CounterFn for Cell<Bits> {
    fn increment(&self, value: u64) {
        self.value.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.value.0.fetch_max(value, Ordering::Relaxed);
    }
}

impl GaugeFn for Cell<Bits> {
    fn increment(&self, value: f64) {
        self.value.add(value);
    }

    fn decrement(&self, value: f64) {
        self.value.add(-value);
    }

    fn set(&self, value: f64) {
        self.value.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl HistogramFn for Cell<Buckets> {
    fn record(&self, value: f64) {
        let Buckets { bounds, counts, sum } = &self.value;
        let place = bounds.partition_point(|&bound| bound < value);
        if let Some(count) = counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        sum.add(value);
    }
}

impl Buckets {
    /// Prometheus counts cumulatively: each bucket holds all smaller ones too.
    fn write(&self, text: &mut String, name: &str, labels: &LabelSet) {
        let bucket = format!("{name}_bucket");
        let bounds = self.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            write_metric_line(text, &bucket, None, labels, Some(("le", bound)), total, None);
        }
        let sum = self.sum.float();
        write_metric_line::<&str, _>(text, &format!("{name}_sum"), None, labels, None, sum, None);
        write_metric_line::<&str, _>(
            text,
            &format!("{name}_count"),
            None,
            labels,
            None,
            total,
            None,
        );
    }
}

#[cfg(test)]
mod tests {
    use server_base::SeriesKind;

    use super::*;

    const DECLARED: &[Series] = &[
        Series {
            name: "c_total",
            kind: SeriesKind::Counter,
            labels: &[],
            help: "Counts.",
            buckets: &[],
        },
        Series {
            name: "h",
            kind: SeriesKind::Histogram,
            labels: &[],
            help: "Sizes.",
            buckets: &[1.0, 2.5],
        },
    ];

    #[test]
    fn text_is_what_prometheus_reads() {
        let recorded = Recorded::new(DECLARED);
        metrics::with_local_recorder(&recorded, || {
            metrics::counter!("c_total", "model" => "a\"b").increment(3);
            metrics::gauge!("g").set(-0.5);
            for value in [1.0, 2.0, 9.0] {
                metrics::histogram!("h").record(value);
            }
        });
        let expect = "\
# HELP c_total Counts.
# TYPE c_total counter
c_total{model=\"a\\\"b\"} 3
# HELP g \n# TYPE g gauge
g -0.5
# HELP h Sizes.
# TYPE h histogram
h_bucket{le=\"1\"} 1
h_bucket{le=\"2.5\"} 2
h_bucket{le=\"+Inf\"} 3
h_sum 12
h_count 3
";
        assert_eq!(recorded.render(), expect);
    }

    #[test]
    fn series_go_with_their_version() {
        let recorded = Recorded::new(DECLARED);
        metrics::with_local_recorder(&recorded, || {
            let held = metrics::counter!("c_total", "version" => "1");
            held.increment(1);
            metrics::counter!("c_total", "version" => "2").increment(1);
            metrics::counter!("c_total", "model" => "m").increment(1);
            recorded.sweep();
            assert!(recorded.render().contains("version=\"2\""), "one more scrape may see it");
            recorded.sweep();
            assert!(!recorded.render().contains("version=\"2\""));
            assert!(recorded.render().contains("version=\"1\""), "somebody holds it");
            assert!(recorded.render().contains("model=\"m\""), "it has no version");
            held.increment(1);
            assert!(recorded.render().contains("c_total{version=\"1\"} 2"));
        });
    }
}

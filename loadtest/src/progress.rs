//! A bar on the terminal while a run lasts; nothing when nobody is looking.

use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::station::Task;
use crate::window::Limit;

const STEP: Duration = Duration::from_millis(100);

/// Returns when all threads have finished, or at once without a terminal.
pub(crate) fn show<T>(limit: Limit, begin: Instant, task: &Task, threads: &[JoinHandle<T>]) {
    let target = ProgressDrawTarget::stderr();
    if target.is_hidden() {
        return;
    }
    let length = match limit {
        Limit::Time { warmup, duration } => millis(warmup + duration),
        Limit::Requests(requests) => requests,
    };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}");
    bar.set_style(style.expect("the template is a constant"));
    while threads.iter().any(|it| !it.is_finished()) {
        let answers = task.answers.load(Ordering::Relaxed);
        bar.set_position(match limit {
            Limit::Time { .. } => millis(begin.elapsed()).min(length),
            Limit::Requests(_) => answers,
        });
        bar.set_message(format!("{answers} answers"));
        thread::sleep(STEP);
    }
    bar.finish_and_clear();
}

/// A line of news between runs; on the error output, so that results stay apart.
pub(crate) fn note(news: &str) {
    eprintln!("{news}");
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

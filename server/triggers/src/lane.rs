//! The windows of one kind of finding about one version: how many alarmed, and whether that is news.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use server_base::{Finding, FindingKind};

use crate::event::{Cause, Evidence, Window};
use crate::limits::{AHEAD, SETTLE};
use crate::moment::Moment;
use crate::rule::Rule;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lane {
    pub(crate) version: u64,
    pub(crate) cause: Cause,
    /// Alarm or none, the newest last; never more than the rule's windows.
    marks: VecDeque<bool>,
    /// Windows without alarm since the last one with.
    quiet: usize,
    /// May it be a reason? Not again before enough quiet windows.
    pub(crate) is_armed: bool,
    /// End of the last window.
    pub(crate) to: Moment,
    /// When the last window's alarm is to be judged.
    pub(crate) judge_at: Option<Moment>,
    /// The last window that alarmed.
    pub(crate) last: Option<(Window, Evidence)>,
    /// Rows since the rule last fired.
    pub(crate) rows_new: u64,
}

impl Lane {
    pub(crate) fn new(version: u64, kind: FindingKind) -> Lane {
        Lane {
            version,
            cause: Cause::Finding(kind),
            marks: VecDeque::new(),
            quiet: 0,
            is_armed: true,
            to: Moment(0),
            judge_at: None,
            last: None,
            rows_new: 0,
        }
    }

    /// A window is over. One that was told before, or is older, changes nothing.
    pub(crate) fn take(&mut self, finding: &Finding, rule: &Rule, now: Moment) {
        let (from, to) = (Moment::from(finding.from), Moment::from(finding.to));
        // A clock that was ahead has been set back: what it said is no measure.
        let known = if self.to > now.after(AHEAD) { Moment(0) } else { self.to };
        if to <= known {
            return;
        }
        // Rows of windows that overlap are counted once.
        if from >= known {
            self.rows_new = self.rows_new.saturating_add(finding.rows);
        }
        self.to = to;
        if finding.rows < rule.rows_min || !rule.on.contains(&finding.kind) {
            return;
        }
        self.marks.push_back(finding.is_alarm);
        while self.marks.len() > rule.windows {
            self.marks.pop_front();
        }
        if finding.is_alarm {
            self.quiet = 0;
            self.judge_at = Some(now.after(SETTLE));
            let window = Window { from, to, rows: finding.rows };
            self.last = Some((window, Evidence::of(finding)));
        } else {
            self.quiet += 1;
            self.is_armed |= self.quiet >= rule.quiet_windows;
        }
    }

    /// Alarms, and windows.
    pub(crate) fn alarms(&self) -> (usize, usize) {
        (self.marks.iter().filter(|it| **it).count(), self.marks.len())
    }

    /// The last window does not count: what it held was broken.
    pub(crate) fn disregard(&mut self) {
        if let Some(last) = self.marks.back_mut() {
            *last = false;
        }
    }

    /// It was a reason.
    pub(crate) fn fired(&mut self) {
        self.is_armed = false;
        self.quiet = 0;
    }

    /// What came of it came to nothing: the next alarm is a reason again.
    pub(crate) fn rearm(&mut self) {
        self.is_armed = true;
    }
}

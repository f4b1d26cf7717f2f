//! What a search came to, in words and as JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use server_tune::{Change, Choice, Outcome as Found, Plan, Point, Setting, changes};

use super::machine::Machine;
use crate::cli::OutputFormat;
use crate::commands::table::table;

/// A percentile of fewer answers hangs on one of them.
const ANSWERS_MIN: u64 = 100;

/// Everything there is to say.
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    pub(super) found: &'a Found,
    pub(super) machine: &'a Machine,
    /// The file, if there is a best setting.
    pub(super) text: Option<&'a str>,
    /// Where it was written.
    pub(super) written: Option<PathBuf>,
}

/// What is about to be done, and what is not.
pub(super) fn announce(plan: &Plan) -> Vec<String> {
    let (points, settings) = (plan.points_max(), plan.settings_max());
    let seconds = plan.time_max().as_secs_f64();
    let time = if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    };
    let mut lines = vec![format!(
        "{} version {}: up to {points} points of {settings} settings, at most {time} and the time to \
         load each setting; goal: p99 up to {} ms",
        plan.single.model(),
        plan.version,
        ms(plan.goal)
    )];
    lines.extend(plan.skipped.iter().map(|it| {
        let plural = if it.count == 1 { "" } else { "s" };
        format!("left out, {} setting{plural} of {}: {}", it.count, it.engine, it.reason)
    }));
    lines
}

/// The same without measuring anything.
pub(super) fn dry(plan: &Plan, output: OutputFormat) -> String {
    let settings = plan.candidates.iter().map(|it| it.setting);
    match output {
        OutputFormat::Text => {
            let lines: Vec<String> = settings.map(|it| it.to_string()).collect();
            format!("To choose from:\n  {}", lines.join("\n  "))
        }
        OutputFormat::Json => {
            let settings: Vec<Value> = settings.map(setting_json).collect();
            let mut all = about(plan);
            all["settings"] = json!(settings);
            all["skipped"] = skipped(plan);
            all.to_string()
        }
    }
}

/// Milliseconds, with as many digits as mean something.
pub(super) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

pub(super) fn rows(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

/// A point in one line, for the file's head.
pub(super) fn measured(point: &Point, plan: &Plan) -> String {
    let callers = if point.concurrency == 1 {
        "1 caller".to_owned()
    } else {
        format!("{} callers", point.concurrency)
    };
    let (rows_per_s, p99, rows) = (point.rows_per_s, ms(point.p99), rows(plan.rows));
    format!("{rows_per_s:.0} rows/s at p99 {p99} ms with {callers} of {rows}")
}

fn about(plan: &Plan) -> Value {
    json!({
        "model": plan.single.model().as_str(),
        "version": plan.version.0,
        "goal_p99_ms": ms(plan.goal),
        "cores": plan.cores,
        "rows_per_request": plan.rows,
        "seconds_per_point": plan.window.as_secs_f64(),
        "points_max": plan.points_max(),
        "seconds_max": plan.time_max().as_secs_f64(),
    })
}

fn skipped(plan: &Plan) -> Value {
    let skipped = plan.skipped.iter();
    let skipped =
        skipped.map(|it| json!({ "engine": it.engine, "settings": it.count, "reason": it.reason }));
    Value::Array(skipped.collect())
}

fn setting_json(setting: Setting) -> Value {
    json!({
        "engine": setting.engine,
        "instances": setting.instances,
        "intra_op_threads": setting.threads,
        "max_batch_size": setting.batch,
    })
}

impl Report<'_> {
    /// The point that was chosen, or came closest.
    fn chosen(&self) -> Option<&Point> {
        match self.found.choice {
            Choice::Best(place) | Choice::Closest(place) => self.found.points.get(place),
            Choice::Nothing => None,
        }
    }

    fn changes(&self) -> Vec<Change> {
        self.text.map_or(Vec::new(), |it| changes(self.plan.single.text(), it))
    }

    /// A table with the best point of each setting, what it means, and the file.
    pub(super) fn text(&self) -> String {
        let head = [
            "",
            "ENGINE",
            "INSTANCES",
            "THREADS",
            "BATCH",
            "CALLERS",
            "ROWS/S",
            "P50 MS",
            "P99 MS",
            "",
        ];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.found.tried.iter().map(|it| match self.best_of(&it.points) {
            Some(point) => self.line(point),
            None => {
                let why = it.unloadable.as_deref().or_else(|| {
                    let failure = it.points.iter().find_map(|it| it.failure.as_ref());
                    failure.map(|it| it.0.as_str())
                });
                let mut line = shown(it.setting);
                line[9] = why.unwrap_or("no answer in time").to_owned();
                line
            }
        }));
        let mut parts = vec![table(&lines), self.verdict()];
        parts.extend(self.notes());
        if let Some(text) = self.text {
            let path = self.plan.single.file();
            parts.push(match &self.written {
                Some(path) => format!("Written to {}:", path.display()),
                None => format!("{} would be (--write writes it):", path.display()),
            });
            parts.push(text.trim_end().to_owned());
        }
        parts.join("\n\n")
    }

    /// What stands for a setting: the chosen point, or most within the goal, or the nearest to it.
    fn best_of<'a>(&self, points: &'a [Point]) -> Option<&'a Point> {
        if let Some(chosen) = self.chosen()
            && let Some(chosen) = points.iter().find(|it| *it == chosen)
        {
            return Some(chosen);
        }
        let good = points.iter().filter(|it| it.meets(self.plan.goal));
        let most = good.max_by(|a, b| a.rows_per_s.total_cmp(&b.rows_per_s));
        let answered = || points.iter().filter(|it| it.failure.is_none() && it.answers > 0);
        most.or_else(|| answered().min_by_key(|it| it.p99))
    }

    fn line(&self, point: &Point) -> [String; 10] {
        let mut line = shown(point.setting);
        let is_chosen = self.chosen() == Some(point);
        let is_best = is_chosen && matches!(self.found.choice, Choice::Best(_));
        line[0] = if is_best { "*".to_owned() } else { String::new() };
        line[5] = point.concurrency.to_string();
        line[6] = format!("{:.0}", point.rows_per_s);
        line[7] = format!("{:.3}", ms(point.p50));
        line[8] = format!("{:.3}", ms(point.p99));
        let words = [
            (is_best, "best"),
            (is_chosen && !is_best, "closest"),
            (!point.meets(self.plan.goal), "beyond the goal"),
            (point.setting == self.plan.now, "as it is now"),
            (point.answers < ANSWERS_MIN, "few answers"),
        ];
        let words: Vec<&str> = words.into_iter().filter(|it| it.0).map(|it| it.1).collect();
        line[9] = words.join(", ");
        line
    }

    fn verdict(&self) -> String {
        let goal = ms(self.plan.goal);
        match (self.found.choice, self.chosen()) {
            (Choice::Best(_), Some(point)) => format!(
                "Best within p99 {goal} ms: {}: {}, on {}.",
                point.setting,
                measured(point, self.plan),
                self.machine
            ),
            (Choice::Closest(_), Some(point)) => format!(
                "Nothing is within p99 {goal} ms. Closest comes {}: {}. Nothing is written.",
                point.setting,
                measured(point, self.plan)
            ),
            _ => "No setting answered a request. Nothing is written.".to_owned(),
        }
    }

    /// What should be known before the file is used.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let change = |it: &Change| format!("  {}: {} becomes {}", it.key, it.old, it.new);
        let changes: Vec<String> = self.changes().iter().map(change).collect();
        if !changes.is_empty() {
            let verb = if self.written.is_some() { "changes" } else { "would change" };
            notes.push(format!("This {verb} what model.toml says:\n{}", changes.join("\n")));
        }
        let best = self.chosen().filter(|_| self.text.is_some());
        if let Some(rows) = best.and_then(|it| it.setting.batch) {
            notes.push(format!("A request of more than {rows} rows is then refused."));
        }
        let most_callers = self.plan.concurrency.last().copied();
        if best.is_some_and(|it| Some(it.concurrency) == most_callers) {
            let text =
                "It did most with the most callers that were tried: --concurrency may name more.";
            notes.push(text.to_owned());
        }
        if self.found.points.iter().any(|it| it.failure.is_none() && it.answers < ANSWERS_MIN) {
            notes.push(format!(
                "A p99 of fewer than {ANSWERS_MIN} answers says little: give each point more --seconds."
            ));
        }
        notes
    }

    /// Every point; stable.
    pub(super) fn json(&self) -> String {
        let point = |it: &Point| {
            let mut point = setting_json(it.setting);
            point["concurrency"] = json!(it.concurrency);
            point["answers"] = json!(it.answers);
            point["rows_per_s"] = json!(it.rows_per_s);
            point["p50_ms"] = json!(ms(it.p50));
            point["p99_ms"] = json!(ms(it.p99));
            point["meets_goal"] = json!(it.meets(self.plan.goal));
            point["failure"] = json!(it.failure.as_ref().map(|it| &it.0));
            point
        };
        let mut all = about(self.plan);
        all["machine"] = json!(self.machine.to_string());
        all["points"] = self.found.points.iter().map(point).collect();
        all["skipped"] = skipped(self.plan);
        let unloadable = self.found.tried.iter().filter_map(|it| {
            let reason = it.unloadable.as_ref()?;
            let mut unloadable = setting_json(it.setting);
            unloadable["reason"] = json!(reason);
            Some(unloadable)
        });
        all["unloadable"] = unloadable.collect();
        let chosen = self.chosen().map(point);
        let is_best = self.text.is_some();
        (all["best"], all["closest"]) = match is_best {
            true => (json!(chosen), Value::Null),
            false => (Value::Null, json!(chosen)),
        };
        let change = |it: Change| json!({ "key": it.key, "old": it.old, "new": it.new });
        all["changes"] = self.changes().into_iter().map(change).collect();
        all["model_toml"] = json!(self.text);
        all["written"] = json!(self.written.as_ref().map(|it| it.display().to_string()));
        all.to_string()
    }
}

/// The first columns of a line.
fn shown(setting: Setting) -> [String; 10] {
    let mut line: [String; 10] = Default::default();
    line[1] = setting.engine.to_owned();
    line[2] = setting.instances.to_string();
    line[3] = setting.threads.to_string();
    line[4] = setting.batch.map_or("-".to_owned(), |it| it.to_string());
    line
}

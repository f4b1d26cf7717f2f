//! What a candidate answered of what is logged, as a page that needs nothing beside itself.

use std::fmt::Write as _;

use plot::style::escape;
use server_proof::{Answers, Replay};

use super::super::page::{END, begun};
use super::replay::Replayed;

/// Of the candidate at that address.
pub(super) fn page(uri: &str, replayed: &Replayed) -> String {
    let Replay { asked, not_asked, errors, failed_ids, cut, compared, .. } = &replayed.replay;
    let mut html = begun(&escape(&format!("Replay on {uri}")));
    let (class, words) = match replayed.fault() {
        None => ("banner", "it answers as it may".to_owned()),
        Some(fault) => ("banner alarmed", escape(fault)),
    };
    let share = compared.share().unwrap_or_default();
    // Writing to memory does not fail.
    let _ = writeln!(
        html,
        "<p class=\"{class}\"><b>{asked} logged requests</b>, {} rows: {} ({:.2} %) differ, {} have another \
         class, {} are not finite: {words}.</p>",
        compared.rows,
        compared.rows_differ,
        100.0 * share,
        compared.rows_flipped,
        compared.rows_not_finite
    );
    if let Some((run, logged)) = replayed.run.percentile(50).zip(replayed.logged.percentile(50)) {
        let slowest = replayed.run.percentile(99).unwrap_or_default();
        let _ = writeln!(
            html,
            "<p class=\"soft\">A request takes {run:.3} ms here (median; p99 {slowest:.3} ms), a run took \
             {logged:.3} ms when it was logged.</p>"
        );
    }
    let counted = not_asked.iter().map(|(why, count)| format!("{count} not asked: {why}"));
    let failed = errors.iter().map(|(what, count)| format!("{count} failed: {what}"));
    let named = (!failed_ids.is_empty()).then(|| format!("failed: {}", failed_ids.join(", ")));
    let others = cut.iter().map(|it| format!("not all of them: {it}"));
    let lines: Vec<String> = counted.chain(failed).chain(named).chain(others).collect();
    if !lines.is_empty() {
        html.push_str("<ul>\n");
        for it in lines {
            let _ = writeln!(html, "<li>{}</li>", escape(&it));
        }
        html.push_str("</ul>\n");
    }
    outputs(&mut html, compared);
    examples(&mut html, compared);
    html.push_str(END);
    html
}

fn outputs(html: &mut String, compared: &Answers) {
    html.push_str(
        "<h2>Outputs</h2>\n<div class=\"wide\"><table>\n<tr><th>output</th><th>rows</th><th>differ</th>\
         <th>class flips</th><th>largest difference</th><th>mean</th><th>largest in proportion</th><th>mean</th>\
         <th>not finite</th><th>not comparable</th></tr>\n",
    );
    for (name, it) in &compared.outputs {
        let flips = it.flips.map_or("-".to_owned(), |it| it.to_string());
        let _ = writeln!(
            html,
            "<tr><td><b>{}</b></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{flips}</td>\
             <td class=\"n\">{:.3e}</td><td class=\"n\">{:.3e}</td><td class=\"n\">{:.3e}</td>\
             <td class=\"n\">{:.3e}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(name),
            it.rows,
            it.rows_differ,
            it.max_abs,
            it.mean_abs,
            it.max_rel,
            it.mean_rel,
            it.not_finite,
            it.not_comparable,
        );
    }
    html.push_str("</table></div>\n");
}

fn examples(html: &mut String, compared: &Answers) {
    html.push_str("<h2>What differs most</h2>\n");
    if compared.worst.examples().is_empty() {
        html.push_str("<p>No row differs by more than the tolerance.</p>\n");
        return;
    }
    html.push_str(
        "<div class=\"wide\"><table>\n<tr><th>request</th><th>row</th><th>output</th><th>how</th><th>logged</th>\
         <th>here</th></tr>\n",
    );
    for it in compared.worst.examples() {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"bad\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>",
            escape(&it.id),
            it.row,
            escape(&it.output),
            it.what.words(),
            escape(&it.was),
            escape(&it.is)
        );
    }
    html.push_str("</table></div>\n");
}

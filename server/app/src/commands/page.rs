//! The frame of pages that need nothing beside themselves: style stands in it, and there is no script.

/// What ends a page.
pub(crate) const END: &str = "</body>\n</html>\n";

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1f2933; --soft: #5b6675; --page: #fff; --card: #f6f8fa; \
--rule: #dde3ea; --ref: #98a2b3; --cur: #2563eb; --alarm: #c2410c; --quiet: #b7dfc8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a3adbb; --page: #14181f; \
--card: #1b212b; --rule: #2a313c; --ref: #5b6675; --cur: #6ea8fe; --alarm: #ff9a62; --quiet: #24503a } }
body { margin: 0 auto; padding: 28px; max-width: 1100px; background: var(--page); color: var(--ink); \
font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 19px; margin: 34px 0 6px } h3 { font-size: 16px; margin: 24px 0 6px }
p { margin: 4px 0 10px } .soft { color: var(--soft); fill: var(--soft) }
.banner { padding: 12px 16px; border-radius: 8px; background: var(--card); border-left: 5px solid var(--quiet) }
.banner.alarmed { border-left-color: var(--alarm) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600; font-size: 13px; color: var(--soft) }
td, th { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: middle }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap } .bad { color: var(--alarm); font-weight: 600 }
ul { padding-left: 20px } li { margin: 4px 0; overflow-wrap: anywhere }
svg { display: block; max-width: 100% } svg text { font-family: inherit } .tiny { font-size: 10.5px }
.ref { fill: var(--ref) } .cur { fill: var(--cur) } .axis { stroke: var(--rule); fill: none }
.line { stroke: var(--cur); stroke-width: 1.8; fill: none } .alarm { fill: var(--alarm) } .quiet { fill: var(--quiet) }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 12px }
.key.ref { background: var(--ref) } .key.cur { background: var(--cur) } .key.alarm { background: var(--alarm) }
";

/// A page up to its headline. The title is HTML.
pub(crate) fn begun(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

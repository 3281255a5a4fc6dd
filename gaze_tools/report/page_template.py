"""The frame and the style of the report's page."""

from gaze_tools.report.svg import STYLE

_STYLE = (
    """
:root { color-scheme: light dark; --ink: #16211f; --quiet: #53615e; --line: #d9dfdc; --paper: #fff; --link: #0f5c63;
  --note: #fdf3f4; --note-line: #d1495b; --score: #c2303f; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e9efed; --quiet: #a7b5b1; --line: #33403d; --paper: #101615; --link: #7fd0cf; --note: #2b1b20;
    --note-line: #ff7b86; --score: #ff7b86; }
}
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
@media screen and (min-width: 2000px) { html { font-size: 137.5%; } }
@media screen and (min-width: 3000px) { html { font-size: 200%; } }
body { margin: 0 auto; max-width: 50rem; padding: 1.5rem 1.25rem 3rem; color: var(--ink); background: var(--paper); }
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
h1 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -.01em; margin: 0 0 1rem; overflow-wrap: anywhere; }
.headline { display: flex; align-items: center; gap: 1.25rem; margin: 0 0 .75rem; }
.headline strong { font-size: clamp(2.6rem, 2rem + 3vw, 3.75rem); line-height: 1; letter-spacing: -.03em;
  white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--score); }
.headline + .chart { margin-bottom: 1.25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; text-wrap: pretty; }
.note { border-left: 4px solid var(--note-line); background: var(--note); padding: .5rem .75rem;
  border-radius: 0 .4rem .4rem 0; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .5rem .75rem .5rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; }
.value { font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
dl { font-size: .85rem; color: var(--quiet); }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; }
.numbers td:last-child { color: var(--quiet); font-size: .93rem; }
summary { cursor: pointer; margin-top: .5rem; padding: .3rem 0; width: fit-content; font-weight: 600;
  color: var(--link); }
.wide { overflow-x: auto; }
.events { font-size: .85rem; font-variant-numeric: tabular-nums; width: auto; }
.events th, .events td { padding: .2rem 1.25rem .2rem 0; text-align: right; vertical-align: bottom; }
.events tbody th { font-weight: 400; color: var(--quiet); }
.columns { font-size: .85rem; }
@media (max-width: 34rem) {
  .headline { display: block; }
  .headline strong { display: block; margin-bottom: .4rem; }
  .numbers th, .numbers td { display: inline-block; border: 0; padding: 0; }
  .numbers th { margin-right: .75rem; }
  .numbers td:last-child { display: block; color: var(--quiet); }
  .numbers tr { display: block; border-top: 1px solid var(--line); padding: .5rem 0; }
  .columns th, .columns td { display: block; border: 0; padding: 0; }
  .columns tr { display: block; border-top: 1px solid var(--line); padding: .35rem 0; }
  .events th, .events td { padding-right: .9rem; }
}
@media (forced-colors: active) {
  :root { --ink: CanvasText; --quiet: CanvasText; --line: GrayText; --link: LinkText; }
}
@media print {
  @page { margin: 15mm; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  section, tr, .note { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
  .chart { max-width: 15cm; }
  .chart, .note, .headline { print-color-adjust: exact; }
  .wide { overflow: visible; }
  .about-files { display: none; }
  details::details-content { display: block; content-visibility: visible; block-size: auto; }
}
"""
    + STYLE
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>STYLE</style>
</head>
<body>
<main>
<h1>{title}</h1>
{headline}{notes}<table class=numbers>
{rows}</table>
{figures}{events}<h2>Files</h2>
<p>Beside this page:</p>
<ul>
{files}</ul>
<details class=about-files><summary>Columns of these files</summary>
{columns}</details>
<dl>
{about}</dl>
</main>
</body>
</html>
""".replace("STYLE", _STYLE.replace("{", "{{").replace("}", "}}"))
"""The page, with fields for `str.format`."""

"""The style sheet of a report: one column on a telephone, three on a screen, light, dark and on paper."""

from __future__ import annotations

from raphson.report.style import DARK, LIGHT, variables

_PAPER = LIGHT | {"paper": "#ffffff", "card": "#ffffff", "ink": "#000000", "soft": "#444444", "rule": "#bbbbbb"}

SHEET = (
    ":root{color-scheme:light dark;"
    + variables(LIGHT)
    + "}\n@media (prefers-color-scheme:dark){:root{"
    + variables(DARK)
    + "}}\n"
    + """
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif }
.in { max-width: 1120px; margin: 0 auto; padding: 0 16px }
h1, h2 { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, P052, Charter, Georgia, serif; font-weight: 500;
  text-wrap: balance; overflow-wrap: anywhere }
h1 { font-size: clamp(24px, 1.3rem + 1.3vw, 34px); line-height: 1.22; margin: .35rem 0 0; max-width: 31em }
h2 { font-size: 22px; line-height: 1.25; margin: 0 0 .2rem }
h3 { font-size: 15px; line-height: 1.35; font-weight: 600; margin: 0 0 .4rem; overflow-wrap: anywhere }
p { margin: .5rem 0; overflow-wrap: anywhere }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--data); outline-offset: 3px }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .88em }
var { font-style: italic }
.soft, .note, .over, caption, figcaption { color: var(--soft); font-size: 14px; line-height: 1.45 }
.over { margin: 0 } .note { max-width: 54em }
.lede { max-width: 42em; font-size: 17px; margin: .9rem 0 0 }
header.in { padding-top: 40px } section { margin-top: 56px }
.formula { margin: .9rem 0 0; color: var(--soft); overflow-wrap: anywhere }
.verdict { margin-top: 28px; display: grid; border-top: 2px solid var(--ink); gap: 20px 48px; padding-top: 16px }
.verdict h2 { font: 600 16px/1.4 inherit; font-family: inherit; margin: 0 0 .35rem; font-weight: 600; font-size: 16px }
.verdict p, .verdict li { font-size: 15px; line-height: 1.5; overflow-wrap: anywhere }
.verdict ul { list-style: none; margin: 0; padding: 0 }
.verdict li { padding-left: 26px; position: relative; margin: 0 0 .55rem }
.verdict li > .sign { position: absolute; left: 0 }
.sign { color: var(--data); font-weight: 600; margin-right: .4em } .sign.doubt { color: var(--doubt) }
svg { display: block; max-width: 100%; height: auto; overflow: visible }
svg text { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif }
.panel { width: 100% }
.panels { display: grid; grid-template-columns: minmax(0, 1fr); gap: 36px 32px; margin-top: 20px }
figure { margin: 0; min-width: 0 } figcaption { margin-top: .5rem; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 15px }
caption { text-align: left; padding: 0 0 .6rem }
th { font-weight: 500; text-align: left; overflow-wrap: anywhere }
td, th { padding: .42rem .9rem .42rem 0; vertical-align: middle }
td:last-child, th:last-child { padding-right: 0 }
.n { text-align: right; white-space: nowrap }
thead th { color: var(--soft); font-size: 14px; font-weight: 400; border-bottom: 1px solid var(--ink);
  vertical-align: bottom }
tbody tr > * { border-bottom: 1px solid var(--grid) }
.wk { position: relative; width: 38%; min-height: 36px }
.wk svg { width: 100%; height: 34px }
.wk svg.marks { position: absolute; left: 0; top: 0; height: 100%; width: calc(100% - 14px) }
.wk text { font-size: 12px; fill: var(--soft) }
.wk .axis { stroke: var(--grid) } .wk .none { stroke: var(--soft) }
.wk .line { stroke: var(--data); stroke-width: 2 } .wk .dot { fill: var(--data) }
.wk .open { fill: var(--paper); stroke: var(--soft); stroke-width: 1.5 } .wk .tick { stroke: var(--data) }
.rows tbody th { min-width: 9.5em }
.est { font-weight: 600 } .level th { padding-left: 16px } .cmp { color: var(--soft); font-size: 14px }
.facts { display: grid; grid-template-columns: 1fr 1fr; gap: 16px 24px; margin: 28px 0 0 }
.facts div { border-top: 1px solid var(--rule); padding-top: 8px; min-width: 0 }
.facts dt { color: var(--soft); font-size: 14px } .facts dd { margin: 2px 0 0; font-size: 17px;
  overflow-wrap: anywhere }
.facts dd small { display: block; font-size: 14px; color: var(--soft) }
details { margin-top: 20px; border-top: 1px solid var(--rule); padding-top: 10px }
summary { cursor: pointer; font-size: 15px; min-height: 24px } details > div { margin-top: 10px }
.tab { container-type: inline-size }
.corr { list-style: none; margin: 12px 0 0; padding: 0; display: grid; gap: 12px 24px;
  grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); font-size: 14px }
.corr span { display: block; color: var(--soft); overflow-wrap: anywhere }
.corr i { display: block; height: 8px; margin: 4px 0; background: var(--grid) }
.corr i i { height: 100%; margin: 0 }
.corr b { font-weight: 500; font-variant-numeric: tabular-nums }
.cards { display: grid; gap: 2px 32px; grid-template-columns: minmax(0, 1fr) }
.path { display: grid; gap: 20px 48px; align-items: center; margin-top: 12px; grid-template-columns: minmax(0, 1fr) }
math { font-size: 1.2em }
footer { margin-top: 64px; background: var(--card); padding: 32px 0 40px; font-size: 14px; line-height: 1.5 }
.repro { display: grid; gap: 10px 32px; margin: 0; grid-template-columns: minmax(0, 1fr) }
.repro div { display: grid; grid-template-columns: 7.5em minmax(0, 1fr); gap: 8px }
.repro dt { color: var(--soft) } .repro dd { margin: 0; overflow-wrap: anywhere }
pre { margin: 18px 0 0; padding: 12px 14px; background: var(--paper); border: 1px solid var(--rule); border-radius: 4px;
  white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5 }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
@media (min-width: 640px) { .in { padding: 0 32px } .panels { grid-template-columns: repeat(2, minmax(0, 1fr)) }
  .facts { grid-template-columns: repeat(3, 1fr) } }
@media (min-width: 860px) { .verdict { grid-template-columns: 5fr 7fr } .path { grid-template-columns: 7fr 5fr }
  .repro { grid-template-columns: repeat(2, minmax(0, 1fr)) } }
@media (min-width: 980px) { .panels { grid-template-columns: repeat(3, minmax(0, 1fr)) }
  .panels.four { grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 24px }
  .facts { grid-template-columns: repeat(6, 1fr) } }
.rows thead th { overflow-wrap: normal }
@container (max-width: 860px) { .rows .wk { width: 24% } }
@container (max-width: 640px) {
  .rows, .rows tbody, .rows caption { display: block }
  .rows thead { display: block } .rows thead tr { display: block; border-bottom: 1px solid var(--ink) }
  .rows thead th:not(.wk) { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  .rows thead .wk { display: block; width: 100%; border: 0; padding: 0 }
  .rows tbody tr { display: grid; grid-template-columns: minmax(0, 1fr) auto auto; column-gap: 12px;
  align-items: baseline;
    border-bottom: 1px solid var(--grid); padding: 9px 0 2px }
  .rows tbody tr > * { border: 0; padding: 0 } .rows tbody th { min-width: 0 } .level th { padding-left: 0 }
  .rows tbody .wk { grid-column: 1 / -1; width: 100%; height: 34px; grid-row: 3 } .wk svg.marks { width: 100% }
  .rows .cmp { grid-column: 1 / 3; grid-row: 2 } .rows .p { grid-column: 3; grid-row: 2; font-size: 14px }
  .rows .p:not(:empty)::before { content: "p "; color: var(--soft) }
  .stacked, .stacked tbody, .stacked caption { display: block } .stacked thead { position: absolute;
  clip-path: inset(50%);
    width: 1px; height: 1px; overflow: hidden }
  .stacked tbody tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 2px 12px; padding: 10px 0;
    border-bottom: 1px solid var(--grid) }
  .stacked tbody tr > * { border: 0; padding: 0; text-align: left; white-space: normal }
  .stacked tbody th { grid-column: 1 / -1 }
  .stacked td::before { content: attr(data-l); display: block; color: var(--soft); font-size: 12px } }
@container (max-width: 400px) {
  #estimates .rows tbody tr { grid-template-columns: auto minmax(0, 1fr) auto }
  #estimates .rows tbody th { grid-column: 1 / -1 } #estimates .rows tbody .n { grid-row: 2; white-space: normal }
  #estimates .rows tbody .est ~ .n { grid-column: 2 / -1 } #estimates .rows tbody .wk { grid-row: 4 }
  #estimates .rows tbody .cmp, #estimates .rows tbody .n.p { grid-row: 3 }
  #estimates .rows tbody .n.p { grid-column: 3 } }
@media print { @page { margin: 16mm 14mm }
  :root { color-scheme: light; PRINTED }
  body { font-size: 10.5pt } h1 { font-size: 19pt } .in { padding: 0; max-width: none } header.in { padding-top: 0 }
  section { margin-top: 24pt } figure, tr, .facts, .corr, .path, .verdict li { break-inside: avoid }
  table { font-size: 9pt } thead th, .cmp { font-size: 8.5pt } h2, h3, h2 + p { break-after: avoid }
  h2 + p { break-inside: avoid }
  details::details-content { content-visibility: visible; display: block; height: auto }
  footer { border-top: 1px solid var(--rule) } }
""".replace("PRINTED", variables(_PAPER))
)
"""The style sheet. Print takes the light palette on white."""

"""One page of HTML: what was run, the tables, and of profiles the plots, whose work it was, and the longest walks.

Nothing comes from elsewhere, and the same data give the same bytes. It is light or dark as the reader's system is, folds to the
width of a telephone, and prints with all parts open. A script sorts tables where there are any to sort; without it they stand
in their own order. Plots are matplotlib's SVG, which the extra has anyway, in the colours of the page: libraries whose plots
answer to a mouse bring more bytes of script than a page may have in all.
"""
import platform

import jinja2
import numpy

from rmapcore.units import format_size

STYLE = """
:root { color-scheme: light dark; --text: #1d1f21; --quiet: #565b61; --back: #ffffff; --card: #f5f5f2; --line: #d5d5d0;
  --bad: #a40000; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e6e3; --quiet: #aeb4bb; --back: #16181a; --card: #202326;
  --line: #3b4046; --bad: #ff9a8d; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; color: var(--text); background: var(--back); }
main { max-width: 80rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; overflow-wrap: anywhere; }
.runs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.runs > * { min-width: 0; }
.problem { color: var(--bad); font-weight: bold; overflow-wrap: anywhere; }
.plots, .wide { margin: .6rem 0; }
.wide { overflow-x: auto; background: var(--card); border-radius: 4px; }
pre { font: 13px/1.35 ui-monospace, monospace; margin: 0; padding: .8rem; width: max-content; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--card); border-radius: 4px; padding: .5rem; min-width: 0; }
figcaption { font-weight: bold; padding: 0 .3rem .3rem; }
figure svg { display: block; width: 100%; height: auto; fill: currentColor; }
.wide figure svg { min-width: 56rem; }
table { border-collapse: collapse; width: max-content; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th.text, td.text { text-align: left; }
td.text { white-space: normal; min-width: 8rem; max-width: 26rem; overflow-wrap: anywhere; }
th button { all: unset; cursor: pointer; font-weight: bold; } th button:focus-visible { outline: 2px solid currentColor; }
th[aria-sort=descending] button::after { content: " \\2193"; } th[aria-sort=ascending] button::after { content: " \\2191"; }
details { margin: .6rem 0; } summary { cursor: pointer; font-weight: bold; padding: .2rem 0; }
@media print { :root { color-scheme: light; --text: #000000; --quiet: #444444; --back: #ffffff; --card: #ffffff;
  --line: #bbbbbb; --bad: #a40000; }
  main { max-width: none; padding: 0; } .wide { overflow: visible; } figure, tr { break-inside: avoid; }
  pre { white-space: pre-wrap; font-size: 8px; width: auto; } table { font-size: 9px; } th, td { padding: .1rem .3rem; }
  .plots { grid-template-columns: 1fr 1fr; } .wide figure svg { min-width: 0; } }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const order = (a, b) => head.classList.contains("text") ? value(b).localeCompare(value(a)) : value(b) - value(a);
    const rows = [...body.rows].sort((a, b) => down ? order(a, b) : order(b, a));
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }));
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(part => { part.open = true; }));
"""

TEMPLATE = """
{%- macro plots(figures) -%}
<div class="plots">
{% for figure in figures %}<figure><figcaption>{{ figure.title }}</figcaption>{{ figure.svg | safe }}</figure>
{% endfor %}</div>
{%- endmacro -%}
{%- macro sheets(parts) -%}
{% for part in parts %}<h2>{{ part.title }}</h2>
{% for table in part.tables %}<details{% if table.open %} open{% endif %}><summary>{{ table.title }}</summary>
{{ sheet(table) }}
</details>
{% endfor %}{% endfor %}
{%- endmacro -%}
{%- macro sheet(table) -%}
<div class="wide" role="region" tabindex="0" aria-label="{{ table.title }}"><table>
<thead><tr>{% for name in table.columns %}<th scope="col" aria-sort="none"{% if loop.index0 < table.left %} class="text"{% endif
%}><button type="button">{{ name }}</button></th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}<tr>{% for cell in row %}<td{% if loop.index0 < table.left %} class="text"{% else
%} data-value="{{ cell.value }}"{% endif %}>{{ cell.text }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>rmapcore: {{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% for problem in problems %}<p class="problem">{{ problem }}</p>
{% endfor %}<h2>What was run</h2>
<div class="runs">{% for run in runs %}
<section>{% if run.name %}<h3>{{ run.name }}</h3>{% endif %}<dl>
{% for name, value in run.facts.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}</dl></section>{% endfor %}
</div>
{% for text in texts %}<h2>{{ text.title }}</h2>
{% if text.svg %}<div class="wide" role="region" tabindex="0" aria-label="Picture"><figure>{{ text.svg | safe }}</figure></div>
{% endif %}<div class="wide" role="region" tabindex="0" aria-label="{{ text.title }}"><pre>{{ text.text }}</pre></div>
{% endfor %}
{%- if profile %}<h2>How long walks are</h2>
<p>The share of walks that tried more entries than so many.</p>
{{ plots(profile.distributions) }}
{{ sheet(profile.walks) }}
<h2>Over time</h2>
{{ plots(profile.series) }}
{{ sheets(profile.parts) }}
{% if locks %}<h2>Processors</h2>
{{ plots(locks.scaling) }}
{{ sheets(locks.parts) }}
{% endif %}<script>{{ script | safe }}</script>
{% endif %}</main>
</body>
</html>
"""


SHOWN_AS = {"ram": format_size, "swap": format_size}


def page(title, problems, runs, texts, profile=None, locks=None):
    """The page. runs: [(name or "", data of a result)]; texts: [{"title", "text", "svg" or None}]; profile: of
    profiles.of_rows, or None; locks: of locks.of_rows beside it, or None.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE.lstrip()).render(
        title=title, problems=problems, runs=[{"name": name, "facts": manifest(data)} for name, data in runs], texts=texts,
        profile=profile, locks=locks, style=STYLE, script=SCRIPT)


def manifest(data):
    """What a run was made of, by name: the workload, the recording, the machine, and what it was run with."""
    workload = data["workload"]
    recording = workload.get("recording", {})
    facts = {"workload": workload["name"], **workload["parameters"], "seed": workload["seed"],
             **{f"recording's {name}": value for name, value in recording.items()
                if isinstance(value, str | int) and not isinstance(value, bool)}, **data["machine"]}
    return {**{name: SHOWN_AS.get(name, str)(value) for name, value in facts.items() if value is not None},
            "rmapcore": data["rmapcore"], "written with": f"Python {platform.python_version()}, numpy {numpy.__version__}"}

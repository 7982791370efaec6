"""One page of HTML: what was run, the picture, the tables, what does not hold. No script, nothing from elsewhere."""
import jinja2

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>rmapcore: {{ workload.name }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #222; }
pre { font: 13px/1.3 ui-monospace, monospace; overflow-x: auto; background: #f6f6f4; padding: 1em; }
figure { margin: 1em 0; } figure svg { max-width: 100%; height: auto; }
.problem { color: #a00; font-weight: bold; }
dt { float: left; clear: left; width: 9em; color: #666; } dd { margin-left: 9em; }
</style>
</head>
<body>
<h1>{{ workload.name }}</h1>
<dl>
{% for name, value in workload.parameters.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}<dt>seed</dt><dd>{{ workload.seed }}</dd>
{% for name, value in machine.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}<dt>rmapcore</dt><dd>{{ version }}</dd>
</dl>
{% for problem in problems %}<p class="problem">{{ problem }}</p>
{% endfor %}<figure>{{ picture | safe }}</figure>
<pre>{{ table }}</pre>
</body>
</html>
"""


def page(data, table, picture):
    """The page of a result's data, its table as text and its picture as SVG."""
    svg = picture[picture.index("<svg"):]      # without the XML declaration
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE).render(
        workload=data["workload"], machine=data["machine"], problems=data["problems"], version=data["rmapcore"],
        picture=svg, table=table)

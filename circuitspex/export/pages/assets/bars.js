/* Bars from zero with intervals, in tables whose numbers can be read without them. */
(() => {
  const { element, drawn, signed } = cx;

  const percent = (value) => `${Math.round(100 * value)} %`.replace("-", "−");
  const text = (value, { places, share }) => share ? percent(value) : signed(value, places);
  const ends = (row) => [row.value, row.low ?? row.value, row.high ?? row.value];

  /* The range of all rows, zero within it. */
  function rangeOf(rows, least = []) {
    const all = rows.flatMap(ends).concat(least, 0).filter(Number.isFinite);
    return [Math.min(...all), Math.max(...all)];
  }

  /* One bar; its interval as a line with ends. */
  function bar(row, [low, high], colour) {
    const span = high - low || 1, at = (x) => 2 + 96 * (x - low) / span;
    const [value, from, to] = ends(row).map((x) => Math.min(Math.max(x, low), high));
    const ink = `var(--cx-${colour || row.colour || (value < 0 ? "negative" : "positive")})`;
    const line = (x1, x2, y1, y2, width, stroke) => drawn("line", { x1: `${x1}%`, x2: `${x2}%`, y1, y2, stroke, "stroke-width": width });
    const marks = [drawn("rect", { x: `${at(Math.min(value, 0))}%`, width: `${at(Math.max(value, 0)) - at(Math.min(value, 0))}%`, y: "3", height: "8", rx: "1", fill: row.hollow ? "none" : ink, stroke: row.hollow ? ink : "none" })];
    if (from < to) marks.push(line(at(from), at(to), 7, 7, 1.4, "var(--cx-text)"), line(at(from), at(from), 4, 10, 1.4, "var(--cx-text)"), line(at(to), at(to), 4, 10, 1.4, "var(--cx-text)"));
    return drawn("svg", { "aria-hidden": "true", class: "bar" }, ...marks, line(at(0), at(0), 0, 14, 1, "var(--cx-muted)"));
  }

  /* A table of rows {name, value, low, high}: name, bar, number with its interval. */
  function bars(rows, label, options) {
    const whole = options.share && !options.loose; // from none to all, whatever an interval says beyond
    const range = whole ? [0, 1] : rangeOf(rows);
    const body = rows.map((row) => element("tr", row.class ? { class: row.class } : {},
      element("th", { scope: "row" }, row.name),
      element("td", { class: "drawn" }, bar(row, range)),
      element("td", { class: "num" }, row.said ?? text(row.value, options), ...between(row, options))));
    return element("table", { class: "bars", "aria-label": label }, element("tbody", {}, ...body));
  }
  function between(row, options) {
    if (row.low === undefined || !(row.low < row.high)) return [];
    return [" ", element("span", { class: "muted small" }, interval(row, options))];
  }
  const interval = (row, options) => options.share ? `[${Math.round(100 * row.low)}, ${Math.round(100 * row.high)}]`.replaceAll("-", "−") : `[${signed(row.low, options.places)}, ${signed(row.high, options.places)}]`;

  /* [name, value, low, high] as a row. */
  const rowOf = ([name, value, low, high]) => ({ name, value, low, high });
  const told = ([value, low, high]) => low > 0 || high < 0 ? true : !(low < high) && value !== 0;

  Object.assign(cx, { percent, bar, bars, rangeOf, rowOf, told });
})();

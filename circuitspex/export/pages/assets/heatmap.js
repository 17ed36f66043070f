/* The heat map of layers and heads: the effects of the circuit's components; beside them, pale, what was decoded of the
   others. The last layer is on top, as in the diagram. */
(() => {
  const { say, drawn, signed } = cx;
  const LEFT = 30, TOP = 18, MARGIN = 6;

  function heatmap(host, data, choose) {
    const found = data.heat;
    if (!host || !found) return { refresh: () => {}, svg: null };
    const { layers, columns } = found, some = layers > 16;
    const width = columns.length <= 14 ? 20 : columns.length <= 26 ? 14 : 10, height = layers <= 14 ? 24 : layers <= 34 ? 16 : 10;
    const x = (column) => LEFT + width * column + (column >= found.heads && found.heads ? MARGIN : 0), y = (layer) => TOP + height * (layers - 1 - layer);
    const right = x(columns.length - 1) + width, bottom = TOP + height * layers;
    const most = Math.max(1e-9, ...data.nodes.map((node) => Math.abs(node.effect)), ...found.others.map(([, , , effect]) => Math.abs(effect)));
    const ink = (effect) => `var(--cx-${effect < 0 ? "negative" : "positive"})`;
    const svg = drawn("svg", { xmlns: "http://www.w3.org/2000/svg", class: "cx-heat", viewBox: `0 0 ${right + 34} ${bottom + 8}`, width: right + 34, height: bottom + 8, role: "group", "aria-label": say("circuit.heat_about"), "font-family": "system-ui, sans-serif" });
    const text = (at, to, said, more = {}) => svg.append(drawn("text", { x: at, y: to, "font-size": "9", fill: "var(--cx-muted)", ...more }, said));
    /* Axes: every layer, or every fifth; heads, or every fourth. */
    const step = columns.length > 26 ? 8 : columns.length > 14 ? 4 : 1;
    columns.forEach((name, i) => { if (i >= found.heads || i % step === 0) text(x(i) + width / 2, TOP - 6, i >= found.heads ? short(name) : name, { "text-anchor": "middle" }); });
    for (let layer = 0; layer < layers; layer += 1) if (!some || layer % 5 === 0 || layer === layers - 1) text(LEFT - 5, y(layer) + height / 2 + 3, `L${layer}`, { "text-anchor": "end" });
    svg.append(...ground(found.heads ? [[0, found.heads], [found.heads, columns.length]] : [[0, columns.length]]));
    function ground(spans) {
      return spans.filter(([from, to]) => to > from).flatMap(([from, to]) => {
        const left = x(from), size = width * (to - from), lines = [];
        for (let i = 0; i <= to - from; i += 1) lines.push(`M${left + i * width},${TOP}V${bottom}`);
        for (let i = 0; i <= layers; i += 1) lines.push(`M${left},${TOP + i * height}h${size}`);
        return [drawn("rect", { x: left, y: TOP, width: size, height: bottom - TOP, fill: "var(--cx-band)" }), drawn("path", { d: lines.join(""), stroke: "var(--cx-line)", "stroke-width": "0.5", fill: "none" })];
      });
    }
    const cell = (layer, column, effect, inset, more) => drawn("rect", { x: x(column) + inset, y: y(layer) + inset, width: width - 2 * inset, height: height - 2 * inset, fill: ink(effect), "fill-opacity": strength(effect), ...more });
    const strength = (effect) => (0.06 + 0.94 * Math.sqrt(Math.abs(effect) / most)).toFixed(3);
    for (const [layer, column, name, effect] of found.others) {
      const mark = cell(layer, column, effect, 0.5, {});
      mark.append(drawn("title", {}, say("circuit.heat_other", { name, effect: signed(effect, data.places) })));
      svg.append(mark);
    }
    const marks = found.cells.map(([layer, column, nodes]) => {
      const strongest = nodes.reduce((a, b) => Math.abs(data.nodes[b].effect) > Math.abs(data.nodes[a].effect) ? b : a);
      const said = nodes.map((i) => data.nodes[i].hollow ? say("circuit.cell_hollow", { name: data.nodes[i].name, effect: data.nodes[i].value }) : `${data.nodes[i].name}: ${data.nodes[i].value}`).join("; ");
      const face = cell(layer, column, data.nodes[strongest].effect, 1, { class: "face", stroke: "var(--cx-text)", "stroke-width": "1" });
      const mark = drawn("g", { class: "cell", role: "button", tabindex: "-1", "aria-label": said }, drawn("title", {}, said), drawn("rect", { x: x(column) + 1, y: y(layer) + 1, width: width - 2, height: height - 2, fill: "var(--cx-background)" }), face);
      if (data.nodes[strongest].effect < 0) mark.append(drawn("path", { d: `M${x(column) + 5},${y(layer) + height / 2}h${width - 10}`, stroke: "var(--cx-text)", "stroke-width": "1.4" }));
      mark.addEventListener("click", () => choose(strongest));
      svg.append(mark);
      return { mark, nodes, strongest, layer, column };
    });
    /* One stop for the tab key; arrows go to the nearest component that way. */
    const focusable = (one) => { marks.forEach((each) => each.mark.setAttribute("tabindex", each === one ? "0" : "-1")); return one; };
    if (marks.length) focusable(marks[0]);
    svg.addEventListener("keydown", (event) => {
      const here = marks.find(({ mark }) => mark === event.target);
      if (!here) return;
      const way = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Enter" || event.key === " ") choose(here.strongest);
      else if (!way) return;
      else {
        const off = (one) => [one.layer - here.layer, one.column - here.column];
        const ahead = marks.filter((one) => way[0] * off(one)[0] + way[1] * off(one)[1] > 0);
        const cost = (one) => { const [up, over] = off(one); return Math.hypot(up, over) + 2 * Math.abs(way[0] ? over : up); };
        if (ahead.length) focusable(ahead.reduce((a, b) => cost(b) < cost(a) ? b : a)).mark.focus();
      }
      event.preventDefault();
    });
    host.append(svg);
    host.closest(".pictures").classList.toggle("wide-heat", right > 330);
    function refresh(near, pins) {
      for (const { mark, nodes } of marks) {
        mark.classList.toggle("chosen", near !== null && nodes.some((i) => near.has(i)));
        mark.classList.toggle("pinned", nodes.some((i) => pins.has(data.nodes[i].name)));
      }
    }
    return { refresh, svg };
  }
  const short = (name) => name.length > 4 ? `${name.slice(0, 4)}.` : name;

  Object.assign(cx, { heatmap });
})();

"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const canvas = $("diagram"), panel = $("panel"), svg = canvas.querySelector("svg");
  const nodeMarks = new Map([...svg.querySelectorAll(".node")].map((g) => [Number(g.dataset.node), g]));
  const edgeMarks = new Map([...svg.querySelectorAll(".edge")].map((g) => [Number(g.dataset.edge), g]));
  const labels = new Map([...svg.querySelectorAll(".label")].map((g) => [Number(g.dataset.edge), g]));
  const nodeOf = new Map(data.nodes.map((node, i) => [node.name, i]));
  const edgesOf = data.nodes.map((node) => data.edges.map((_, i) => i).filter((i) => data.edges[i].components.includes(node.name)));
  for (const mark of [...nodeMarks.values(), ...edgeMarks.values()]) { // a wider line to click on, and a text to hover
    const line = mark.querySelector(".line");
    if (line) {
      const hit = line.cloneNode();
      for (const [name, value] of [["class", "hit"], ["stroke", "transparent"], ["stroke-width", "14"]]) hit.setAttribute(name, value);
      hit.removeAttribute("stroke-dasharray");
      mark.prepend(hit);
    }
    const title = document.createElementNS(svg.namespaceURI, "title");
    title.textContent = mark.getAttribute("aria-label");
    mark.prepend(title);
  }
  let chosen = null; // {kind: "node" | "edge" | "dropped", index}

  /* Building the panel: text only ever goes in as text. */
  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "onclick") made.addEventListener("click", value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }
  const nameOf = (edge) => edge.components.join(" × ");
  const link = (text, kind, index) => element("button", { type: "button", class: "link", onclick: () => choose(kind, index) }, text);
  const sign = (part, text) => element("span", { class: "sign" + (part.effect < 0 ? " negative" : "") }, text);
  function row(first, ...rest) {
    return element("tr", {}, element("td", { class: "name" }, first), ...rest.map((cell) => element("td", { class: "num" }, cell)));
  }
  function table(heads, rows) {
    const cells = heads.map((head, i) => element("th", { scope: "col", class: i ? "num" : "" }, head));
    return element("table", {}, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows));
  }
  function panelHead(title, kind) {
    const close = element("button", { type: "button", "aria-label": "Close the details", onclick: clear }, "×");
    return element("div", { class: "head" }, element("div", {}, element("p", { class: "muted" }, kind), element("h3", {}, title)), close);
  }
  function amount(part) {
    const about = part.interval ? `measured, 95 % interval ${part.interval}` : "estimated by the decoder, not measured";
    return [element("p", { class: "big" }, part.value), element("p", { class: "muted" }, about)];
  }
  function showNode(node, index) {
    const mine = edgesOf[index];
    const rows = mine.map((i) => {
      const others = data.edges[i].components.filter((name) => name !== node.name).join(" × ");
      return row(link(others, "edge", i), sign(data.edges[i], data.edges[i].value), data.edges[i].interval || "est.");
    });
    panel.replaceChildren(
      panelHead(node.name, `${node.kind} · layer ${node.layer}`), ...amount(node),
      element("h4", {}, "Decoded"), element("p", {}, node.decoded),
      element("h4", {}, mine.length ? `Interactions (${mine.length})` : "No interactions"),
      ...(mine.length ? [table(["with", "effect", "interval"], rows)] : []));
  }
  function showEdge(edge, dropped) {
    const what = dropped ? "interaction that did not replicate" : `${edge.label} interaction of ${edge.components.length}`;
    const members = edge.components.map((name) => {
      const node = data.nodes[nodeOf.get(name)];
      return node ? row(link(name, "node", nodeOf.get(name)), node.value, node.interval || "est.") : row(name, "–", "–");
    });
    panel.replaceChildren(
      panelHead(nameOf(edge), what), ...amount(edge),
      element("h4", {}, "Measured and decoded"),
      table(["", "effect", "interval"], [row("measured", edge.interval ? edge.value : "–", edge.interval || "–"), row("decoded", edge.decoded, "")]),
      element("h4", {}, "Its components alone"), table(["component", "effect", "interval"], members));
  }
  function showNothing() {
    panel.replaceChildren(
      element("h3", {}, "Details"),
      element("p", { class: "muted" }, data.nodes.length ? "Choose a component or an interaction, in the diagram or in the tables." : "This circuit is empty."));
  }
  function choose(kind, index) {
    chosen = { kind, index };
    if (kind === "node") showNode(data.nodes[index], index);
    else showEdge((kind === "edge" ? data.edges : data.dropped)[index], kind === "dropped");
    panel.scrollTop = 0;
    refresh();
  }
  function clear() {
    chosen = null;
    showNothing();
    refresh();
  }

  /* What is shown: threshold, orders, search, what is chosen. */
  const largest = Math.max(0, ...data.nodes.map((n) => Math.abs(n.effect)), ...data.edges.map((e) => Math.abs(e.effect)));
  const threshold = () => largest * (Number($("threshold").value) / 1000) ** 2;
  function matches(words, ...texts) {
    const all = texts.join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  }
  function refresh() {
    const least = threshold() * (1 - 1e-9);
    const orders = new Set([...document.querySelectorAll("#orders input:checked")].map((box) => Number(box.value)));
    const words = $("search").value.toLowerCase().replace(/layer\s+(\d+)/g, "layer$1").split(/\s+/).filter(Boolean);
    const found = (node) => matches(words, node.name, node.kind, `layer${node.layer} `);
    const foundEdge = (edge) => matches(words, nameOf(edge), edge.label) || edge.components.some((name) => nodeOf.has(name) && found(data.nodes[nodeOf.get(name)]));
    const visible = data.edges.map((edge) => Math.abs(edge.effect) >= least && orders.has(edge.components.length));
    const picked = chosen && chosen.kind === "node" ? new Set(edgesOf[chosen.index]) : chosen && chosen.kind === "edge" ? new Set([chosen.index]) : null;
    data.edges.forEach((edge, i) => {
      const mark = edgeMarks.get(i), label = labels.get(i);
      const dim = (picked && !picked.has(i)) || (words.length > 0 && !foundEdge(edge));
      mark.classList.toggle("off", !visible[i]);
      mark.classList.toggle("dim", Boolean(dim));
      mark.classList.toggle("chosen", Boolean(chosen && chosen.kind === "edge" && chosen.index === i));
      mark.setAttribute("tabindex", visible[i] ? "0" : "-1");
      if (label) {
        label.classList.toggle("off", !visible[i]);
        const wanted = data.with_effects && (edge.interval || $("estimates").checked);
        label.classList.toggle("quiet", !wanted && !(picked && picked.has(i)));
        label.classList.toggle("dim", Boolean(dim));
      }
    });
    data.nodes.forEach((node, i) => {
      const mark = nodeMarks.get(i);
      const linked = edgesOf[i].some((e) => visible[e]);
      const near = !picked || (chosen.kind === "node" && chosen.index === i) || [...picked].some((e) => data.edges[e].components.includes(node.name));
      const searched = words.length === 0 || found(node) || edgesOf[i].some((e) => visible[e] && matches(words, nameOf(data.edges[e]), data.edges[e].label));
      mark.classList.toggle("off", Math.abs(node.effect) < least && !linked);
      mark.classList.toggle("dim", !near || !searched);
      mark.classList.toggle("chosen", Boolean(chosen && chosen.kind === "node" && chosen.index === i));
    });
    document.querySelectorAll("tr[data-kind]").forEach((tr) => {
      const index = Number(tr.dataset.index), kind = tr.dataset.kind;
      const part = { node: data.nodes, edge: data.edges, dropped: data.dropped }[kind][index];
      tr.hidden = words.length > 0 && !(kind === "node" ? found(part) : foundEdge(part));
      tr.classList.toggle("chosen", Boolean(chosen && chosen.kind === kind && chosen.index === index));
    });
    $("threshold-value").textContent = threshold().toFixed(data.places);
    $("count").textContent = `${visible.filter(Boolean).length} of ${data.edges.length} interactions shown.`;
  }

  /* Pan and zoom: the view box follows the canvas. */
  const full = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  const view = { x: 0, y: 0, scale: 1 };
  function paint() {
    const width = canvas.clientWidth / view.scale, height = canvas.clientHeight / view.scale;
    const keep = (at, size, seen) => seen >= size ? (size - seen) / 2 : Math.min(Math.max(at, -40), size - seen + 40);
    view.x = keep(view.x, full.width, width);
    view.y = keep(view.y, full.height, height);
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
  }
  const fitScale = () => Math.min(canvas.clientWidth / full.width, canvas.clientHeight / full.height, 1.6);
  function fit() {
    view.scale = fitScale();
    paint();
  }
  function start() {
    const wide = Math.min(canvas.clientWidth / full.width, 1.35);
    view.scale = fitScale() > 0.8 ? fitScale() : Math.max(wide, 0.5);
    const centre = data.focus || [full.width / 2, full.height / 2];
    view.x = (full.width - canvas.clientWidth / view.scale) / 2;
    view.y = centre[1] - canvas.clientHeight / view.scale / 2;
    paint();
  }
  function zoom(factor, px, py) {
    const scale = Math.min(Math.max(view.scale * factor, fitScale() * 0.8), 6);
    view.x += px / view.scale - px / scale;
    view.y += py / view.scale - py / scale;
    view.scale = scale;
    paint();
  }
  const zoomMiddle = (factor) => zoom(factor, canvas.clientWidth / 2, canvas.clientHeight / 2);
  const pointers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pointers.set(event.pointerId, event);
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const others = [...pointers.values()].filter((p) => p.pointerId !== event.pointerId);
    if (others.length) {
      const box = canvas.getBoundingClientRect(), other = others[0];
      const gap = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
      zoom(gap(event) / gap(last), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
    } else {
      const dx = event.clientX - last.clientX, dy = event.clientY - last.clientY;
      moved += Math.abs(dx) + Math.abs(dy);
      if (moved < 4) return;
      if (!canvas.classList.contains("dragging")) {
        canvas.classList.add("dragging");
        canvas.setPointerCapture(event.pointerId);
      }
      view.x -= dx / view.scale;
      view.y -= dy / view.scale;
      paint();
    }
    pointers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    window.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      canvas.classList.remove("dragging");
    });
  }
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 60 / view.scale;
    const act = {
      ArrowLeft: () => { view.x -= step; paint(); }, ArrowRight: () => { view.x += step; paint(); },
      ArrowUp: () => { view.y -= step; paint(); }, ArrowDown: () => { view.y += step; paint(); },
      "+": () => zoomMiddle(1.25), "=": () => zoomMiddle(1.25), "-": () => zoomMiddle(0.8), 0: fit,
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  canvas.addEventListener("focusin", (event) => { // bring what the keyboard reached into view
    if (event.target === canvas || !event.target.matches(":focus-visible")) return;
    canvas.scrollTo(0, 0);
    const box = canvas.getBoundingClientRect(), mark = event.target.getBoundingClientRect();
    const x = mark.left + mark.width / 2 - box.left, y = mark.top + mark.height / 2 - box.top;
    if (x > 20 && x < box.width - 20 && y > 20 && y < box.height - 20) return;
    view.x += (x - box.width / 2) / view.scale;
    view.y += (y - box.height / 2) / view.scale;
    paint();
  });
  $("zoom-in").addEventListener("click", () => zoomMiddle(1.25));
  $("zoom-out").addEventListener("click", () => zoomMiddle(0.8));
  $("zoom-fit").addEventListener("click", fit);

  /* Choosing, by mouse and by keyboard. */
  function chooseMark(mark) {
    if (mark.dataset.node !== undefined) choose("node", Number(mark.dataset.node));
    else choose("edge", Number(mark.dataset.edge));
  }
  svg.addEventListener("click", (event) => {
    if (moved >= 4) return;
    const mark = event.target.closest(".node, .edge");
    if (mark) chooseMark(mark);
    else clear();
  });
  svg.addEventListener("keydown", (event) => {
    const mark = event.target.closest(".node, .edge");
    if (!mark || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    chooseMark(mark);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (chosen) clear();
    else if ($("search").value) { $("search").value = ""; refresh(); }
  });
  document.querySelectorAll("tr[data-kind]").forEach((tr) => {
    tr.querySelector("button.link").addEventListener("click", () => choose(tr.dataset.kind, Number(tr.dataset.index)));
  });

  /* Sortable tables. */
  document.querySelectorAll("table.sortable th button").forEach((button) => {
    button.addEventListener("click", () => {
      const head = button.closest("th"), tbody = head.closest("table").tBodies[0], column = head.cellIndex;
      const down = head.getAttribute("aria-sort") !== "descending";
      head.parentElement.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (tr) => tr.cells[column].dataset.v ?? tr.cells[column].textContent;
      const numeric = head.dataset.numeric !== undefined;
      const compare = (a, b) => numeric ? Number(key(a)) - Number(key(b)) : -key(a).localeCompare(key(b), "en", { numeric: true });
      tbody.append(...[...tbody.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b)));
    });
  });

  for (const id of ["search", "threshold", "estimates"]) $(id).addEventListener("input", refresh);
  document.querySelectorAll("#orders input").forEach((box) => box.addEventListener("input", refresh));
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  new ResizeObserver(paint).observe(canvas);
  start();
  clear();
})();

(() => {
  const { element, promptBars, combinations } = cx;
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const canvas = $("diagram"), panel = $("panel"), svg = canvas.querySelector("svg");
  const nodeMarks = new Map([...svg.querySelectorAll(".node")].map((g) => [Number(g.dataset.node), g]));
  const edgeMarks = new Map([...svg.querySelectorAll(".edge")].map((g) => [Number(g.dataset.edge), g]));
  const labels = new Map([...svg.querySelectorAll(".label")].map((g) => [Number(g.dataset.edge), g]));
  const nodeOf = new Map(data.nodes.map((node, i) => [node.name, i]));
  const edgesOf = data.nodes.map((node) => data.edges.map((_, i) => i).filter((i) => data.edges[i].components.includes(node.name)));
  cx.prepareMarks(svg);
  const view = cx.panZoom([{ canvas, svg }], data.focus);
  let chosen = null; // {kind: "node" | "edge" | "dropped", index}

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
    const about = part.interval ? `${data.measured} ${part.interval}` : part.signed === false ? "a score from a file, not measured; its sign is not known" : "estimated by the decoder, not measured";
    const more = part.shown !== part.interval ? [element("p", { class: "muted" }, `widened for having been selected: ${part.shown}`)] : [];
    const hollow = part.hollow ? [element("p", { class: "muted" }, "not distinguishable from 0 by itself")] : [];
    return [element("p", { class: "big" }, part.value), element("p", { class: "muted" }, about), ...more, ...hollow];
  }
  function showNode(node, index) {
    const mine = edgesOf[index];
    const rows = mine.map((i) => {
      const others = data.edges[i].components.filter((name) => name !== node.name).join(" × ");
      return row(link(others, "edge", i), sign(data.edges[i], data.edges[i].value), data.edges[i].shown || "est.");
    });
    panel.replaceChildren(
      panelHead(node.name, node.layer === null ? node.kind : `${node.kind} · layer ${node.layer}`), ...amount(node),
      element("h4", {}, "Decoded"), element("p", {}, node.decoded), ...evidence(node),
      ...promptBars(node.per_prompt, data.places, data.metric),
      element("h4", {}, mine.length ? `Interactions (${mine.length})` : "No interactions"),
      ...(mine.length ? [table(["with", "effect", "interval"], rows)] : []));
  }
  function showEdge(edge, dropped) {
    const what = dropped ? "interaction that did not replicate" : edge.sentence;
    const members = edge.components.map((name) => {
      const node = data.nodes[nodeOf.get(name)];
      return node ? row(link(name, "node", nodeOf.get(name)), node.value, node.shown || "est.") : row(name, "–", "–");
    });
    panel.replaceChildren(
      panelHead(nameOf(edge), what), ...amount(edge),
      element("h4", {}, "Measured and decoded"),
      table(["", "effect", "interval"], [row("measured", edge.interval ? edge.value : "–", edge.interval || "–"), row("decoded", edge.decoded, "")]),
      ...conditional(edge), ...evidence(edge), ...combinations(edge, data), ...promptBars(edge.per_prompt, data.places, data.metric),
      element("h4", {}, "Its components alone"), table(["component", "effect", "interval"], members));
  }
  /* What each of two components does without the other one, and with it. */
  function conditional(edge) {
    if (!edge.conditional) return [];
    const rows = edge.conditional.map(([name, other, without, kept]) => [row(`${name}, ${other} ablated`, without), row(`${name}, ${other} kept`, kept)]);
    return [element("h4", {}, "What each does without the other, and with it"), table(["", "effect"], rows.flat())];
  }
  function evidence(edge) {
    const said = (head, text, why) => text ? [element("h4", {}, head), element("p", {}, text), element("p", { class: "muted small" }, why)] : [];
    return [
      ...said("False discovery rate", edge.q && `q ${edge.q}`, "The smallest rate at which it is a discovery, among all that were measured with it."),
      ...said("Direction", edge.path, "How much of it travels along that path, with its interval; an arrow is drawn where that is above zero.")];
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

  /* Choosing, by mouse and by keyboard. */
  function chooseMark(mark) {
    if (mark.dataset.node !== undefined) choose("node", Number(mark.dataset.node));
    else choose("edge", Number(mark.dataset.edge));
  }
  svg.addEventListener("click", (event) => {
    if (view.dragged()) return;
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
    tr.querySelector("button.link").addEventListener("click", () => {
      const index = Number(tr.dataset.index), mark = { node: nodeMarks, edge: edgeMarks }[tr.dataset.kind]?.get(index);
      choose(tr.dataset.kind, index);
      if (mark) view.reveal(mark);
    });
  });

  for (const id of ["search", "threshold", "estimates"]) $(id).addEventListener("input", refresh);
  document.querySelectorAll("#orders input").forEach((box) => box.addEventListener("input", refresh));
  clear();
})();

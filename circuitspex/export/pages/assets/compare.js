(() => {
  const { say, element, promptBars } = cx;
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const panes = $("panes");
  if (!panes) return; // identical models: there is nothing to show
  const panel = $("panel");
  const shown = ["before", "after", "difference"].map((name) => {
    const canvas = $(`diagram-${name}`), svg = canvas.querySelector("svg");
    const byIndex = (marks, key) => new Map([...svg.querySelectorAll(marks)].map((g) => [Number(g.dataset[key]), g]));
    cx.prepareMarks(svg);
    return { name, canvas, svg, nodes: byIndex(".node", "node"), edges: byIndex(".edge", "edge"), labels: byIndex(".label", "edge") };
  });
  /* Each diagram is as high as it needs to be at its full width, and never higher than the window. */
  const whole = shown[0].svg.viewBox.baseVal, size = { width: whole.width, height: whole.height };
  function stretch() {
    const wide = (shown.find((pane) => pane.canvas.clientWidth) || shown[0]).canvas.clientWidth;
    const high = size.height * Math.min(wide / size.width, 1.6) + 44;
    panes.style.setProperty("--pane", `${Math.round(Math.max(260, Math.min(high, 0.92 * innerHeight, 960)))}px`);
  }
  stretch();
  const view = cx.panZoom(shown, data.focus);
  const nameOf = (part) => part.components.join(" × ");
  const indexOf = new Map(data.nodes.map((node, i) => [node.components[0], i]));
  let chosen = null; // {part: "node" | "edge" | "change", index}: a mark, or a change without one

  /* The details of one component or interaction. */
  function row(what, text, between) {
    return element("tr", {}, element("td", { class: "name" }, what), element("td", { class: "num" }, text), element("td", { class: "num" }, between));
  }
  function show(part, change) {
    const close = element("button", { type: "button", "aria-label": say("page.close_details"), onclick: clear }, "×");
    const what = part.components.length > 1 ? say("comparison.interaction_of", { count: part.components.length }) : say("comparison.component");
    const kind = change ? `${change.mark} ${change.word}` : say("comparison.not_tested");
    const head = element("div", { class: "head" }, element("div", {}, element("p", { class: "muted" }, `${what} · ${kind}`), element("h3", {}, nameOf(part))), close);
    if (!change) {
      panel.replaceChildren(head, element("p", { class: "muted" }, say("comparison.one_model_only")));
      return;
    }
    const heads = ["", say("comparison.effect"), say("comparison.interval")].map((text, i) => element("th", { scope: "col", class: i ? "num" : "" }, text));
    panel.replaceChildren(head,
      element("p", { class: "big" }, change.difference), element("p", { class: "muted" }, say("comparison.difference_interval", { interval: change.interval })),
      element("h4", {}, say("comparison.measured_in_both")),
      element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {},
        row(data.names[0], change.before, change.before_interval), row(data.names[1], change.after, change.after_interval),
        row(say("comparison.difference_row"), change.difference, change.interval), row(say("comparison.decoded_difference"), change.decoded, ""))),
      ...(change.relations ? [element("h4", {}, say("comparison.relations")), element("table", {}, element("tbody", {},
        ...change.relations.map((said, i) => element("tr", {}, element("td", { class: "name" }, data.names[i]), element("td", { class: "words" }, said)))))] : []),
      element("h4", {}, say("comparison.rate")), element("p", {}, say("comparison.q", { q: change.q })),
      element("p", { class: "muted small" }, say("comparison.rate_about", { least: data.least })),
      ...promptBars(part.per_prompt, data.places, data.metric));
  }
  function showNothing() {
    panel.replaceChildren(element("h3", {}, say("page.details")),
      element("p", { class: "muted" }, data.changes.length ? say("comparison.nothing_chosen") : say("comparison.nothing_to_choose")));
  }
  function choose(part, index) {
    chosen = { part, index };
    const found = { node: data.nodes, edge: data.edges, change: data.changes }[part][index];
    show(found, part === "change" ? found : data.changes[found.change]);
    panel.scrollTop = 0;
    refresh();
  }
  function chooseChange(index) {
    const change = data.changes[index];
    const part = change.node !== undefined ? "node" : change.edge !== undefined ? "edge" : "change";
    choose(part, part === "change" ? index : change[part]);
    const pane = shown.find((pane) => pane.canvas.clientWidth) || shown[0];
    if (part !== "change") view.reveal(pane[`${part}s`].get(change[part]), pane.canvas);
  }
  function clear() {
    chosen = null;
    showNothing();
    refresh();
  }

  /* What is shown: threshold, kinds, search, what is chosen. */
  const threshold = () => data.largest * (Number($("threshold").value) / 1000) ** 2;
  function refresh() {
    const least = threshold() * (1 - 1e-9);
    const kinds = new Set([...document.querySelectorAll("#kinds input:checked")].map((box) => box.value));
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const said = (part, change) => `${nameOf(part)} ${change ? change.word : ""}`.toLowerCase();
    const visible = data.changes.map((change) => Math.abs(change.size) >= least && kinds.has(change.kind) && words.every((word) => said(change, change).includes(word)));
    const seen = (part) => part.change === null ? least === 0 && words.every((word) => said(part).includes(word)) : visible[part.change];
    const edgeSeen = data.edges.map(seen);
    const linked = new Set(data.edges.flatMap((edge, i) => edgeSeen[i] ? edge.components : []));
    const near = new Set();
    if (chosen && chosen.part === "edge") data.edges[chosen.index].components.forEach((name) => near.add(indexOf.get(name)));
    if (chosen && chosen.part === "node") {
      near.add(chosen.index);
      data.edges.forEach((edge) => { if (edge.components.includes(data.nodes[chosen.index].components[0])) edge.components.forEach((name) => near.add(indexOf.get(name))); });
    }
    const marked = chosen && chosen.part !== "change";
    for (const pane of shown) {
      data.nodes.forEach((node, i) => {
        const mark = pane.nodes.get(i);
        mark.classList.toggle("off", !seen(node) && !linked.has(node.components[0]));
        mark.classList.toggle("dim", Boolean(marked && !near.has(i)));
        mark.classList.toggle("chosen", Boolean(marked && chosen.part === "node" && chosen.index === i));
      });
      data.edges.forEach((edge, i) => {
        const mine = marked && (chosen.part === "edge" ? chosen.index === i : edge.components.includes(data.nodes[chosen.index].components[0]));
        for (const mark of [pane.edges.get(i), pane.labels.get(i)].filter(Boolean)) {
          mark.classList.toggle("off", !edgeSeen[i]);
          mark.classList.toggle("dim", Boolean(marked && !mine));
          mark.classList.toggle("chosen", Boolean(marked && chosen.part === "edge" && chosen.index === i));
          if (mark.classList.contains("label")) mark.classList.toggle("quiet", !data.with_effects && !mine);
          else mark.setAttribute("tabindex", edgeSeen[i] ? "0" : "-1");
        }
      });
    }
    document.querySelectorAll("tr[data-kind='change']").forEach((tr) => {
      const index = Number(tr.dataset.index), change = data.changes[index];
      tr.hidden = !visible[index];
      tr.classList.toggle("chosen", Boolean(chosen && (chosen.part === "change" ? chosen.index === index : change[chosen.part] === chosen.index)));
    });
    $("threshold-value").textContent = threshold().toFixed(data.places);
    $("count").textContent = say("comparison.shown", { n: visible.filter(Boolean).length, all: data.changes.length });
  }

  /* Which diagrams are shown: all of them where there is room. */
  const narrow = matchMedia("(max-width: 900px)");
  function turn(name) {
    panes.dataset.view = name;
    document.querySelectorAll(".view").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === name)));
    stretch();
    view.start();
  }
  const turnForWidth = () => { if (narrow.matches && panes.dataset.view === "all") turn("difference"); };
  document.querySelectorAll(".view").forEach((button) => button.addEventListener("click", () => turn(button.dataset.view)));
  narrow.addEventListener("change", () => turn(narrow.matches ? "difference" : "all"));

  /* Choosing, by mouse and by keyboard. */
  const chooseMark = (mark) => mark.dataset.node === undefined ? choose("edge", Number(mark.dataset.edge)) : choose("node", Number(mark.dataset.node));
  cx.choosing(shown.map((pane) => pane.svg), ".node, .edge", view, { choose: chooseMark, clear, isChosen: () => chosen, searched: refresh });
  document.querySelectorAll("tr[data-kind='change']").forEach((tr) => {
    tr.querySelector("button.link").addEventListener("click", () => chooseChange(Number(tr.dataset.index)));
  });
  $("threshold").addEventListener("input", refresh);
  document.querySelectorAll("#kinds input").forEach((box) => box.addEventListener("input", refresh));
  turn("all");
  turnForWidth();
  clear();
})();

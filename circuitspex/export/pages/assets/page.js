/* The circuit's page: what is chosen in one place (diagram, heat map, tables, story) is shown in all, and in the panel. */
(() => {
  const { say, element, part, matches, wordsOf } = cx;
  const data = JSON.parse(document.getElementById("data").textContent);
  data.attended ??= data.prompts;
  const $ = (id) => document.getElementById(id);
  const canvas = $("diagram"), panel = $("panel"), svg = canvas.querySelector("svg");
  const full = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  const byIndex = (marks, key) => new Map([...svg.querySelectorAll(marks)].map((g) => [Number(g.dataset[key]), g]));
  const nodeMarks = byIndex(".node", "node"), edgeMarks = byIndex(".edge", "edge"), labels = byIndex(".label", "edge");
  const nodeOf = new Map(data.nodes.map((node, i) => [node.name, i]));
  const edgesOf = data.nodes.map((node) => data.edges.map((_, i) => i).filter((i) => data.edges[i].components.includes(node.name)));
  const inOrder = (names) => [...names].sort((a, b) => (data.nodes[nodeOf.get(a)]?.rank ?? Infinity) - (data.nodes[nodeOf.get(b)]?.rank ?? Infinity));
  cx.prepareMarks(svg);
  canvas.style.setProperty("--needed", `${Math.ceil(full.height * Math.min(1.35, canvas.clientWidth / full.width)) + 24}px`);
  const heat = cx.heatmap($("heat"), data, (index) => choose("node", index)); // before the view, whose room it takes
  const view = cx.panZoom([{ canvas, svg }], data.focus);
  const lists = { node: data.nodes, edge: data.edges, dropped: data.dropped };
  let chosen = null; // {kind: "node" | "edge" | "dropped" | "group", index}

  const state = cx.makeState(data, () => { chosen = chosenOf(state.on); show(); });
  const folds = cx.folding(svg, data, choose, state);
  const ui = { data, state, closed: new Set(), setPrompt, noted: showNotes };
  const cards = cx.makeCards(data, ui, { choose, clear, inOrder, nodeOf }), { nameOf, head, noteOf } = cards;
  ui.nameLink = cards.nameLink;
  const tell = (text) => { $("said").textContent = text; };

  function chosenOf(on) {
    if (on.length === 1) return { kind: "node", index: nodeOf.get(on[0]) };
    for (const kind of on.length ? ["edge", "dropped"] : []) {
      const index = lists[kind].findIndex((edge) => edge.components.join("\n") === on.join("\n"));
      if (index >= 0) return { kind, index };
    }
    return null;
  }
  const partOf = ({ kind, index }) => kind === "group" ? folds.groups[index] : lists[kind][index];
  function setPrompt(index) {
    state.prompt = index;
    const at = panel.scrollTop;
    show();
    panel.scrollTop = at;
    panel.querySelector(".prompt-choice select")?.focus({ preventScroll: true });
  }

  /* The panel. */
  function nodeCard(node, index) {
    return [head(node.name, node.layer === null ? node.word : say("card.kind_in_layer", { kind: node.word, layer: node.layer }), cards.pinButton(node.name)), ...cards.amount(node), ...cx.describedParts(node, ui), ...cards.perPrompt(node),
      cards.interactionsOf(node.name, edgesOf[index]),
      part(say("page.decoded"), ui, element("p", {}, node.decoded), ...cards.rate(node)), noteOf(node.name, node.name)];
  }
  const nothing = () => [element("h3", {}, say("page.details")), element("p", { class: "muted" }, data.nodes.length ? say("circuit.choose") : say("circuit.empty"))];
  function show() {
    const one = chosen && partOf(chosen), open = new Set(panel.contains(document.activeElement) ? ["focus"] : []);
    const card = !one ? nothing() : chosen.kind === "node" ? nodeCard(one, chosen.index) : chosen.kind === "group" ? [head(one.shown, say("card.group")), ...folds.card(one, ui)] : cards.interactionCard(one, chosen.kind);
    panel.replaceChildren(...cards.pins(), ...card);
    panel.classList.toggle("open", Boolean(one));
    document.body.classList.toggle("with-card", Boolean(one));
    if (open.size) panel.focus({ preventScroll: true });
    refresh();
    showNotes();
    state.write();
  }
  function choose(kind, index, reveal = false) {
    chosen = { kind, index };
    const one = partOf(chosen);
    state.on = kind === "group" ? [] : kind === "node" ? [one.name] : one.components;
    show();
    panel.scrollTop = 0;
    const mark = { node: nodeMarks, edge: edgeMarks }[kind]?.get(index);
    if (reveal && mark) view.reveal(mark);
    tell(kind === "node" ? `${one.name}: ${one.value}${one.about?.role.clear ? `, ${one.about.role.shown}` : ""}` : one.sentence || one.shown || nameOf(one));
  }
  function clear() {
    chosen = null;
    state.on = [];
    show();
    tell("");
  }

  /* Notes, all in one list. */
  const pageNote = $("page-note");
  pageNote.addEventListener("input", () => state.note("", pageNote.value));
  function showNotes() {
    if (document.activeElement !== pageNote) pageNote.value = state.notes.get("") || "";
    cards.notes($("notes"), chosenOf);
  }

  /* What is shown: threshold, orders, search, what is chosen, pinned and folded. */
  const largest = Math.max(0, ...data.nodes.map((n) => Math.abs(n.effect)), ...data.edges.map((e) => Math.abs(e.effect)));
  const threshold = () => largest * (Number($("threshold").value) / 1000) ** 2;
  const roleOf = (node) => node.about ? node.about.role.shown : "";
  function picked() {
    if (!chosen || chosen.kind === "dropped") return null;
    if (chosen.kind === "group") return new Set(folds.groups[chosen.index].nodes.flatMap((i) => edgesOf[i]));
    return new Set(chosen.kind === "node" ? edgesOf[chosen.index] : [chosen.index]);
  }
  function near() {
    if (!chosen) return null;
    if (chosen.kind === "node") return new Set([chosen.index]);
    if (chosen.kind === "group") return new Set(folds.groups[chosen.index].nodes);
    return new Set(partOf(chosen).components.map((name) => nodeOf.get(name)));
  }
  function refresh() {
    const least = threshold() * (1 - 1e-9), folded = folds.apply(), edges = picked(), around = near();
    const orders = new Set([...document.querySelectorAll("#orders input:checked")].map((box) => Number(box.value)));
    const words = wordsOf($("search").value);
    const found = (node) => matches(words, node.name, node.kind, node.word, roleOf(node), `layer${node.layer} `);
    const foundEdge = (edge) => matches(words, nameOf(edge), edge.label) || edge.components.some((name) => nodeOf.has(name) && found(data.nodes[nodeOf.get(name)]));
    const visible = data.edges.map((edge) => Math.abs(edge.effect) >= least && orders.has(edge.components.length));
    const isChosen = (kind, i) => Boolean(chosen && chosen.kind === kind && chosen.index === i);
    const linkedTo = new Set([...(edges || [])].flatMap((e) => data.edges[e].components));
    data.edges.forEach((edge, i) => {
      const mark = edgeMarks.get(i), label = labels.get(i);
      const dim = (edges && !edges.has(i)) || (words.length > 0 && !foundEdge(edge));
      for (const one of label ? [mark, label] : [mark]) {
        one.classList.toggle("off", !visible[i]);
        one.classList.toggle("folded", folded.edges.has(i));
        one.classList.toggle("dim", Boolean(dim));
      }
      mark.classList.toggle("chosen", isChosen("edge", i));
      mark.setAttribute("tabindex", visible[i] && !folded.edges.has(i) ? "0" : "-1");
      const wanted = data.with_effects && (edge.interval || $("estimates").checked);
      if (label) label.classList.toggle("quiet", !wanted && !(edges && edges.has(i)));
    });
    data.nodes.forEach((node, i) => {
      const mark = nodeMarks.get(i), linked = edgesOf[i].some((e) => visible[e]);
      const close = !around || around.has(i) || linkedTo.has(node.name);
      const searched = words.length === 0 || found(node) || edgesOf[i].some((e) => visible[e] && matches(words, nameOf(data.edges[e]), data.edges[e].label));
      mark.classList.toggle("off", Math.abs(node.effect) < least && !linked);
      mark.classList.toggle("folded", folded.nodes.has(i));
      mark.classList.toggle("dim", !close || !searched);
      mark.classList.toggle("chosen", isChosen("node", i));
      mark.classList.toggle("pinned", state.pins.has(node.name));
    });
    heat.refresh(around, state.pins);
    document.querySelectorAll("tr[data-kind]").forEach((tr) => {
      const index = Number(tr.dataset.index), kind = tr.dataset.kind, one = lists[kind][index];
      tr.hidden = words.length > 0 && !(kind === "node" ? found(one) : foundEdge(one));
      tr.classList.toggle("chosen", isChosen(kind, index));
    });
    document.querySelectorAll("#groups input").forEach((box) => { box.checked = state.folded.has(folds.groups[Number(box.value)].name); });
    $("threshold-value").textContent = threshold().toFixed(data.places);
    $("count").textContent = say("circuit.shown", { n: visible.filter(Boolean).length, all: data.edges.length });
  }

  /* Choosing, by mouse and by keyboard. */
  function chooseMark(mark) {
    if (mark.dataset.node !== undefined) choose("node", Number(mark.dataset.node));
    else choose("edge", Number(mark.dataset.edge));
  }
  function beside(target) {
    const box = target.closest("[data-group]");
    if (box) choose("group", folds.groupOf(box));
    return Boolean(target.closest("[data-group], .folds"));
  }
  cx.choosing([svg], ".node, .edge", view, { choose: chooseMark, clear, isChosen: () => chosen, searched: refresh, beside });
  document.querySelectorAll("tr[data-kind]").forEach((tr) => tr.querySelector("button.link").addEventListener("click", () => choose(tr.dataset.kind, Number(tr.dataset.index), true)));
  document.querySelectorAll("button[data-node]").forEach((button) => button.addEventListener("click", () => choose("node", Number(button.dataset.node), true)));
  document.querySelectorAll("#groups input").forEach((box) => box.addEventListener("input", () => state.toggle(state.folded, folds.groups[Number(box.value)].name)));
  document.querySelectorAll("#groups button").forEach((button) => button.addEventListener("click", () => choose("group", Number(button.value))));
  for (const id of ["threshold", "estimates"]) $(id).addEventListener("input", refresh);
  document.querySelectorAll("#orders input").forEach((box) => box.addEventListener("input", refresh));
  const heatSize = heat.svg && { width: Number(heat.svg.getAttribute("width")), height: Number(heat.svg.getAttribute("height")) };
  cx.downloads(data, state, { diagram: { svg, size: full }, "heat-map": { svg: heat.svg, size: heatSize } }, tell);
  chosen = chosenOf(state.on);
  show();
})();

/* The page of a circuit of edges: what is chosen in one place is shown in all, with the paths through it. Components of
   the circuit ("node") are edges of the model here, and its edges ("edge") are interactions among these. */
(() => {
  const { say, sayWith, element, para, part, matches, wordsOf } = cx;
  const { row, table, sign } = cx.cells;
  const data = JSON.parse(document.getElementById("data").textContent);
  data.attended ??= data.prompts;
  const $ = (id) => document.getElementById(id);
  const canvas = $("diagram"), panel = $("panel"), svg = canvas.querySelector("svg");
  const full = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  const byIndex = (marks, key) => new Map([...svg.querySelectorAll(marks)].map((g) => [Number(g.dataset[key]), g]));
  const marks = { node: byIndex(".node", "node"), edge: byIndex(".edge", "edge"), part: byIndex(".part", "part") };
  const labels = { node: byIndex(".label", "node"), edge: byIndex(".label[data-edge]", "edge") };
  const frames = [...svg.querySelectorAll(".frame")];
  const nodeOf = new Map(data.nodes.map((node, i) => [node.name, i]));
  const edgesOf = data.nodes.map(() => []);
  data.edges.forEach((edge, i) => edge.components.forEach((name) => edgesOf[nodeOf.get(name)].push(i)));
  const strength = data.nodes.map((_, i) => i).sort((a, b) => Math.abs(data.nodes[b].effect) - Math.abs(data.nodes[a].effect) || a - b);
  const place = new Array(data.nodes.length);
  strength.forEach((i, at) => { place[i] = at; });
  const inOrder = (names) => [...names].sort((a, b) => (nodeOf.get(a) ?? Infinity) - (nodeOf.get(b) ?? Infinity));
  cx.prepareMarks(svg);
  canvas.style.setProperty("--needed", `${Math.ceil(full.height * Math.min(1.35, canvas.clientWidth / full.width)) + 24}px`);
  const view = cx.panZoom([{ canvas, svg }], data.focus);
  const lists = { node: data.nodes, edge: data.edges, dropped: data.dropped, part: data.parts.map(([name, kind, layer]) => ({ name, kind, layer })) };
  let chosen = null; // {kind: "node" | "edge" | "dropped" | "part", index}

  const state = cx.makeState(data, () => { chosen = chosenOf(state.on); show(); });
  const ui = { data, state, closed: new Set(), setPrompt, noted: showNotes };
  const cards = cx.makeCards(data, ui, { choose, clear, inOrder, nodeOf }), { nameOf, head, noteOf } = cards;
  ui.nameLink = cards.nameLink;
  const tell = (text) => { $("said").textContent = text; };
  const first = data.parts.findIndex(([, kind]) => kind === "embeddings"), last = data.parts.findIndex(([, kind]) => kind === "logits");

  function chosenOf(on) {
    if (on.length === 1) return { kind: "node", index: nodeOf.get(on[0]) };
    for (const kind of on.length ? ["edge", "dropped"] : []) {
      const index = lists[kind].findIndex((edge) => edge.components.join("\n") === on.join("\n"));
      if (index >= 0) return { kind, index };
    }
    return null;
  }
  function setPrompt(index) {
    state.prompt = index;
    show();
  }

  /* How many of the edges are shown, the strongest first; few steps for many, single ones for few. */
  const top = () => Math.max(1, Math.round(data.nodes.length * (Number($("top").value) / 1000) ** 2));
  const isShown = (i) => place[i] < top();
  function pathsNow() {
    const links = data.ends.map(([source, target], i) => [source, target, i]).filter(([, , i]) => isShown(i));
    return cx.paths(data.parts.length, [...links, ...data.feeds], first, last);
  }
  function lit() {
    if (!chosen || chosen.kind === "dropped") return null;
    const link = (i) => [...data.ends[i].slice(0, 2), i], own = chosen.kind === "node" ? [chosen.index] : chosen.kind === "edge" ? data.edges[chosen.index].components.map((name) => nodeOf.get(name)) : [];
    const found = pathsNow().through(chosen.kind === "part" ? [chosen.index] : [], own.filter(isShown).map(link));
    for (const i of own) { found.edges.add(i); found.parts.add(data.ends[i][0]).add(data.ends[i][1]); }
    if (chosen.kind === "part") found.parts.add(chosen.index);
    return found;
  }
  const many = (count) => count < 1e6 ? count.toLocaleString("en") : say("edges.about", { count: count.toExponential(1).replace("e+", " × 10^") });
  function pathsSaid(what) {
    const found = lit(), some = top() < data.nodes.length, values = { n: found.many, count: many(found.many), part: what };
    if (!found.many) return para(some ? say("edges.no_path_shown", { part: what }) : say("edges.no_path", { part: what }));
    return para(some ? say("edges.paths_shown", values) : say("edges.paths", values));
  }

  /* The panel. */
  const partLink = (index) => cards.link(data.parts[index][0], "part", index);
  function nodeCard(node, index) {
    const [source, target, port] = data.ends[index];
    const ends = { source: partLink(source), target: partLink(target) };
    const way = { q: () => sayWith("edges.from_to_q", ends), k: () => sayWith("edges.from_to_k", ends), v: () => sayWith("edges.from_to_v", ends) }[port] || (() => sayWith("edges.from_to", ends));
    return [head(node.name, say("edges.edge_card"), cards.pinButton(node.name)), ...cards.amount(node),
      element("p", { class: "ends" }, ...way()),
      para(say("edges.number", { place: place[index] + 1, all: data.nodes.length })), pathsSaid(say("edges.it")), ...cards.perPrompt(node),
      cards.interactionsOf(node.name, edgesOf[index]), part(say("page.decoded"), ui, element("p", {}, node.decoded), ...cards.rate(node)), noteOf(node.name, node.name)];
  }
  function partCard({ name, kind, layer }, index) {
    const listed = (title, mine) => part(mine.length ? `${title} (${mine.length})` : say("edges.none_of", { title }), ui, ...(mine.length ? [element("div", { class: "list", tabindex: "0", role: "region", "aria-label": title }, table([say("card.edge"), say("card.effect"), say("card.interval")], mine.map((i) => row(cards.nameLink(data.nodes[i].name), sign(data.nodes[i], data.nodes[i].value), data.nodes[i].shown || say("page.est")))))] : []));
    const feeds = data.feeds.filter((pair) => pair.includes(index));
    const heads = element("span", {}, ...feeds.map(([shared, one]) => partLink(kind === "shared" ? one : shared)));
    const shares = feeds.length ? [element("p", { class: "ends" }, ...(kind === "shared" ? sayWith("edges.read_by", { heads }) : sayWith("edges.reads_shared", { heads })))] : [];
    const mine = (end) => strength.filter((i) => data.ends[i][end] === index);
    return [head(name, layer === null ? data.part_words[kind] : say("card.kind_in_layer", { kind: data.part_words[kind], layer })), pathsSaid(name), ...shares,
      ...(kind === "embeddings" ? [] : [listed(say("edges.edges_into"), mine(1))]), ...(kind === "logits" || kind === "shared" ? [] : [listed(say("edges.edges_from"), mine(0))])];
  }
  const nothing = () => [element("h3", {}, say("page.details")), element("p", { class: "muted" }, data.nodes.length ? say("edges.choose") : say("circuit.empty"))];
  function show() {
    const one = chosen && lists[chosen.kind][chosen.index], focused = panel.contains(document.activeElement);
    const card = !one ? nothing() : chosen.kind === "node" ? nodeCard(one, chosen.index) : chosen.kind === "part" ? partCard(one, chosen.index) : cards.interactionCard(one, chosen.kind, { alone: say("card.edges_alone"), one: say("card.edge") });
    panel.replaceChildren(...cards.pins(), ...card);
    panel.classList.toggle("open", Boolean(one));
    document.body.classList.toggle("with-card", Boolean(one));
    if (focused) panel.focus({ preventScroll: true });
    refresh();
    showNotes();
    state.write();
  }
  function choose(kind, index, reveal = false) {
    chosen = { kind, index };
    const one = lists[kind][index];
    state.on = kind === "part" ? [] : kind === "node" ? [one.name] : one.components;
    show();
    panel.scrollTop = 0;
    const mark = marks[kind]?.get(index);
    if (reveal && mark) view.reveal(mark);
    tell(kind === "node" ? `${one.name}: ${one.value}` : kind === "part" ? one.name : one.sentence || nameOf(one));
  }
  function clear() {
    chosen = null;
    state.on = [];
    show();
    tell("");
  }
  const pageNote = $("page-note");
  pageNote.addEventListener("input", () => state.note("", pageNote.value));
  function showNotes() {
    if (document.activeElement !== pageNote) pageNote.value = state.notes.get("") || "";
    cards.notes($("notes"), chosenOf);
  }

  /* What is shown: the strongest, what is searched, the paths through what is chosen. */
  function refresh() {
    const words = wordsOf($("search").value), bright = lit(), arcs = !$("arcs") || $("arcs").checked;
    const layerOf = (index) => data.parts[index][2] === null ? "" : `layer${data.parts[index][2]} `;
    const found = (i) => matches(words, data.nodes[i].name, layerOf(data.ends[i][0]), layerOf(data.ends[i][1]));
    const foundEdge = (edge) => matches(words, nameOf(edge), edge.label) || edge.components.some((name) => nodeOf.has(name) && found(nodeOf.get(name)));
    const isChosen = (kind, i) => Boolean(chosen && chosen.kind === kind && chosen.index === i);
    const at = new Set(), searched = new Set();
    data.nodes.forEach((node, i) => {
      const off = !isShown(i) && !isChosen("node", i), hit = words.length === 0 || found(i);
      const dim = (bright && !bright.edges.has(i)) || !hit;
      if (!off) at.add(data.ends[i][0]).add(data.ends[i][1]);
      if (!off && hit) searched.add(data.ends[i][0]).add(data.ends[i][1]);
      for (const mark of [marks.node.get(i), labels.node.get(i)]) {
        mark?.classList.toggle("off", off);
        mark?.classList.toggle("dim", Boolean(dim));
      }
      marks.node.get(i).classList.toggle("chosen", isChosen("node", i));
      marks.node.get(i).classList.toggle("pinned", state.pins.has(node.name));
      marks.node.get(i).setAttribute("tabindex", off ? "-1" : "0");
    });
    data.edges.forEach((edge, i) => {
      const members = edge.components.map((name) => nodeOf.get(name));
      const off = !isChosen("edge", i) && (!arcs || !members.every(isShown));
      const near = !bright || isChosen("edge", i) || (chosen.kind === "node" && members.includes(chosen.index)) || (chosen.kind === "part" && members.some((one) => data.ends[one].slice(0, 2).includes(chosen.index)));
      for (const mark of [marks.edge.get(i), labels.edge.get(i)]) {
        mark?.classList.toggle("off", off);
        mark?.classList.toggle("dim", !near || (words.length > 0 && !foundEdge(edge)));
      }
      marks.edge.get(i).classList.toggle("chosen", isChosen("edge", i));
      marks.edge.get(i).setAttribute("tabindex", off ? "-1" : "0");
    });
    data.parts.forEach((_, i) => {
      const mark = marks.part.get(i);
      mark.classList.toggle("off", !at.has(i) && !isChosen("part", i));
      mark.classList.toggle("dim", (bright && !bright.parts.has(i)) || (words.length > 0 && !searched.has(i)));
      mark.classList.toggle("chosen", isChosen("part", i));
    });
    frames.forEach((frame, i) => frame.classList.toggle("off", !data.frames[i].some((one) => at.has(one))));
    document.querySelectorAll("tr[data-kind]").forEach((tr) => {
      const index = Number(tr.dataset.index), kind = tr.dataset.kind;
      tr.hidden = words.length > 0 && !(kind === "node" ? found(index) : foundEdge(lists[kind][index]));
      tr.classList.toggle("chosen", isChosen(kind, index));
    });
    const count = Math.min(top(), data.nodes.length);
    $("top-value").textContent = data.nodes.length ? String(count) : "0";
    $("count").textContent = say("edges.shown", { n: count.toLocaleString("en"), all: data.nodes.length.toLocaleString("en"), paths: many(pathsNow().all) });
  }

  /* Choosing, by mouse and by keyboard. */
  const kindOf = (mark) => ["part", "node", "edge"].find((kind) => mark.classList.contains(kind));
  const chooseMark = (mark) => choose(kindOf(mark), Number(mark.dataset[kindOf(mark)]));
  cx.choosing([svg], ".part, .node, .edge", view, { choose: chooseMark, clear, isChosen: () => chosen, searched: refresh });
  document.querySelectorAll("tr[data-kind]").forEach((tr) => tr.querySelector("button.link").addEventListener("click", () => choose(tr.dataset.kind, Number(tr.dataset.index), true)));
  $("top").addEventListener("input", () => chosen ? show() : refresh());
  $("arcs")?.addEventListener("input", refresh);
  cx.downloads(data, state, { diagram: { svg, size: full } }, tell);
  chosen = chosenOf(state.on);
  show();
})();

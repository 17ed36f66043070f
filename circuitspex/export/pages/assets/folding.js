/* Groups of components: each can be folded into one box in the diagram, to which the interactions of its members lead. */
(() => {
  const { say, element, drawn, para } = cx;

  function folding(svg, data, choose, state) {
    const place = new Map(data.nodes.map((node, i) => [node.name, i]));
    const groups = data.groups.map((group) => ({ ...group, nodes: group.members.map((name) => place.get(name)).filter((i) => i !== undefined) }));
    const layer = drawn("g", { class: "folds" });
    const outlines = [...svg.querySelectorAll("[data-group]")].map((mark) => ({ mark, group: groups[mark.dataset.group.charCodeAt(0) - 65] }));
    for (const { mark, group } of outlines) mark.prepend(drawn("title", {}, group.shown));
    if (groups.length) svg.append(layer);

    /* Draws the folded groups; the answer is which nodes and edges their boxes stand for. */
    function apply() {
      const at = new Map(), nodes = new Set(), edges = new Set(), boxes = [], lines = [], between = new Map();
      for (const group of groups.filter((each) => state.folded.has(each.name) && each.nodes.length)) {
        const middle = [0, 1].map((axis) => group.nodes.reduce((sum, i) => sum + data.nodes[i].at[axis], 0) / group.nodes.length);
        for (const i of group.nodes) { nodes.add(i); at.set(i, middle); }
        boxes.push(box(group, middle));
      }
      data.edges.forEach((edge, index) => {
        const members = edge.components.map((name) => place.get(name));
        if (!members.some((i) => nodes.has(i))) return;
        edges.add(index);
        const ends = [...new Map(members.map((i) => at.get(i) || data.nodes[i].at).map((end) => [end.join(), end])).values()];
        const key = ends.map(String).sort().join(" "), before = between.get(key) || 0; // several between the same two: side by side
        between.set(key, before + 1);
        if (ends.length > 1) lines.push(line(edge, index, ends, (before % 2 ? -1 : 1) * Math.ceil(before / 2)));
      });
      for (const { mark, group } of outlines) mark.classList.toggle("folded", state.folded.has(group.name));
      layer.replaceChildren(...lines, ...boxes);
      return { nodes, edges };
    }
    function button(made, act, said) {
      for (const [key, value] of [["role", "button"], ["tabindex", "0"], ["aria-label", said]]) made.setAttribute(key, value);
      made.prepend(drawn("title", {}, said));
      made.addEventListener("click", (event) => { event.stopPropagation(); act(); });
      made.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); } });
      return made;
    }
    function box(group, [x, y]) {
      const said = `${group.shown} (${group.members.length})`, width = Math.max(60, 6.4 * said.length + 16);
      const made = drawn("g", { class: "fold" },
        drawn("rect", { x: x - width / 2, y: y - 13, width, height: 26, rx: 6, fill: "var(--cx-background)", stroke: "var(--cx-text)", "stroke-width": "1.4" }),
        drawn("text", { x, y: y + 3.6, "font-size": "10", "font-weight": "650", "text-anchor": "middle", fill: "var(--cx-text)" }, said));
      return button(made, () => choose("group", groups.indexOf(group)), say("card.group_spoken", { name: group.shown, count: group.members.length, members: group.members.join(", ") }));
    }
    function line(edge, index, ends, bend) {
      const hub = [0, 1].map((axis) => ends.reduce((sum, end) => sum + end[axis], 0) / ends.length);
      const [[ax, ay], [bx, by]] = ends, size = Math.hypot(bx - ax, by - ay) || 1, off = 26 * bend / size;
      const d = ends.length === 2 ? `M${ends[0]}Q${hub[0] + off * (ay - by)},${hub[1] + off * (bx - ax)} ${ends[1]}` : ends.map((end) => `M${hub}L${end}`).join("");
      const look = { d, fill: "none", stroke: `var(--cx-${edge.effect < 0 ? "negative" : "positive"})`, "stroke-width": "2.4", ...(edge.effect < 0 ? { "stroke-dasharray": "5 3" } : {}) };
      const made = drawn("g", { class: "fold-line" }, drawn("path", { ...look, stroke: "transparent", "stroke-width": "14", class: "hit" }), drawn("path", look));
      return button(made, () => choose("edge", index), `${edge.sentence}: ${edge.value}`);
    }
    function card(group, ui) {
      const folded = state.folded.has(group.name);
      const members = [...group.nodes].sort((a, b) => data.nodes[a].rank - data.nodes[b].rank).map((i) => element("tr", {}, element("td", { class: "name" }, ui.nameLink(data.nodes[i].name)), element("td", { class: "num" }, data.nodes[i].value)));
      return [para(say("card.group_about", { count: group.members.length })), element("p", {}, element("button", { type: "button", onclick: () => state.toggle(state.folded, group.name) }, folded ? say("card.unfold") : say("card.fold"))),
        element("table", {}, element("tbody", {}, ...members))];
    }
    const groupOf = (mark) => groups.indexOf(outlines.find((each) => each.mark === mark).group);
    return { groups, apply, card, groupOf };
  }

  Object.assign(cx, { folding });
})();

/* The card of an interaction: what its components do to each other, by the metric for every on/off combination. */
(() => {
  const { element, signed, bar, rangeOf, para, part } = cx;

  /* One row for each combination: for a pair, four bars. With others masked, and beside it with all others kept. */
  function combinations(edge, ui) {
    const { places, metric, others } = ui.data;
    if (!edge.table || !edge.table.length) return [];
    const whole = edge.unablated || [];
    const heads = [...edge.components, "", "others masked", ...(whole.length ? ["others kept"] : [])].map((head, i) => element("th", { scope: "col", class: i < edge.components.length ? "" : "num", ...(head ? {} : { "aria-label": "drawn" }) }, head));
    const range = rangeOf([...edge.table, ...whole].map(([, value]) => ({ value })));
    const rows = edge.table.map(([kept, value], i) => element("tr", {},
      ...kept.map((on) => element("td", on ? {} : { class: "muted" }, on ? "● kept" : "○ ablated")),
      element("td", { class: "drawn" }, bar({ value }, range), ...(whole.length ? [bar({ value: whole[i][1], hollow: true }, range)] : [])),
      element("td", { class: "num" }, signed(value, places)),
      ...(whole.length ? [element("td", { class: "num" }, signed(whole[i][1], places))] : [])));
    return [part("Measured for every combination", ui, para(`Mean of ${metric}, averaged over ${others}${whole.length ? " (filled); and with all others kept (outlined)" : ""}.`),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Mean metric for every combination" },
        element("table", { class: "combinations" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows))))];
  }
  /* What each of two components does without the other one, and with it. */
  function conditional(edge, ui) {
    if (!edge.conditional) return [];
    const rows = edge.conditional.flatMap(([name, other, without, kept]) => [[`${name}, ${other} ablated`, without], [`${name}, ${other} kept`, kept]]);
    const cells = rows.map(([what, text]) => element("tr", {}, element("td", { class: "name" }, what), element("td", { class: "num" }, text)));
    return [part("What each does without the other, and with it", ui, element("table", {}, element("tbody", {}, ...cells)))];
  }
  function path(edge, ui) {
    if (!edge.path) return [];
    const [value, low, high] = edge.share;
    return [part("Direction", ui, element("p", {}, edge.path), cx.bars([{ name: "travels so", value, low, high }], "Share that travels along the path", { share: true, loose: true }),
      para("How much of it travels along that path, with its interval; an arrow is drawn where that is above zero."))];
  }

  Object.assign(cx, { pairParts: (edge, ui) => [...combinations(edge, ui), ...conditional(edge, ui), ...path(edge, ui)] });
})();

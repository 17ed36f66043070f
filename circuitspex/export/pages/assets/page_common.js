"use strict";
/* What the pages of a circuit and of a comparison share: marks, pan and zoom, details, sortable tables, the theme. */
const cx = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  /* The words of the page by their keys, with values in their places; of a plural the form for so many. `sayWith` is for
     elements in the places of values: it gives what to append. */
  const words = JSON.parse(document.getElementById("words").textContent);
  const form = (key, values) => Array.isArray(words[key]) ? words[key][values.n === 1 ? 0 : 1] : words[key];
  const sayWith = (key, values = {}) => form(key, values).split(/\{(\w+)\}/).map((piece, i) => i % 2 ? values[piece] : piece);
  const say = (key, values) => sayWith(key, values).join("");
  /* Text only ever goes in as text. */
  function fill(made, attributes, children) {
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "onclick") made.addEventListener("click", value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }
  const element = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const drawn = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  function signed(value, places) {
    const text = Math.abs(value).toFixed(places);
    return Number(text) === 0 ? text : (value < 0 ? "−" : "+") + text;
  }

  /* One row for each prompt: a bar from zero, and the number. */
  function promptBars(values, places, metric) {
    if (!values || !values.length) return [];
    const low = Math.min(0, ...values), high = Math.max(0, ...values), span = high - low || 1;
    const at = (x) => 100 * (x - low) / span;
    const rows = values.map((value, i) => {
      const bar = drawn("svg", { "aria-hidden": "true", class: "bar" },
        drawn("rect", { x: `${at(Math.min(value, 0))}%`, width: `${at(Math.max(value, 0)) - at(Math.min(value, 0))}%`, y: "2", height: "9", fill: `var(--cx-${value < 0 ? "negative" : "positive"})` }),
        drawn("line", { x1: `${at(0)}%`, x2: `${at(0)}%`, y1: "0", y2: "13", stroke: "var(--cx-muted)" }));
      return element("tr", {}, element("th", { scope: "row" }, String(i + 1)), element("td", { class: "drawn" }, bar), element("td", { class: "num" }, signed(value, places)));
    });
    const head = element("tr", {}, element("th", { scope: "col" }, say("page.prompt")), element("th", { scope: "col", "aria-label": say("page.drawn") }), element("th", { scope: "col", class: "num" }, say("page.effect_column")));
    const negative = values.filter((value) => value < 0).length;
    const said = say("page.prompts_below", { n: values.length, below: negative, metric });
    return [element("h4", {}, say("page.measured_on_prompts")), element("p", { class: "muted small" }, said),
      element("div", { class: "prompts", tabindex: "0", role: "region", "aria-label": say("page.effect_on_prompts") },
        element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)))];
  }

  /* A wider line to click on, and a text to hover. */
  function prepareMarks(svg) {
    for (const mark of svg.querySelectorAll(".node, .edge")) {
      const line = mark.querySelector(".line");
      if (line) {
        const hit = line.cloneNode();
        for (const [name, value] of [["class", "hit"], ["stroke", "transparent"], ["stroke-width", "14"]]) hit.setAttribute(name, value);
        hit.removeAttribute("stroke-dasharray");
        mark.prepend(hit);
      }
      mark.prepend(drawn("title", {}, mark.getAttribute("aria-label")));
    }
  }

  /* Pan and zoom: the view box follows the canvas; several canvases of one size show the same part. */
  function panZoom(panes, focus) {
    const full = { width: panes[0].svg.viewBox.baseVal.width, height: panes[0].svg.viewBox.baseVal.height };
    const seen = () => (panes.find((pane) => pane.canvas.clientWidth) || panes[0]).canvas;
    const view = { x: 0, y: 0, scale: 1 };
    function paint() {
      const canvas = seen();
      if (!canvas.clientWidth) return;
      const width = canvas.clientWidth / view.scale, height = canvas.clientHeight / view.scale;
      const keep = (at, size, part) => part >= size ? (size - part) / 2 : Math.min(Math.max(at, -40), size - part + 40);
      view.x = keep(view.x, full.width, width);
      view.y = keep(view.y, full.height, height);
      for (const pane of panes) pane.svg.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
    }
    const fitScale = () => Math.min(seen().clientWidth / full.width, seen().clientHeight / full.height, 1.6);
    function fit() {
      view.scale = fitScale();
      paint();
    }
    function start() {
      const canvas = seen();
      const wide = Math.min(canvas.clientWidth / full.width, 1.35);
      view.scale = fitScale() > 0.8 ? fitScale() : Math.max(wide, 0.5);
      const centre = focus || [full.width / 2, full.height / 2];
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
    function reveal(mark, canvas = seen()) {
      const box = canvas.getBoundingClientRect(), at = (mark.querySelector(".symbol, .joint, .line") || mark).getBoundingClientRect();
      const x = at.left + at.width / 2 - box.left, y = at.top + at.height / 2 - box.top;
      const inside = (middle, size, room) => middle - size / 2 > 20 && middle + size / 2 < room - 20;
      if (inside(x, at.width, box.width) && inside(y, at.height, box.height)) return;
      view.x += (x - box.width / 2) / view.scale;
      view.y += (y - box.height / 2) / view.scale;
      paint();
    }
    const zoomMiddle = (factor) => zoom(factor, seen().clientWidth / 2, seen().clientHeight / 2);
    const pointers = new Map();
    let moved = 0;
    for (const { canvas } of panes) {
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
        reveal(event.target, canvas);
      });
    }
    for (const name of ["pointerup", "pointercancel"]) {
      window.addEventListener(name, (event) => {
        pointers.delete(event.pointerId);
        panes.forEach((pane) => pane.canvas.classList.remove("dragging"));
      });
    }
    document.getElementById("zoom-in").addEventListener("click", () => zoomMiddle(1.25));
    document.getElementById("zoom-out").addEventListener("click", () => zoomMiddle(0.8));
    document.getElementById("zoom-fit").addEventListener("click", fit);
    panes.forEach((pane) => new ResizeObserver(paint).observe(pane.canvas));
    start();
    return { start, reveal, dragged: () => moved >= 4 };
  }

  /* Choosing a mark of a diagram by mouse and by keyboard; Escape takes back what is chosen, then what is searched.
     `beside` may take clicks beside the marks, and says whether it has. */
  function choosing(svgs, marks, view, { choose, clear, isChosen, searched, beside = () => false }) {
    for (const svg of svgs) {
      svg.addEventListener("click", (event) => {
        if (view.dragged()) return;
        const mark = event.target.closest(marks);
        if (mark) choose(mark);
        else if (!beside(event.target)) clear();
      });
      svg.addEventListener("keydown", (event) => {
        const mark = event.target.closest(marks);
        if (!mark || (event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        choose(mark);
      });
    }
    const search = document.getElementById("search");
    search.addEventListener("input", searched);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (isChosen()) clear();
      else if (search.value) { search.value = ""; searched(); }
    });
  }

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

  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  return { say, sayWith, element, drawn, signed, promptBars, prepareMarks, panZoom, choosing };
})();

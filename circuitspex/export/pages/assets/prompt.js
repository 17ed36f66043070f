/* Words and arcs answer to the pointer and the keyboard; the slider hides weak interactions. */
(() => {
  const sheet = document.getElementById("picture"), panel = document.getElementById("panel");
  const words = [...sheet.querySelectorAll(".word")], edges = [...sheet.querySelectorAll(".edge")];
  const numberOf = new Map([...sheet.querySelectorAll(".number")].map((number) => [number.dataset.index, number]));
  const rows = [...document.querySelectorAll("tr[data-kind]")], marks = [...words, ...edges];
  const hint = panel.textContent;
  const membersOf = (edge) => edge.dataset.members.split(" ");
  const rowOf = (mark) => rows.find((row) => row.dataset.kind === (mark.classList.contains("word") ? "word" : "edge") && row.dataset.index === mark.dataset.index);
  const effects = new Map(edges.map((edge) => [edge, Math.abs(Number(rowOf(edge).querySelector("[data-v]").dataset.v))]));
  const largest = Math.max(0, ...effects.values());
  let kept = null;
  for (const edge of edges) { /* a wider line to point at */
    const hit = edge.querySelector(".line").cloneNode();
    for (const [name, value] of [["class", "hit"], ["stroke", "transparent"], ["stroke-width", "12"]]) hit.setAttribute(name, value);
    hit.removeAttribute("stroke-dasharray");
    edge.prepend(hit);
  }
  function show(mark) {
    for (const one of [...marks, ...rows, ...numberOf.values()]) one.classList.remove("chosen");
    sheet.classList.toggle("some", Boolean(mark));
    if (!mark) { panel.textContent = hint; return; }
    const related = mark.classList.contains("word")
      ? edges.filter((edge) => !edge.classList.contains("off") && membersOf(edge).includes(mark.dataset.index)) : [mark];
    const touched = related.flatMap((edge) => words.filter((word) => membersOf(edge).includes(word.dataset.index)));
    for (const one of [mark, ...related, ...touched]) one.classList.add("chosen");
    for (const edge of related) numberOf.get(edge.dataset.index).classList.add("chosen");
    for (const one of [mark, ...related]) rowOf(one)?.classList.add("chosen");
    const more = mark.classList.contains("word") ? related.map((edge) => edge.getAttribute("aria-label")) : [];
    panel.textContent = [mark.getAttribute("aria-label"), ...more].join(" · ");
  }
  function keep(mark) {
    kept = kept === mark ? null : mark;
    for (const one of marks) one.setAttribute("aria-pressed", String(one === kept));
    show(kept);
  }
  for (const mark of marks) {
    mark.addEventListener("pointerenter", () => show(mark));
    mark.addEventListener("pointerleave", () => show(kept));
    mark.addEventListener("focus", () => show(mark));
    mark.addEventListener("blur", () => show(kept));
    mark.addEventListener("click", () => keep(mark));
    mark.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      keep(mark);
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && kept) keep(kept); });
  for (const row of rows) {
    const mark = marks.find((one) => rowOf(one) === row);
    if (!mark) continue;
    row.addEventListener("click", () => { keep(mark); mark.scrollIntoView({ block: "nearest", inline: "nearest" }); });
  }
  const slider = document.getElementById("threshold"), said = document.getElementById("threshold-value"), count = document.getElementById("count");
  function hide() {
    const least = largest * slider.value / 1000;
    for (const edge of edges) {
      for (const one of [edge, numberOf.get(edge.dataset.index)]) one.classList.toggle("off", effects.get(edge) < least);
    }
    said.textContent = least.toPrecision(2);
    const shown = edges.filter((edge) => !edge.classList.contains("off")).length;
    count.textContent = cx.say("prompt.shown", { n: shown, all: edges.length });
  }
  slider.addEventListener("input", hide);
  hide();
})();

/* Files that a reader takes away: pictures, circuit.json, the Python that made it, and the notes on the page. */
(() => {
  const { say, drawn } = cx;
  const MOST_PIXELS = 8192; // a side of a PNG

  function save(name, blob) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  const saveText = (name, text, type) => save(name, new Blob([text], { type }));

  /* The picture as a file of its own: whole, without what is hidden, in the colours of the page as it is. */
  function fileOf(svg, size) {
    const copy = svg.cloneNode(true), colours = getComputedStyle(document.documentElement);
    for (const mark of copy.querySelectorAll(".off, .quiet, .folded, .hit")) mark.remove();
    for (const mark of copy.querySelectorAll("[tabindex]")) mark.removeAttribute("tabindex");
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${size.width} ${size.height}`, width: size.width, height: size.height })) copy.setAttribute(name, value);
    copy.prepend(drawn("rect", { width: size.width, height: size.height, fill: "var(--cx-background)" }));
    return new XMLSerializer().serializeToString(copy).replace(/var\(--cx-([a-z]+)[^)]*\)/g, (_, name) => colours.getPropertyValue(`--cx-${name}`).trim());
  }
  async function png(text, { width, height }) {
    const scale = Math.min(2, MOST_PIXELS / Math.max(width, height)), picture = new Image();
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  /* Buttons with data-save="…" save; `pictures` are the SVG elements with their sizes, by name. */
  function downloads(data, state, pictures, tell) {
    const stem = (document.querySelector("h1").textContent.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "") || "circuit").slice(0, 80);
    const acts = {
      json: () => saveText("circuit.json", data.json, "application/json"),
      python: () => saveText("find_again.py", data.python, "text/x-python"),
      notes: () => saveText(`${stem}-notes.json`, state.toFile(), "application/json"),
    };
    for (const [name, { svg, size }] of Object.entries(pictures)) {
      if (!svg) continue;
      acts[`${name}.svg`] = () => saveText(`${stem}-${name}.svg`, fileOf(svg, size), "image/svg+xml");
      acts[`${name}.png`] = async () => save(`${stem}-${name}.png`, await png(fileOf(svg, size), size));
    }
    for (const button of document.querySelectorAll("[data-save]")) {
      const act = acts[button.dataset.save];
      if (!act) button.hidden = true;
      else button.addEventListener("click", async () => {
        try { await act(); } catch { tell(say("circuit.no_download")); }
      });
    }
    const menu = document.querySelector(".menu"); // closes by a click elsewhere, and by Escape
    document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.stopPropagation();
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    const file = document.getElementById("load");
    document.getElementById("load-notes").addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      if (!file.files.length) return;
      try { tell(state.fromFile(await file.files[0].text())); } catch (error) { tell(error.message); }
      file.value = "";
    });
    document.getElementById("copy-link").addEventListener("click", async () => {
      state.write();
      try { await navigator.clipboard.writeText(location.href); tell(say("circuit.copied")); } catch { tell(say("circuit.not_copied")); }
    });
  }

  Object.assign(cx, { downloads, pictureFile: fileOf });
})();

// The keyboard shortcuts of queue and ticket, and the photo viewer. A key clicks the element with that data-key.
// While the focus is in a text field, keys are text.

const writing = (target) => target.matches("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])");

document.addEventListener("keydown", (event) => {
  const form = document.getElementById("decision");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form) {
    event.preventDefault();
    form.requestSubmit();
    return;
  }
  if (event.key === "Escape" && writing(event.target)) event.target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || writing(event.target)) return;
  const found = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!found) return;
  event.preventDefault();
  found.click();
  if (found.type === "radio") form.elements.note.focus();
});

const viewer = document.querySelector(".viewer");
if (viewer) {
  const overlay = viewer.querySelector("vqc-overlay");
  const button = viewer.querySelector("[data-objects]");
  const status = viewer.querySelector("[role=status]:not(.overlay-status)");
  const side = viewer.querySelector(".overlay-side");
  const thumbs = [...document.querySelectorAll("a.thumb")];
  const found = new Map(); // URL of a photo → its objects
  let current = null;

  const draw = (objects) => {
    side.hidden = !objects;
    overlay.show(objects ?? {}, "norm1000");
  };
  const choose = async (thumb) => {
    current = thumb;
    const image = new Image(); // the page holds thumbnails; only the photo that a person looks at is loaded whole
    image.src = thumb.href;
    await image.decode().catch(() => {});
    if (current !== thumb || !image.naturalWidth) return;
    thumbs.forEach((one) => one.toggleAttribute("aria-current", one === thumb));
    thumb.setAttribute("aria-current", "true");
    viewer.hidden = false;
    overlay.photo(thumb.href, image.naturalWidth, image.naturalHeight);
    draw(found.get(thumb.href));
  };
  const look = async () => {
    const thumb = current;
    if (!found.has(thumb.href)) {
      status.textContent = viewer.dataset.working;
      button.disabled = true;
      try {
        const token = document.querySelector("meta[name=csrf-token]").content;
        const answer = await fetch(`${thumb.href}/objects`, { method: "POST", headers: { "X-CSRF-Token": token } });
        const body = await answer.json();
        if (!answer.ok) throw new Error(body.detail);
        found.set(thumb.href, body.caption);
        status.textContent = `${body.model.alias}`;
      } catch (error) {
        status.textContent = `${viewer.dataset.failed}: ${error.message}`;
      }
      button.disabled = false;
    }
    if (current === thumb) draw(found.get(thumb.href));
  };
  thumbs.forEach((thumb) => thumb.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(thumb);
  }));
  button?.addEventListener("click", look);
  customElements.whenDefined("vqc-overlay").then(() => choose(thumbs[0]));
}

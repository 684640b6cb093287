// A caption over its photo: shapes, list and categories. templates/overlay.html writes the element and its texts;
// overlay_shapes.js draws, overlay_view.js zooms, and this file keeps the shapes and the list in step.

import { categoryOf, crc32, entryOf, shapeOf } from "./overlay_shapes.js";
import { View } from "./overlay_view.js";

const TAG_SIZE = 13; // font size of the numbers, in screen pixels at every zoom

class Overlay extends HTMLElement {
  #objects = new Map(); // number → {shape, item, category}
  #hidden = new Set(); // categories
  #size = { width: 1000, height: 1000 };
  #view;

  connectedCallback() {
    if (this.#view) return;
    this.svg = this.querySelector("svg");
    this.shapes = this.svg.querySelector(".overlay-shapes");
    this.list = this.querySelector(".overlay-list");
    this.kinds = this.querySelector(".overlay-kinds");
    this.types = JSON.parse(this.dataset.types);
    const scaled = (pixels) => this.shapes.setAttribute("font-size", TAG_SIZE * pixels);
    this.#view = new View(this.svg, this.querySelector(".overlay-tools"), scaled);
    this.#listen();
    if (this.dataset.width) this.photo(this.dataset.src, Number(this.dataset.width), Number(this.dataset.height));
    if (this.dataset.caption) this.show(JSON.parse(this.dataset.caption));
  }

  /** Shows a photo of this size (pixels, upright) behind the shapes, unzoomed. */
  photo(src, width, height) {
    this.#size = { width, height };
    const image = this.svg.querySelector("image");
    for (const [name, value] of Object.entries({ href: src, width, height })) image.setAttribute(name, value);
    this.#view.whole(width, height);
  }

  /** Shows a caption in place of the current one; ``space`` is norm1000 or pixel. */
  show(caption, space = this.dataset.space) {
    this.#objects.clear();
    this.shapes.replaceChildren();
    this.list.replaceChildren();
    Object.values(caption).forEach((object, index) => this.add(index + 1, object, space));
    this.#count();
  }

  /** Adds one object. */
  add(n, object, space = this.dataset.space) {
    const category = object.desc.split("/", 1)[0];
    const shape = shapeOf(n, object, space, this.#size, this.#color(category));
    const item = entryOf(n, object, this.#color(category));
    this.#objects.set(n, { shape, item, category });
    const smaller = [...this.shapes.children].find((other) => Number(other.dataset.area) < Number(shape.dataset.area));
    this.shapes.insertBefore(shape, smaller ?? null); // small ones on top, where the pointer reaches them
    this.list.append(item);
    this.#count();
  }

  #color(category) {
    const known = this.types.indexOf(category);
    return `overlay-color-${known >= 0 ? known : crc32(category) % this.types.length}`;
  }

  #count() {
    const counts = new Map();
    for (const { category } of this.#objects.values()) counts.set(category, (counts.get(category) ?? 0) + 1);
    this.querySelector(".overlay-count").textContent = this.#objects.size;
    this.kinds.hidden = counts.size === 0;
    const focused = document.activeElement?.dataset?.category;
    const labels = [...counts].map(([category, count]) =>
      categoryOf(category, count, this.#color(category), !this.#hidden.has(category)),
    );
    this.kinds.replaceChildren(this.kinds.querySelector("legend"), ...labels);
    if (focused) labels.find((label) => label.firstChild.dataset.category === focused)?.firstChild.focus();
    for (const { shape, item, category } of this.#objects.values()) {
      shape.classList.toggle("overlay-off", this.#hidden.has(category));
      item.hidden = this.#hidden.has(category);
    }
  }

  #listen() {
    this.kinds.addEventListener("change", ({ target }) => {
      this.#hidden[target.checked ? "delete" : "add"](target.dataset.category);
      this.#count();
    });
    for (const place of [this.shapes, this.list]) {
      for (const name of ["pointerover", "focusin"]) place.addEventListener(name, (event) => this.#point(event));
      for (const name of ["pointerout", "focusout"]) place.addEventListener(name, () => this.#highlight(this.#focused()));
      place.addEventListener("click", (event) => this.#pin(numberAt(event)));
    }
    this.list.addEventListener("keydown", (event) => this.#step(event));
  }

  #point(event) {
    const n = numberAt(event);
    this.#highlight(n);
    const entry = event.currentTarget === this.shapes && this.#objects.get(n)?.item;
    if (!entry) return;
    const [top, bottom] = [entry.offsetTop, entry.offsetTop + entry.offsetHeight];
    if (top < this.list.scrollTop) this.list.scrollTop = top; // the list scrolls, the page stays
    if (bottom > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = bottom - this.list.clientHeight;
  }

  /** The focused entry stays highlighted when the pointer leaves. */
  #focused() {
    return this.list.contains(document.activeElement) ? Number(document.activeElement.dataset.n) : null;
  }

  /** Arrow keys move between entries and skip hidden ones. */
  #step(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const entries = [...this.list.querySelectorAll("li:not([hidden]) > button")];
    entries[entries.indexOf(document.activeElement) + by]?.focus();
  }

  #highlight(n) {
    for (const [number, { shape, item }] of this.#objects) {
      for (const part of [shape, item.firstChild]) part.classList.toggle("overlay-active", number === n);
    }
    this.shapes.classList.toggle("overlay-dimmed", this.#objects.has(n));
  }

  /** Pins or unpins the highlight of an object; one outside the view is moved to the middle. */
  #pin(n) {
    const chosen = this.#objects.get(n);
    if (chosen) this.#view.reveal(chosen.shape.querySelector(".overlay-line").getBBox());
    for (const { shape, item } of this.#objects.values()) {
      const pinned = shape === chosen?.shape && item.firstChild.getAttribute("aria-pressed") === "false";
      item.firstChild.setAttribute("aria-pressed", pinned);
      shape.classList.toggle("overlay-pinned", pinned);
    }
  }
}

function numberAt(event) {
  return Number(event.target.closest("[data-n]")?.dataset.n);
}

customElements.define("vqc-overlay", Overlay);

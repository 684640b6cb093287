// A caption over its photo: shapes, list and categories kept together. templates/overlay.html writes the element and every
// word in it; this file draws and listens. Text goes in as text only, whatever a model or a file name says.

const SVG = "http://www.w3.org/2000/svg";
const NORM = 1000;
const CLOSEST = 16; // most that the picture is enlarged
const STEP = 1.5;

class Overlay extends HTMLElement {
  #objects = new Map(); // number → {shape, item, category}
  #hidden = new Set(); // categories
  #size = { width: NORM, height: NORM };
  #view = null; // what of the photo is seen, in its pixels
  #drag = null;

  connectedCallback() {
    if (this.svg) return;
    this.svg = this.querySelector("svg");
    this.shapes = this.svg.querySelector(".overlay-shapes");
    this.list = this.querySelector(".overlay-list");
    this.kinds = this.querySelector(".overlay-kinds");
    this.types = JSON.parse(this.dataset.types);
    this.#listen();
    if (this.dataset.width) this.photo(this.dataset.src, Number(this.dataset.width), Number(this.dataset.height));
    if (this.dataset.caption) this.show(JSON.parse(this.dataset.caption));
  }

  /** Puts a photo of this size (pixels, upright) behind the shapes and shows all of it. */
  photo(src, width, height) {
    this.#size = { width, height };
    const image = this.svg.querySelector("image");
    for (const [name, value] of Object.entries({ href: src, width, height })) image.setAttribute(name, value);
    this.#look({ x: 0, y: 0, w: width, h: height });
  }

  /** Shows a whole caption in place of what was there; ``space`` is norm1000 or pixel. */
  show(caption, space = this.dataset.space) {
    this.#objects.clear();
    this.shapes.replaceChildren();
    this.list.replaceChildren();
    Object.values(caption).forEach((object, index) => this.add(index + 1, object, space));
    this.#count();
  }

  /** Adds one object. */
  add(n, object, space = this.dataset.space) {
    const points = this.#points(object, space);
    const category = object.desc.split("/", 1)[0];
    const shape = this.#shape(n, points, object, category);
    const item = this.#item(n, object, category);
    this.#objects.set(n, { shape, item, category });
    const bigger = [...this.shapes.children].find((other) => Number(other.dataset.area) < Number(shape.dataset.area));
    this.shapes.insertBefore(shape, bigger ?? null); // small ones on top, where the pointer finds them
    this.list.append(item);
    this.#count();
  }

  #points(object, space) {
    const flat = object.bbox_2d ?? object.quad ?? object.line;
    const { width, height } = this.#size;
    const [sx, sy] = space === "pixel" ? [1, 1] : [width / NORM, height / NORM];
    const points = [];
    for (let i = 0; i < flat.length; i += 2) points.push([flat[i] * sx, flat[i + 1] * sy]);
    if (!object.bbox_2d) return points;
    const [[x0, y0], [x1, y1]] = points;
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  }

  #shape(n, points, object, category) {
    const group = element("g", { class: `overlay-object ${this.#color(category)}`, role: "img", "data-n": n });
    group.dataset.area = object.line ? 0 : extent(points);
    const title = element("title");
    title.textContent = `${n} ${object.desc}`;
    const drawn = { points: points.map((point) => point.join(",")).join(" ") };
    const name = object.line ? "polyline" : "polygon";
    const [x, y] = object.line ? points[Math.floor(points.length / 2)] : points[0];
    const tag = element("text", { class: "overlay-tag", x, y, dy: "1.1em", dx: "0.3em" });
    tag.textContent = n;
    group.append(title, element(name, { ...drawn, class: "overlay-halo" }), element(name, { ...drawn, class: "overlay-line" }), tag);
    return group;
  }

  #item(n, object, category) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: `overlay-entry ${this.#color(category)}` });
    button.setAttribute("aria-pressed", "false");
    button.dataset.n = n;
    const number = document.createElement("span");
    number.className = "overlay-number";
    number.textContent = n;
    button.append(number, document.createTextNode(` ${object.desc}`));
    item.append(button);
    return item;
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
    const labels = [...counts].map(([category, count]) => this.#kind(category, count));
    const focused = document.activeElement?.dataset?.category;
    this.kinds.replaceChildren(this.kinds.querySelector("legend"), ...labels);
    if (focused) labels.find((label) => label.firstChild.dataset.category === focused)?.firstChild.focus();
    for (const { shape, item, category } of this.#objects.values()) {
      shape.classList.toggle("overlay-off", this.#hidden.has(category));
      item.hidden = this.#hidden.has(category);
    }
  }

  #kind(category, count) {
    const label = document.createElement("label");
    label.className = this.#color(category);
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", checked: !this.#hidden.has(category) });
    box.dataset.category = category;
    const swatch = document.createElement("span");
    swatch.className = "overlay-swatch";
    label.append(box, swatch, document.createTextNode(`${category} ×${count}`));
    return label;
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
    this.querySelector(".overlay-tools").addEventListener("click", (event) => {
      const way = event.target.closest("button")?.dataset.zoom;
      if (way) this.#zoom({ in: STEP, out: 1 / STEP, fit: 0 }[way]);
    });
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    this.svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.svg.addEventListener("pointerdown", (event) => this.#grab(event));
    this.svg.addEventListener("pointermove", (event) => this.#pan(event));
    for (const name of ["pointerup", "pointercancel"]) this.svg.addEventListener(name, () => (this.#drag = null));
    new ResizeObserver(() => this.#scale()).observe(this.svg);
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

  /** The entry that the keyboard is at stays lit when the pointer leaves. */
  #focused() {
    return this.list.contains(document.activeElement) ? Number(document.activeElement.dataset.n) : null;
  }

  #highlight(n) {
    for (const [number, { shape, item }] of this.#objects) {
      shape.classList.toggle("overlay-active", number === n);
      item.firstChild.classList.toggle("overlay-active", number === n);
    }
    this.shapes.classList.toggle("overlay-dimmed", this.#objects.has(n));
  }

  #pin(n) {
    if (this.#objects.has(n)) this.#reveal(this.#objects.get(n).shape);
    for (const [number, { shape, item }] of this.#objects) {
      const pinned = number === n && item.firstChild.getAttribute("aria-pressed") === "false";
      item.firstChild.setAttribute("aria-pressed", pinned);
      shape.classList.toggle("overlay-pinned", pinned);
    }
  }

  #reveal(shape) {
    const { x, y, width, height } = shape.querySelector(".overlay-line").getBBox();
    const [middleX, middleY, { x: left, y: top, w, h }] = [x + width / 2, y + height / 2, this.#view];
    const seen = middleX >= left && middleX <= left + w && middleY >= top && middleY <= top + h;
    if (!seen) this.#look({ x: middleX - w / 2, y: middleY - h / 2, w, h });
  }

  #key(event) {
    const { w, h } = this.#view;
    const moves = { ArrowLeft: [-w, 0], ArrowRight: [w, 0], ArrowUp: [0, -h], ArrowDown: [0, h] };
    const zooms = { "+": STEP, "=": STEP, "-": 1 / STEP, 0: 0 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) this.#move(...moves[event.key].map((step) => step / 8));
    else if (event.key in zooms) this.#zoom(zooms[event.key]);
    else return;
    event.preventDefault();
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== this.svg) return; // the page scrolls
    event.preventDefault();
    this.#zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.#at(event));
  }

  #grab(event) {
    if (event.button !== 0 || this.#view.w >= this.#size.width) return;
    this.#drag = this.#at(event);
    this.svg.setPointerCapture(event.pointerId);
  }

  #pan(event) {
    if (!this.#drag) return;
    const { x, y } = this.#at(event);
    this.#move(this.#drag.x - x, this.#drag.y - y);
  }

  #at({ clientX, clientY }) {
    return new DOMPoint(clientX, clientY).matrixTransform(this.svg.getScreenCTM().inverse());
  }

  #zoom(factor, about = null) {
    const { width, height } = this.#size;
    const { x, y, w, h } = this.#view;
    const at = about ?? { x: x + w / 2, y: y + h / 2 };
    const wanted = factor ? Math.min(width, Math.max(width / CLOSEST, w / factor)) : width;
    const ratio = wanted / w;
    this.#look({ x: at.x - (at.x - x) * ratio, y: at.y - (at.y - y) * ratio, w: wanted, h: (wanted * height) / width });
  }

  #move(dx, dy) {
    this.#look({ ...this.#view, x: this.#view.x + dx, y: this.#view.y + dy });
  }

  #look({ x, y, w, h }) {
    const { width, height } = this.#size;
    this.#view = { x: clamp(x, width - w), y: clamp(y, height - h), w, h };
    this.svg.setAttribute("viewBox", [this.#view.x, this.#view.y, w, h].join(" "));
    this.svg.classList.toggle("overlay-zoomed", w < width);
    this.#scale();
  }

  #scale() {
    const scale = this.svg.getScreenCTM()?.a; // tags keep their size on the screen, however near one looks
    if (scale) this.shapes.setAttribute("font-size", 13 / scale);
  }
}

function numberAt(event) {
  return Number(event.target.closest("[data-n]")?.dataset.n);
}

function element(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function extent(points) {
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  return (Math.max(...xs) - Math.min(...xs)) * (Math.max(...ys) - Math.min(...ys));
}

function clamp(value, most) {
  return Math.min(Math.max(value, 0), most);
}

/** As zlib.crc32 of the UTF-8 bytes, so that a type has the colour here that it has in scenes/overlay.py. */
function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

customElements.define("vqc-overlay", Overlay);

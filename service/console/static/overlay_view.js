// The visible part of a photo: zoom and pan by buttons, keyboard, wheel and dragging. SVG units are the photo's pixels.

const CLOSEST = 16; // largest zoom
const STEP = 1.5;
const KEYS = { "+": STEP, "=": STEP, "-": 1 / STEP, 0: 0 };
const BUTTONS = { in: STEP, out: 1 / STEP, fit: 0 };

export class View {
  #svg;
  #size = { width: 1, height: 1 };
  #seen = { x: 0, y: 0, w: 1, h: 1 };
  #drag = null;
  #scaled;

  /** ``scaled(pixels)`` is called with the number of photo pixels in one screen pixel. */
  constructor(svg, tools, scaled) {
    this.#svg = svg;
    this.#scaled = scaled;
    tools.addEventListener("click", (event) => {
      const way = event.target.closest("button")?.dataset.zoom;
      if (way) this.#zoom(BUTTONS[way]);
    });
    svg.addEventListener("keydown", (event) => this.#key(event));
    svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.#grab(event));
    svg.addEventListener("pointermove", (event) => this.#pan(event));
    for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, () => (this.#drag = null));
    new ResizeObserver(() => this.#scale()).observe(svg);
  }

  /** Shows the whole photo, which has this size. */
  whole(width, height) {
    this.#size = { width, height };
    this.#look({ x: 0, y: 0, w: width, h: height });
  }

  /** Moves a place outside the view to the middle. */
  reveal({ x, y, width, height }) {
    const [middleX, middleY, { x: left, y: top, w, h }] = [x + width / 2, y + height / 2, this.#seen];
    const seen = middleX >= left && middleX <= left + w && middleY >= top && middleY <= top + h;
    if (!seen) this.#look({ x: middleX - w / 2, y: middleY - h / 2, w, h });
  }

  #key(event) {
    const { w, h } = this.#seen;
    const moves = { ArrowLeft: [-w, 0], ArrowRight: [w, 0], ArrowUp: [0, -h], ArrowDown: [0, h] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) this.#move(...moves[event.key].map((step) => step / 8));
    else if (event.key in KEYS) this.#zoom(KEYS[event.key]);
    else return;
    event.preventDefault();
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== this.#svg) return; // the page scrolls
    event.preventDefault();
    this.#zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.#at(event));
  }

  #grab(event) {
    if (event.button !== 0 || this.#seen.w >= this.#size.width) return;
    this.#drag = this.#at(event);
    this.#svg.setPointerCapture(event.pointerId);
  }

  #pan(event) {
    if (!this.#drag) return;
    const { x, y } = this.#at(event);
    this.#move(this.#drag.x - x, this.#drag.y - y);
  }

  #at({ clientX, clientY }) {
    return new DOMPoint(clientX, clientY).matrixTransform(this.#svg.getScreenCTM().inverse());
  }

  /** Zooms by ``factor`` about a point (default: the middle); 0 shows the whole photo. */
  #zoom(factor, about = null) {
    const { width, height } = this.#size;
    const { x, y, w, h } = this.#seen;
    const at = about ?? { x: x + w / 2, y: y + h / 2 };
    const wanted = factor ? Math.min(width, Math.max(width / CLOSEST, w / factor)) : width;
    const ratio = wanted / w;
    this.#look({ x: at.x - (at.x - x) * ratio, y: at.y - (at.y - y) * ratio, w: wanted, h: (wanted * height) / width });
  }

  #move(dx, dy) {
    this.#look({ ...this.#seen, x: this.#seen.x + dx, y: this.#seen.y + dy });
  }

  #look({ x, y, w, h }) {
    const { width, height } = this.#size;
    this.#seen = { x: clamp(x, width - w), y: clamp(y, height - h), w, h };
    this.#svg.setAttribute("viewBox", [this.#seen.x, this.#seen.y, w, h].join(" "));
    this.#svg.classList.toggle("overlay-zoomed", w < width);
    this.#scale();
  }

  #scale() {
    const scale = this.#svg.getScreenCTM()?.a;
    if (scale) this.#scaled(1 / scale);
  }
}

function clamp(value, most) {
  return Math.min(Math.max(value, 0), most);
}

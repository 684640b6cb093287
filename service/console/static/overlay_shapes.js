// Draws an object of a caption over the photo and lists it. Text is inserted as text only, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const NORM = 1000;
const LANGUAGE = "zh-CN"; // of descriptions, in every language of the page

/** The object as a group of shapes at its place on a photo of this size (pixels); ``space`` is norm1000 or pixel. */
export function shapeOf(n, object, space, size, color) {
  const points = cornersOf(object, space, size);
  const group = element("g", { class: `overlay-object ${color}`, role: "img", "data-n": n });
  group.dataset.area = object.line ? 0 : extent(points);
  const title = element("title");
  title.textContent = `${n} ${object.desc}`;
  const name = object.line ? "polyline" : "polygon";
  const drawn = { points: points.map((point) => point.join(",")).join(" ") };
  const [x, y] = object.line ? points[Math.floor(points.length / 2)] : points[0];
  const tag = element("text", { class: "overlay-tag", x, y, dy: "1.1em", dx: "0.3em" });
  tag.textContent = n;
  const [halo, line] = ["overlay-halo", "overlay-line"].map((look) => element(name, { ...drawn, class: look }));
  group.append(title, halo, line, tag);
  return group;
}

/** The object as an entry of the list. */
export function entryOf(n, object, color) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  Object.assign(button, { type: "button", lang: LANGUAGE, className: `overlay-entry ${color}` });
  button.setAttribute("aria-pressed", "false");
  button.dataset.n = n;
  const number = document.createElement("span");
  number.className = "overlay-number";
  number.textContent = n;
  button.append(number, document.createTextNode(` ${object.desc}`));
  item.append(button);
  return item;
}

/** A category with its check mark, colour and count. */
export function categoryOf(category, count, color, checked) {
  const label = document.createElement("label");
  Object.assign(label, { lang: LANGUAGE, className: color });
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", checked });
  box.dataset.category = category;
  const swatch = document.createElement("span");
  swatch.className = "overlay-swatch";
  label.append(box, swatch, document.createTextNode(`${category} ×${count}`));
  return label;
}

/** Equals zlib.crc32 of the UTF-8 bytes, so that a type has the same colour here and in scenes/overlay.py. */
export function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function cornersOf(object, space, { width, height }) {
  const flat = object.bbox_2d ?? object.quad ?? object.line;
  const [sx, sy] = space === "pixel" ? [1, 1] : [width / NORM, height / NORM];
  const points = [];
  for (let i = 0; i < flat.length; i += 2) points.push([flat[i] * sx, flat[i + 1] * sy]);
  if (!object.bbox_2d) return points;
  const [[x0, y0], [x1, y1]] = points;
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
}

function extent(points) {
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  return (Math.max(...xs) - Math.min(...xs)) * (Math.max(...ys) - Math.min(...ys));
}

function element(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Try it: each dropped photo becomes a card; its caption is requested and shown object by object.
// File names and answers are untrusted: they are inserted as text only, never as HTML.

import { events } from "./events.js";

const AT_ONCE = 2; // concurrent requests
const root = document.getElementById("try");
const words = JSON.parse(root.dataset.words);
const input = document.getElementById("photos");
const mission = document.getElementById("mission");
const results = document.getElementById("results");
const waiting = [];
let running = 0;

/** The picture behind a URL, null if the browser cannot decode it. */
async function decoded(url) {
  const image = new Image();
  image.src = url;
  return image.decode().then(() => image, () => null);
}

class Result {
  #answer = null;

  constructor(file) {
    this.file = file;
    this.url = URL.createObjectURL(file);
    this.stopped = new AbortController();
    this.card = document.getElementById("result").content.firstElementChild.cloneNode(true);
    this.#part("name").textContent = file.name;
    this.#part("remove").addEventListener("click", () => this.#remove());
    this.card.addEventListener("click", ({ target }) => target.dataset.copies && this.#copy(target));
    results.prepend(this.card);
    this.overlay = this.card.querySelector("vqc-overlay");
    this.overlay.hidden = true;
    this.#state("waiting");
  }

  async run() {
    if (this.stopped.signal.aborted) return;
    this.#state("running");
    try {
      await this.#show();
      if (this.file.size > Number(root.dataset.maxBytes)) throw new Problem({ type: "body-too-large" });
      const response = await this.#post("caption", { photo: this.file }, "text/event-stream");
      for await (const [name, data] of events(response.body)) this.#receive(name, data);
      if (!this.#answer) throw new Problem({ type: "offline" });
      await this.line();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Requests the line for the selected mission. */
  async line() {
    const line = this.#part("line");
    line.hidden = !mission?.value || !this.#answer;
    if (line.hidden) return;
    const text = line.querySelector(".try-line-text");
    text.textContent = words.asking;
    const requested = mission.value;
    let found;
    try {
      const response = await this.#post("stage-a", { photos: this.file, mission: requested }, "application/json");
      const [photo] = (await response.json()).photos;
      found = photo.summary ?? sentence(photo.problem);
    } catch (error) {
      found = sentence(problemOf(error));
    }
    if (mission.value === requested) text.textContent = found;
  }

  /** Shows the photo, or a picture by the service where browsers show none or not upright: HEIC, turned WebP. */
  async #show() {
    const foreign = /webp|hei[cf]/i.test(`${this.file.type} ${this.file.name}`);
    let image = foreign ? null : await decoded(this.url);
    if (!image && this.file.size <= Number(root.dataset.maxBytes)) {
      const response = await this.#post("picture", { photo: this.file }, "image/*").catch(() => null);
      if (!response) return; // the request for the caption reports the error
      URL.revokeObjectURL(this.url);
      this.url = URL.createObjectURL(await response.blob());
      image = await decoded(this.url);
    }
    if (!image) return;
    this.overlay.photo(this.url, image.naturalWidth, image.naturalHeight);
    this.overlay.hidden = false;
  }

  async #post(path, fields, accept) {
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    const token = document.querySelector('meta[name="csrf-token"]').content;
    const headers = { Accept: accept, "X-CSRF-Token": token };
    const response = await fetch(`/console/try/${path}`, { method: "POST", body, headers, signal: this.stopped.signal });
    if (!response.ok) throw new Problem(await response.json().catch(() => ({ type: "other" })));
    return response;
  }

  #receive(name, data) {
    if (name === "object") this.overlay.add(data.n, data.object, "norm1000");
    if (name === "error") throw new Problem(data);
    if (name === "done") this.#finish(data);
  }

  #finish(answer) {
    this.#answer = answer;
    this.overlay.show(answer.caption, answer.coordinates);
    this.#state("done", "ok");
    const notes = [];
    if (!Object.keys(answer.caption).length) notes.push(words.empty);
    if (answer.truncated) notes.push(words.truncated);
    if (answer.status === "repaired" && answer.notes.length) notes.push(`${words.repaired} ${answer.notes.join("; ")}`);
    this.#part("note").textContent = notes.join(" ");
    this.#part("note").hidden = !notes.length;
    this.#part("json").textContent = readable(answer);
    this.#part("curl").textContent = curl(this.file.name);
    this.#part("take").hidden = false;
  }

  #fail(error) {
    if (this.stopped.signal.aborted) return;
    const problem = problemOf(error);
    this.#state("failed", "bad");
    this.#part("problem").hidden = false;
    this.#part("problem-text").textContent = sentence(problem);
    this.#part("problem-detail").textContent = problem.detail ?? "";
    this.#part("problem").querySelector("details").hidden = !problem.detail;
  }

  async #copy(button) {
    const text = this.card.querySelector(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      getSelection().selectAllChildren(text); // no clipboard without HTTPS: the text is selected for Ctrl+C
      return;
    }
    const label = button.textContent;
    button.textContent = words.copied;
    setTimeout(() => (button.textContent = label), 1500);
  }

  #remove() {
    this.stopped.abort();
    URL.revokeObjectURL(this.url);
    this.card.remove();
    shown.delete(this);
    input.focus();
  }

  #state(name, look = "") {
    this.#part("state").textContent = words[name];
    this.#part("state").className = `tag try-state ${look}`;
    this.card.dataset.state = name;
  }

  #part(name) {
    return this.card.querySelector(`.try-${name}`);
  }
}

class Problem extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

const shown = new Set();

function problemOf(error) {
  if (error instanceof Problem) return error.problem;
  return { type: "offline", detail: String(error) };
}

function sentence(problem) {
  return words[problem.type.split(":").pop()] ?? words.other;
}

/** JSON with every list of numbers on one line. */
function readable(answer) {
  return JSON.stringify(answer, null, 2).replace(/\[\n[\s\d.,]+\]/g, (list) => list.replace(/\s+/g, " "));
}

/** The command line; the name is quoted for curl's -F and then for the shell. */
function curl(name) {
  const photo = `photo=@"${name.replace(/["\\]/g, "\\$&")}"`.replaceAll("'", `'\\''`);
  const key = root.dataset.signsIn === "yes" ? ` -H "Authorization: Bearer $VQC_KEY"` : "";
  return `curl -sS ${location.origin}/caption${key} -F '${photo}'`;
}

function take(files) {
  for (const file of files) {
    const result = new Result(file);
    shown.add(result);
    waiting.push(result);
  }
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    waiting.shift().run().finally(() => {
      running -= 1;
      next();
    });
  }
}

input.addEventListener("change", () => {
  take([...input.files]);
  input.value = ""; // so that the same photo can be chosen again
});
mission?.addEventListener("change", () => shown.forEach((result) => result.line()));

const drop = root.querySelector(".try-drop");
for (const name of ["dragover", "drop"]) {
  // anywhere on the page: a photo dropped beside the field must not replace the page
  addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.toggle("try-over", name === "dragover");
    if (name === "drop") take([...event.dataTransfer.files]);
  });
}
addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("try-over"));

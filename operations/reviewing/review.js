
"use strict";
(() => {
  const POLL_MS = 5000;
  const AHEAD = 2;
  const SMALL = 256; // pixels of the longer side, below which pixels are not smoothed
  const MOST_TIMES = 8; // that a small picture is enlarged
  const element = (id) => document.getElementById(id);
  const review = element("review");
  const client = crypto.randomUUID();
  const images = new Map(); // by picture id: preloaded
  let current = null; // the picture on the page
  let canBeNeither = false;
  let held = 0; // pictures that this page has
  let busy = false; // a request is under way, or the picture is not on the screen yet
  let polling = false;
  let epoch = 0; // increases with each action of the reviewer: an older view is not shown

  class Refused extends Error {}

  async function ask(action, fields = {}) {
    const headers = { "content-type": "application/json" };
    let answer, view;
    try {
      answer = await fetch(action, { method: "POST", headers, body: JSON.stringify({ client, ...fields }) });
      view = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
    } catch { // also where the answer was cut off
      throw new Refused("The server does not answer. Start it again with “python -m operations.review”, and open"
        + " the address that it prints. Your decisions are written.");
    }
    if (answer.status === 404) {
      throw new Refused("This address is no longer valid: open the newest one that “python -m operations.review” printed.");
    }
    if (!answer.ok) {
      throw new Refused(`That did not work: ${view.error ?? answer.statusText}. Try again.`);
    }
    return view;
  }

  // ------------------------------------------------------------------ the view
  const percent = (fraction) => `${(100 * fraction).toFixed(1)} %`;

  function preload(picture) {
    if (!images.has(picture.id)) {
      const image = new Image();
      image.src = `pictures/${encodeURIComponent(picture.id)}`;
      image.alt = `Picture ${picture.key}, ${picture.width} by ${picture.height} pixels. ${guessText(picture)}`;
      image.style.maxWidth = `${MOST_TIMES * picture.width}px`;
      image.style.maxHeight = `${MOST_TIMES * picture.height}px`;
      image.classList.toggle("small", Math.max(picture.width, picture.height) < SMALL);
      images.set(picture.id, image);
    }
    return images.get(picture.id);
  }

  function guessText(picture) {
    if (picture.guess === null) return "The model’s guess is unknown.";
    const confidence = picture.confidence === null ? "" : `, confidence ${percent(picture.confidence)}`;
    const threshold = picture.threshold === null ? "" : ` (threshold ${percent(picture.threshold)})`;
    return `The model’s guess: ${picture.guess}${confidence}${threshold}.`;
  }

  // Change everything at once, when the picture is loaded: until then keys do nothing.
  async function showPicture(picture) {
    const shown = picture && (picture.problem ? problem(picture) : await loaded(picture));
    const isVisible = shown instanceof HTMLImageElement;
    current = picture;
    canBeNeither = isVisible || Boolean(picture?.permanent);
    element("frame").hidden = !picture;
    element("nothing").hidden = Boolean(picture);
    element("answers").replaceChildren(...(isVisible ? picture.classes.map(answerButton) : []));
    element("picture").replaceChildren(...(picture ? [shown] : []));
    if (!picture) return;
    element("guess").textContent = guessText(picture);
    element("place").textContent = `${picture.key} · queued ${picture.sent.slice(0, 16).replace("T", " ")} UTC`;
  }

  async function loaded(picture) {
    const image = preload(picture);
    try {
      await image.decode();
      return image;
    } catch {
      images.delete(picture.id);
      return notice("It could not be loaded. Reload this page, or skip it.");
    }
  }

  // A decision is final, so it must wait while another reviewer, or a later one, may see the picture.
  function problem(picture) {
    return notice(picture.problem + (picture.permanent
      ? ` Choose “${review.dataset.neither}”, or skip it.` : " Skip it, and inform the operators of this workflow."));
  }

  const notice = (text) => make("p", `The picture cannot be shown. ${text}`);

  function make(tag, text = "", className = "") {
    const made = document.createElement(tag);
    made.textContent = text;
    made.className = className;
    return made;
  }

  function answerButton({ name, probability }, position) {
    const button = make("button");
    button.type = "button";
    if (position < 9) {
      button.setAttribute("aria-keyshortcuts", position + 1);
      button.append(make("kbd", position + 1), " ");
    }
    button.append(make("span", name));
    if (probability !== null) {
      const bar = make("span", "", "share");
      bar.style.width = `${100 * probability}%`;
      button.append(" ", make("span", percent(probability), "probability"), bar);
    }
    onClick(button, () => decide(name));
    return button;
  }

  async function show(view) {
    held = view.pictures.length;
    const wanted = new Set(view.pictures.map((picture) => picture.id));
    for (const id of images.keys()) if (!wanted.has(id)) images.delete(id);
    for (const picture of view.pictures) if (!picture.problem) preload(picture);
    const first = view.pictures[0] ?? null;
    if (first?.id !== current?.id || !first) await showPicture(first);
    const left = view.waiting === null ? null : view.waiting + view.pictures.length;
    element("left").textContent = left === null ? "" : `About ${left} left`
      + (view.put_off ? `, and ${view.put_off} skipped or on other pages.` : ".");
    element("waiting").textContent = "No pictures wait. This page checks again every few seconds.";
    element("undo-text").textContent = view.undo ? `undo ${view.undo.label ?? "skip"}` : "undo";
    element("undo").setAttribute("aria-disabled", String(!view.undo));
    element("neither").setAttribute("aria-disabled", String(!canBeNeither));
    element("skip").setAttribute("aria-disabled", String(!first));
    review.dataset.views = Number(review.dataset.views ?? 0) + 1;
  }

  // An error stays until a request by the same succeeds: `by` is the reviewer, or the page.
  function showError(error, by) {
    if (error !== null && !(error instanceof Refused)) throw error;
    const box = element("error");
    if (error === null && box.dataset.by && box.dataset.by !== by) return;
    box.hidden = error === null;
    box.textContent = error?.message ?? "";
    box.dataset.by = error === null ? "" : by;
  }

  // ------------------------------------------------------------------ actions of the reviewer
  async function act(action, fields) {
    if (busy) return;
    busy = true;
    epoch += 1;
    try {
      const view = await ask(action, fields);
      await show(view);
      element("note").textContent = view.note;
      showError(null, "reviewer");
    } catch (error) {
      showError(error, "reviewer");
    } finally {
      epoch += 1;
      busy = false;
      review.dataset.acts = Number(review.dataset.acts ?? 0) + 1;
    }
    poll();
  }

  const decide = (answer) => current && act("decide", { picture: current.id, answer });

  // The second click of a double click would decide the next picture unseen.
  function onClick(button, action) {
    button.addEventListener("click", (event) => { if (event.detail < 2) action(); });
  }

  onClick(element("neither"), () => canBeNeither && decide(review.dataset.neither));
  onClick(element("skip"), () => current && act("skip", { picture: current.id }));
  onClick(element("undo"), () => element("undo").getAttribute("aria-disabled") !== "true" && act("undo"));

  document.addEventListener("keydown", (event) => {
    // So would a key that is held down, also as clicks on the focused button.
    if (event.repeat && ["Enter", " "].includes(event.key)) event.preventDefault();
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    const buttons = { n: element("neither"), s: element("skip"), u: element("undo") };
    const answer = /^[1-9]$/.test(event.key) ? element("answers").children[event.key - 1] : null;
    (answer ?? buttons[event.key.toLowerCase()])?.click();
  });

  // ------------------------------------------------------------------ requests of the page
  async function refresh(action) {
    const before = epoch;
    try {
      const view = await ask(action);
      if (busy || before !== epoch) return;
      busy = true;
      await show(view).finally(() => { busy = false; });
      showError(null, "page");
    } catch (error) {
      showError(error, "page");
    }
  }

  // Only a visible page polls for pictures; its heartbeat keeps those that it has from others.
  async function poll() {
    if (polling || document.hidden || held >= AHEAD) return;
    polling = true;
    await refresh("poll").finally(() => { polling = false; });
  }

  setInterval(() => { if (!current) poll(); }, POLL_MS);
  setInterval(() => refresh("heartbeat"), Number(review.dataset.heartbeat));
  document.addEventListener("visibilitychange", poll);
  addEventListener("pagehide", () => {
    navigator.sendBeacon("leave", new Blob([JSON.stringify({ client })], { type: "application/json" }));
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  poll();
})();

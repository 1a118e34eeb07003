
"use strict";
(() => {
  const LOOK_AGAIN_MS = 5000;
  const AHEAD = 2;
  const SMALL = 256; // pixels of the longer side, below which single pixels are shown
  const MOST_TIMES = 8; // a small picture is enlarged: beyond, nobody can see what it shows
  const element = (id) => document.getElementById(id);
  const review = element("review");
  const client = crypto.randomUUID();
  const images = new Map(); // by picture: loaded before it is its turn
  let current = null; // the picture on the page
  let answers = []; // its classes, in the order of their keys; none of a picture that is not seen
  let canBeNeither = false;
  let held = 0; // pictures that this page has
  let busy = false; // a request is under way, or the picture is not on the screen yet
  let looking = false;
  let epoch = 0; // of what the reviewer did: an older view is not shown any more

  class Refused extends Error {}

  async function ask(action, fields = {}) {
    let answer, told;
    try {
      answer = await fetch(action, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ client, ...fields }),
      });
      const isJson = answer.headers.get("content-type")?.includes("json");
      told = isJson ? await answer.json() : {};
    } catch { // or the answer broke off
      throw new Refused("The server does not answer. Start it again with “python -m operations.review”, and open"
        + " the address that it prints. What you have decided is written.");
    }
    if (answer.status === 404) {
      throw new Refused("This address is no longer valid: open the one that “python -m operations.review” printed last.");
    }
    if (!answer.ok) {
      throw new Refused(`That did not work: ${told.error ?? answer.statusText}. Try again.`);
    }
    return told;
  }

  // ------------------------------------------------------------------ what is to be seen
  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  function preload(picture) {
    if (!images.has(picture.id)) {
      const image = new Image();
      image.src = `pictures/${encodeURIComponent(picture.id)}`;
      image.alt = `Picture ${picture.key}, ${picture.width} by ${picture.height} pixels. ${guessed(picture)}`;
      image.style.maxWidth = `${MOST_TIMES * picture.width}px`;
      image.style.maxHeight = `${MOST_TIMES * picture.height}px`;
      image.classList.toggle("small", Math.max(picture.width, picture.height) < SMALL);
      images.set(picture.id, image);
    }
    return images.get(picture.id);
  }

  function guessed(picture) {
    if (picture.guess === null) return "The model’s guess is not known.";
    const sure = picture.confidence === null ? "" : `, ${percent(picture.confidence)} sure`;
    const needed = picture.threshold === null ? "" : ` (${percent(picture.threshold)} would do)`;
    return `The model’s guess: ${picture.guess}${sure}${needed}.`;
  }

  // Everything changes at once, when the picture is there to be seen: until then no key counts.
  async function showPicture(picture) {
    const shown = picture && (picture.problem ? problem(picture) : await loaded(picture));
    const isSeen = shown instanceof HTMLImageElement;
    const classes = isSeen ? picture.classes : [];
    current = picture;
    answers = classes.map((one) => one.name);
    canBeNeither = isSeen || Boolean(picture?.for_good);
    element("frame").hidden = !picture;
    element("nothing").hidden = Boolean(picture);
    element("answers").replaceChildren(...classes.map(answerButton));
    element("picture").replaceChildren(...(picture ? [shown] : []));
    if (!picture) return;
    element("guess").textContent = guessed(picture);
    element("place").textContent = `${picture.key} · queued ${picture.sent.slice(0, 16).replace("T", " ")} UTC`;
  }

  async function loaded(picture) {
    const image = preload(picture);
    try {
      await image.decode();
      return image;
    } catch {
      images.delete(picture.id);
      return words("It could not be loaded. Reload this page, or skip it.");
    }
  }

  // A decision is for ever: not about a picture that somebody else, or a later day, can see.
  function problem(picture) {
    return words(picture.problem + (picture.for_good
      ? ` Choose “${review.dataset.neither}”, or skip it.` : " Skip it, and tell those who run this workflow."));
  }

  function words(text) {
    const paragraph = document.createElement("p");
    paragraph.textContent = `There is no picture to see. ${text}`;
    return paragraph;
  }

  function answerButton({ name, probability }, position) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.answer = name;
    if (position < 9) {
      const key = document.createElement("kbd");
      key.textContent = position + 1;
      button.setAttribute("aria-keyshortcuts", position + 1);
      button.append(key, " ");
    }
    const label = document.createElement("span");
    label.textContent = name;
    button.append(label);
    if (probability !== null) {
      const share = document.createElement("span");
      share.className = "probability";
      share.textContent = percent(probability);
      const bar = document.createElement("span");
      bar.className = "share";
      bar.style.width = `${100 * probability}%`;
      button.append(" ", share, bar);
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
      + (view.put_off ? `, and ${view.put_off} put off or with others.` : ".");
    element("waiting").textContent = "Nothing to decide now. This page looks for more every few seconds.";
    element("undo-text").textContent = view.undo ? `undo ${view.undo.label ?? "skip"}` : "undo";
    element("undo").setAttribute("aria-disabled", String(!view.undo));
    element("neither").setAttribute("aria-disabled", String(!canBeNeither));
    element("skip").setAttribute("aria-disabled", String(!first));
    review.dataset.picture = first?.id ?? "";
    review.dataset.views = Number(review.dataset.views ?? 0) + 1;
  }

  // What went wrong stays to be read until the same goes well: `by` is the reviewer, or the page.
  function trouble(error, by) {
    if (error !== null && !(error instanceof Refused)) throw error;
    const box = element("trouble");
    if (error === null && box.dataset.by && box.dataset.by !== by) return;
    box.hidden = error === null;
    box.textContent = error?.message ?? "";
    box.dataset.by = error === null ? "" : by;
  }

  // ------------------------------------------------------------------ what the reviewer does
  async function act(action, fields) {
    if (busy) return;
    busy = true;
    epoch += 1;
    try {
      const view = await ask(action, fields);
      await show(view);
      element("note").textContent = view.note;
      trouble(null, "reviewer");
    } catch (error) {
      trouble(error, "reviewer");
    } finally {
      epoch += 1;
      busy = false;
      review.dataset.acts = Number(review.dataset.acts ?? 0) + 1;
    }
    look();
  }

  const decide = (answer) => current && act("decide", { picture: current.id, answer });
  const neither = () => canBeNeither && decide(review.dataset.neither);
  const skip = () => current && act("skip", { picture: current.id });
  const undo = () => element("undo").getAttribute("aria-disabled") !== "true" && act("undo");

  // The second click of a double click would decide the next picture, which nobody has looked at.
  function onClick(button, action) {
    button.addEventListener("click", (event) => { if (event.detail < 2) action(); });
  }

  onClick(element("neither"), neither);
  onClick(element("skip"), skip);
  onClick(element("undo"), undo);

  document.addEventListener("keydown", (event) => {
    // A key that is held down would do the same, also as clicks on the button that has the focus.
    if (event.repeat && ["Enter", " "].includes(event.key)) event.preventDefault();
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase();
    const position = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
    if (position >= 0 && position < answers.length) decide(answers[position]);
    else if (key === "n") neither();
    else if (key === "s") skip();
    else if (key === "u") undo();
  });

  // ------------------------------------------------------------------ what goes on by itself
  async function refresh(action) {
    const before = epoch;
    try {
      const view = await ask(action);
      if (busy || before !== epoch) return;
      busy = true;
      try {
        await show(view);
      } finally {
        busy = false;
      }
      trouble(null, "page");
    } catch (error) {
      trouble(error, "page");
    }
  }

  // Only a page that is looked at takes pictures; the one that it has, it keeps from others.
  async function look() {
    if (looking || document.hidden || held >= AHEAD) return;
    looking = true;
    try {
      await refresh("look");
    } finally {
      looking = false;
    }
  }

  setInterval(() => { if (!current) look(); }, LOOK_AGAIN_MS);
  setInterval(() => refresh("keep"), Number(review.dataset.heartbeat));
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => {
    navigator.sendBeacon("leave", new Blob([JSON.stringify({ client })], { type: "application/json" }));
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  look();
})();

// @ts-check
// The page of the edits: what it asks the server, and what each form and button does. `shown.js` says how things look,
// `forms.js` what is asked of each kind of edit.

import { FORMS, KINDS, correctable, fieldsOf, formOf, inWords, labels, written } from "./forms.js";
import { bearing, changed, checks, counted, fine, looked, make, receipt, said, shown } from "./shown.js";

/** @typedef {import("./shown.js").Edit} Edit */
/** @typedef {import("./shown.js").Receipt} Receipt */

const ROLES = ["metrics", "read", "propose", "edit", "admin"];
const PAGE = 50;
const MOST = 1000; // of one answer
const SEEN = 2000; // characters of a file
const NEAR = 0.3; // similarity from which a search lists an edit
const LATIN = /^[\x20-\xff]*$/;
const AWAY = "The server cannot be reached; what you typed is kept.";

/** Errors that the page has words of its own for, by their type. @type {Record<string, string>} */
const WORDS = {
  authentication_error: "This key is not known.",
  UnknownEdit: "That edit is not there any more: somebody changed or decided it meanwhile. The page was loaded again.",
  RevisionMoved: "Somebody made another change meanwhile, so nothing was undone. The page was loaded again: look at the history, and undo once more if you mean that change.",
};
/** What files of another ending are. @type {Record<string, string>} */
const ENDINGS = { yml: "yaml", ndjson: "jsonl" };
const STALE = ["UnknownEdit", "RevisionMoved"];
const DECIDED = ["UnknownEdit", "aborted"]; // meanwhile, by somebody else or here

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);
const may = (/** @type {string} */ role) => ROLES.indexOf(document.body.dataset.role ?? "") >= ROLES.indexOf(role);

class Failed extends Error {
  /** @param {string} message @param {string} type */
  constructor(message, type) {
    super(message);
    this.type = type;
  }
}

/**
 * What the server answers.
 * @param {string} method @param {string} path @param {Record<string, any>} [given] @param {AbortSignal} [signal] of who no longer wants to know
 * @returns {Promise<any>}
 */
async function ask(method, path, given = {}, signal) {
  const sent = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== "" && value !== null));
  const body = method === "POST" ? JSON.stringify(sent) : undefined;
  const query = method === "POST" ? "" : `?${new URLSearchParams(sent)}`;
  const key = sessionStorage.getItem("key") ?? "";
  if (!LATIN.test(key)) throw new Failed(WORDS.authentication_error, "authentication_error"); // no header can carry it
  /** @type {Record<string, string>} */
  const headers = { authorization: `Bearer ${key}` };
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(`/memedit${path}${query}`, { method, headers, body, signal }).catch(() => {
    throw signal?.aborted ? new Failed("", "aborted") : new Failed(AWAY, "away");
  });
  if ($("said").textContent === AWAY) $("said").hidden = true;
  const value = await answer.json().catch(() => {
    throw new Failed(`The server answered ${answer.status} ${answer.statusText}, and nothing that can be read.`, "");
  });
  if (answer.ok) return value;
  const { type = "", message = answer.statusText, do: next } = value.error ?? {};
  throw new Failed(WORDS[type] ?? [message, next].filter(Boolean).join(" → "), type);
}

/** Say what went wrong, and show what there is now. @param {unknown} error */
async function failed(error) {
  const type = error instanceof Failed ? error.type : "";
  if (type === "authentication_error") leave();
  if (STALE.includes(type)) await open().catch(() => {}); // what went wrong first is what is said
  $("said").textContent = error instanceof Error ? error.message : String(error);
  $("said").hidden = false;
}

/**
 * Do something, and say what went wrong; what started it is off meanwhile, but keeps the focus. Where its card is gone,
 * the next one gets it.
 * @param {() => Promise<void>} work @param {HTMLButtonElement} [by]
 */
async function doing(work, by) {
  if (by?.ariaBusy === "true") return;
  $("said").hidden = true;
  $("done").replaceChildren();
  const list = by?.closest(".cards");
  const place = list ? [...list.children].findIndex((one) => one.contains(by ?? null)) : 0;
  if (by) by.ariaBusy = "true";
  try {
    await work();
  } catch (error) {
    await failed(error);
  } finally {
    if (by) by.ariaBusy = "false";
    const next = list?.children[Math.min(place, list.children.length - 1)];
    if (by && !by.isConnected) (next instanceof HTMLElement ? next : $("undo")).focus();
  }
}

/** Say what was done, until somebody goes on: what is typed next is not to be covered. @param {string} text @param {...Node} more */
function tell(text, ...more) {
  const close = make("button", { text: "Close", type: "button" });
  close.addEventListener("click", () => {
    $("done").replaceChildren();
    $("inside").focus();
  });
  $("done").replaceChildren(make("p", { text }), ...more, close);
}

/** Whether somebody is sure. @param {string} question @param {string} yes @param {...Node} about @returns {Promise<boolean>} */
function sure(question, yes, ...about) {
  const box = $("sure");
  $("sure-title").textContent = question;
  $("sure-about").replaceChildren(...about);
  $("sure-yes").textContent = yes;
  box.returnValue = "";
  box.showModal();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue === "yes"), { once: true }));
}

async function open() {
  const me = await ask("GET", "/me");
  $("who").textContent = `${me.name} · namespace ${me.namespace} · ${me.role} · revision ${me.revision}`;
  document.body.dataset.role = me.role;
  for (const part of document.querySelectorAll("[data-role]:not(body)")) {
    /** @type {HTMLElement} */ (part).hidden = !may(part.getAttribute("data-role") ?? "");
  }
  $("send").textContent = sends();
  $("inside").hidden = $("leave").hidden = $("parts").hidden = false;
  $("sign").hidden = true;
  await show();
}

/** Everything as it is now, and as many edits and changes as are shown already. */
async function show() {
  const known = (/** @type {string} */ id) => Math.min(MOST, Math.max(PAGE, $(id).children.length));
  await Promise.all([list(0, known("edits")), waiting(), past(known("history")), fired()]);
}

function leave() {
  sessionStorage.removeItem("key");
  $("inside").hidden = $("leave").hidden = $("parts").hidden = true;
  $("sign").hidden = false;
  $("who").textContent = "";
  $("key").focus();
}

let listing = 0;

/** What was asked for last is what is shown. @param {number} offset @param {number} limit */
async function list(offset, limit = PAGE) {
  const mine = ++listing;
  const [search, tag, kind] = ["query", "tag", "kind"].map((id) => $(id).value.trim());
  const found = await ask("GET", "/edits", { search, tag: search ? "" : tag, kind, limit, offset });
  if (mine !== listing) return;
  const near = found.edits.filter((/** @type {Edit} */ one) => !search || one.exact || (one.similarity ?? 0) >= NEAR);
  if (!offset) $("edits").replaceChildren();
  $("edits").append(...near.map(card));
  const count = $("edits").children.length;
  const far = found.found - count;
  const whole = near.length < found.edits.length || !far; // nothing is left that may be near
  $("more").hidden = whole;
  if (search) {
    const rest = far ? `; ${far} more ${whole ? "lie farther away and are not shown" : "are in force"}` : "";
    $("count").textContent = `${count || "nothing"} found for “${search}”${rest}${tag ? "; a search heeds no tag" : ""}`;
  } else if (!found.found) {
    $("count").textContent = tag || kind ? "No edit in force has this kind and tag." : "No edits are in force yet.";
  } else {
    $("count").textContent = `${count} of ${found.found}`;
  }
}

/** A button that acts on an edit. @param {string} text @param {Edit} edit @param {() => Promise<void>} work */
function button(text, edit, work) {
  const one = /** @type {HTMLButtonElement} */ (make("button", { text, type: "button", ariaLabel: `${text}: ${edit.text.slice(0, 100)}` }));
  one.addEventListener("click", () => doing(work, one));
  return one;
}

/** @param {Edit} edit */
function card(edit) {
  const { item, row } = shown(edit);
  const path = `/edits/${encodeURIComponent(edit.id)}`;
  row.append(button("Details", edit, async () => {
    const old = item.querySelector("pre");
    if (old) return old.remove();
    item.append(make("pre", { text: JSON.stringify(await ask("GET", path), null, 2), tabIndex: 0 }));
  }));
  if (!may("edit")) return item;
  if (correctable(edit)) row.append(button("Correct", edit, async () => correct(edit)));
  row.append(button("Verify", edit, async () => {
    item.querySelector(".checks")?.remove();
    const proved = await ask("POST", `${path}/verify`, { model: $("model").value });
    item.append(checks(edit, proved.checks));
  }), button("Retract", edit, async () => {
    await ask("DELETE", path);
    await open();
    tell("Retracted; “Undo last change” brings it back:", said(edit.text, "text quoted"));
  }));
  return item;
}

/** The edit whose place the next one takes. @type {?Record<string, any>} */
let corrected = null;
const sends = () => (corrected ? "Correct" : may("edit") ? "Add" : "Propose");

/** Write an edit again: what is added then takes its place. @param {?Record<string, any>} edit */
function correct(edit) {
  corrected = edit;
  const form = edit ? formOf(edit) : $("as").value;
  $("as").value = form;
  $("as").dispatchEvent(new Event("change"));
  $("statement").value = edit && !form ? edit.text : "";
  for (const field of $("fields").querySelectorAll("input")) field.value = edit?.[field.name] ?? "";
  $("tags").value = edit?.tags?.join(", ") ?? "";
  $("send").textContent = sends();
  $("replaces").replaceChildren();
  if (!edit) return;
  const leave = make("button", { text: "Leave it as it is", type: "button" });
  leave.addEventListener("click", () => {
    correct(null);
    $("as").focus();
  });
  $("replaces").append(fine("Takes the place of:"), said(edit.text, "text quoted"), leave);
  (form ? $("fields").querySelector("input") : $("statement")).focus();
}

/** What waits for approval. */
async function waiting() {
  /** @type {{edits: Edit[]}} */
  const { edits } = await ask("GET", "/proposals");
  $("review").hidden = $("to-review").hidden = !edits.length;
  const seen = edits.length > PAGE ? `; what they would replace is shown of the first ${PAGE}` : "";
  $("waiting").textContent = `${edits.length} proposed: no answer changes until they are accepted${seen}`;
  const items = edits.map((edit) => {
    const { item, row } = shown(edit);
    if (may("edit")) {
      row.append(button("Accept", edit, () => decide("accept", [edit.id])), button("Reject", edit, () => decide("reject", [edit.id])));
    }
    return item;
  });
  $("proposals").replaceChildren(...items);
  if (!edits.length || !may("edit")) return;
  foresee(items.slice(0, PAGE)).catch((error) => { // it may take a while, and nothing waits for it
    if (!DECIDED.includes(error.type)) return failed(error);
  });
}

let foreseeing = new AbortController();

/** Show what accepting would do to other edits. @param {HTMLElement[]} items */
async function foresee(items) {
  foreseeing = new AbortController();
  const ids = items.map((one) => one.dataset.id);
  const { receipts, texts } = await ask("POST", "/proposals/foresee", { ids }, foreseeing.signal);
  receipts.forEach((/** @type {Receipt} */ one, /** @type {number} */ place) => {
    const known = one.status === "known" ? [fine("It says what is in force already.")] : [];
    items[place].querySelector(".row")?.before(...known, ...bearing(one, texts, false));
  });
}

/** @param {"accept" | "reject"} how @param {string[]} ids */
async function decide(how, ids) {
  foreseeing.abort(); // of what no longer waits nothing can be foreseen
  const texts = ids.map((id) => $("proposals").querySelector(`[data-id="${CSS.escape(id)}"] .text`)?.cloneNode(true));
  const done = await ask("POST", `/proposals/${how}`, { ids });
  await open();
  if (how === "accept") tell("Accepted:", ...done.receipts.map((/** @type {Receipt} */ one) => receipt(one, done.texts)));
  else tell("Rejected; “Undo last change” lets it wait again:", ...texts);
}

async function fired() {
  const { calls, edits } = await ask("GET", "/fires");
  const since = calls ? `${calls} ${calls === 1 ? "call" : "calls"} of this server since it began` : "No calls since this server began";
  $("calls").textContent = `${since}${calls && !edits.length ? ", none with an edit applied" : ""}`;
  $("fires").replaceChildren(...edits.map((/** @type {any} */ edit) => counted(edit, edits[0].count)));
}

/** @param {number} limit */
async function past(limit) {
  const { changes, texts } = await ask("GET", "/history", { limit });
  $("history").replaceChildren(...changes.map((/** @type {any} */ one) => make("li", {}, ...changed(one, texts))));
  $("past").textContent = changes.length ? "" : "Nothing was changed yet.";
  $("earlier").hidden = changes.length < limit || limit >= MOST;
}

let turn = 0;

/** Ask by the playground; what an earlier question gave is taken away. @param {string} path @param {Record<string, any>} [more] */
async function play(path, more) {
  const mine = ++turn;
  const input = $("message").value;
  $("answers").hidden = true;
  $("looked").replaceChildren();
  $("question").replaceChildren(said(input, "text", "asking … "));
  const found = await ask("POST", path, { input, ...more }).catch((error) => {
    if (mine === turn) $("question").replaceChildren();
    throw error;
  });
  if (mine !== turn) return;
  $("question").replaceChildren(said(input, "text", "asked: "));
  $("base").replaceChildren(said(found.base ?? ""));
  $("edited").replaceChildren(said(found.edited ?? ""));
  $("answers").hidden = found.base === undefined;
  $("looked").replaceChildren(...looked(found.trace ?? found, found.request));
}

/** @param {string} id @param {string} event @param {() => Promise<void>} work */
function on(id, event, work) {
  $(id).addEventListener(event, (/** @type {SubmitEvent} */ happened) => {
    happened.preventDefault();
    const by = event === "submit" ? happened.submitter : $(id);
    doing(work, by instanceof HTMLButtonElement ? by : undefined);
  });
}

on("sign", "submit", async () => {
  sessionStorage.setItem("key", $("key").value);
  $("key").value = "";
  await open();
});
on("leave", "click", async () => {
  sessionStorage.removeItem("key");
  location.reload();
});
$("search").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  $("edits").replaceChildren();
  $("count").textContent = "";
  doing(show); // also while the one before is under way
});
$("query").addEventListener("input", () => {
  if (!$("query").value) doing(() => list(0));
});
on("kind", "change", () => list(0));
on("tag", "change", () => list(0));
on("more", "click", () => list($("edits").children.length));
on("earlier", "click", () => past(Math.min(MOST, $("history").children.length + PAGE)));
on("add", "submit", async () => {
  const reason = $("reason").value;
  const fields = $("fields").querySelectorAll("input");
  const edit = written($("as").value, $("statement").value, fields, corrected);
  const [adds, tags] = [may("edit"), labels($("tags").value)];
  const replaces = corrected ? [corrected.id] : [];
  const done = adds ? await ask("POST", "/edits", { edit, tags, reason, replaces }) : await ask("POST", "/proposals", { edits: [edit], tags, reason });
  correct(null);
  $("reason").value = "";
  await open();
  if (adds) return tell(done.status === "known" && !done.superseded.length ? "Already known:" : "Added:", receipt(done, done.texts));
  const known = done.receipts[0].status === "known";
  tell(known ? "It says what is in force already:" : "Proposed; it waits until somebody accepts it:", said(inWords(edit), "text quoted"));
});
$("as").addEventListener("change", () => {
  const [kind, typed] = [$("as").value, [...$("fields").querySelectorAll("input")]];
  $("stated").hidden = $("statement").disabled = Boolean(kind);
  $("fields").hidden = !kind;
  $("fields").replaceChildren(...fieldsOf(kind));
  for (const { name, value } of typed) {
    const same = $("fields").querySelector(`[name="${name}"]`);
    if (same) same.value = value;
  }
});
on("undo", "click", async () => {
  const { undo, texts } = await ask("GET", "/history", { limit: 1 });
  if (!undo) return tell("There is nothing to undo.");
  if (!(await sure("Take back this change?", "Take back", ...changed(undo, texts)))) return;
  await ask("POST", "/undo", { revision: undo.revision });
  await open();
  tell("Taken back:", ...changed(undo, texts));
});
on("export", "click", async () => {
  const { edits, proposed, text } = await ask("GET", "/export");
  const at = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  make("a", { href: at, download: "edits.jsonl" }).click();
  URL.revokeObjectURL(at);
  tell(`Saved as edits.jsonl: ${edits} in force and ${proposed} that wait, without Erasures.`);
});
on("import", "change", async () => {
  const [file] = $("import").files;
  const [text, ending] = [await file.text(), file.name.split(".").pop().toLowerCase()];
  $("import").value = "";
  const sent = { text, form: ENDINGS[ending] ?? ending, reason: `import of ${file.name}` };
  if (!(await sure(`Add the edits of ${file.name}?`, "Add them", make("pre", { text: text.slice(0, SEEN) })))) return;
  const { receipts } = await ask("POST", "/import", sent);
  await open();
  const counts = Object.entries(Object.groupBy(receipts, (/** @type {Receipt} */ one) => one.status));
  tell(`Of ${file.name}: ${counts.map(([status, all]) => `${all?.length} ${status}`).join(", ") || "nothing"}.`);
});
for (const how of /** @type {const} */ (["accept", "reject"])) {
  on(`${how}-all`, "click", async () => {
    const seen = [...$("proposals").children]; // no more than was seen
    const name = `${how === "accept" ? "Accept" : "Reject"} all ${seen.length}`;
    if (!(await sure(`${name}?`, name, ...seen.map((one) => one.querySelector(".text").cloneNode(true))))) return;
    await decide(how, seen.map((one) => one.dataset.id));
  });
}
on("play", "submit", () => play("/compare", { model: $("model").value }));
on("explain", "click", async () => {
  if ($("play").reportValidity()) await play("/explain");
});
for (const answer of ["yes", "no"]) $(`sure-${answer}`).addEventListener("click", () => $("sure").close(answer));
document.addEventListener("focusin", ({ target }) => {
  if (target instanceof HTMLElement && target.matches("input, textarea, select")) $("done").replaceChildren();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") $("done").replaceChildren();
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key !== "/" || typing || $("inside").hidden || $("sure").open) return;
  event.preventDefault();
  $("query").focus();
});
for (const [text, ...buttons] of [["statement", "send"], ["message", "compare", "explain"]]) {
  $(text).addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $(buttons.find((id) => !$(id).hidden)).click();
  });
}

for (const kind of Object.keys(KINDS)) $("kind").append(make("option", { value: kind, text: kind }));
for (const kind of FORMS) $("as").append(make("option", { value: kind, text: kind }));
$("sign").hidden = false; // from here on this page sends it, and not the browser
if (sessionStorage.getItem("key")) doing(open);

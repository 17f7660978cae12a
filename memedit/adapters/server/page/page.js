// @ts-check
// The page of the edits. Whatever comes from the memory or from a model is put in as text (`textContent`), never as markup.

/** @typedef {{id: string, kind: string, text: string, author?: string, source?: string, reason?: string, created_at: string}} Edit */
/** @typedef {{edit: string, text: string, probability: number, passed: boolean, reasons: string[]}} Verdict */
/** @typedef {{query: string, revision: number, verdicts: Verdict[]}} Lookup */
/** @typedef {{question: string, answer: string, by: string, edit: ?string, probability: ?number}} Hop */
/** @typedef {{form: string, messages: {role: string, content: any}[], options: object}} Sent */
/** @typedef {{kind: string, prompt: string, expected: string[], before: string, after: string, passed: boolean}} Check */
/** @typedef {{id: string, text: string, count: number}} Fired */
/** @typedef {{event: string, edit: string}} Event */
/** @typedef {{revision: number, change: string, at: string, author: ?string, reason: ?string, target: ?number, events: Event[]}} Change */

const ROLES = ["metrics", "read", "propose", "edit", "admin"];
const KINDS = ["fact", "feedback", "patch", "demonstration", "description", "behaviour", "erasure"];
const PAGE = 50;
const GAINED = ["added", "restored", "accepted"];

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

/**
 * An element with text and children.
 * @param {string} tag
 * @param {{class?: string, text?: string, [name: string]: any}} [how]
 * @param {...Node} children
 */
function make(tag, { class: name = "", text = "", ...rest } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), rest);
  made.className = name;
  made.textContent = text;
  made.append(...children);
  return made;
}

/** @param {string} iso */
const when = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/**
 * What the server answers.
 * @param {string} method @param {string} path @param {Record<string, any>} [given]
 * @returns {Promise<any>}
 */
async function ask(method, path, given = {}) {
  const sent = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== "" && value !== null));
  const body = method === "POST" ? JSON.stringify(sent) : undefined;
  const query = method === "POST" ? "" : `?${new URLSearchParams(sent)}`;
  /** @type {Record<string, string>} */
  const headers = { authorization: `Bearer ${sessionStorage.getItem("key") ?? ""}` };
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(`/memedit${path}${query}`, { method, headers, body });
  const value = await answer.json();
  if (!answer.ok) throw new Error([value.error?.message ?? answer.statusText, value.error?.do].filter(Boolean).join(" → "));
  return value;
}

/**
 * Do something, and say what went wrong; what started it is off meanwhile, but keeps the focus.
 * @param {() => Promise<void>} work @param {HTMLButtonElement} [by]
 */
async function doing(work, by) {
  if (by?.ariaBusy === "true") return;
  $("said").hidden = true;
  if (by) by.ariaBusy = "true";
  try {
    await work();
  } catch (error) {
    $("said").textContent = error instanceof Error ? error.message : String(error);
    $("said").hidden = false;
  } finally {
    if (by) by.ariaBusy = "false";
    if (by && !by.isConnected) $("undo").focus(); // its edit is gone
  }
}

async function open() {
  const me = await ask("GET", "/me");
  $("who").textContent = `${me.name} · namespace ${me.namespace} · ${me.role} · revision ${me.revision}`;
  for (const part of document.querySelectorAll("[data-role]")) {
    /** @type {HTMLElement} */ (part).hidden = ROLES.indexOf(me.role) < ROLES.indexOf(part.getAttribute("data-role") ?? "");
  }
  document.body.dataset.can = ROLES.indexOf(me.role) >= ROLES.indexOf("edit") ? "edit" : "read";
  $("inside").hidden = $("leave").hidden = false;
  $("sign").hidden = true;
  await Promise.all([list(0), waiting(), past(), fired()]);
}

/** @param {number} offset */
async function list(offset) {
  const search = $("query").value.trim();
  const tag = search ? "" : $("tag").value.trim();
  const found = await ask("GET", "/edits", { search, tag, kind: $("kind").value, limit: PAGE, offset });
  if (!offset) $("edits").replaceChildren();
  $("edits").append(...found.edits.map(card));
  const shown = $("edits").children.length;
  $("count").textContent = search ? `the ${shown} nearest` : `${shown} of ${found.found}`;
  $("more").hidden = Boolean(search) || shown >= found.found;
}

/** An edit, and a row of buttons to act on it. @param {Edit} edit */
function bare(edit) {
  const told = [edit.kind, edit.id.slice(0, 8), when(edit.created_at), edit.author, edit.source, edit.reason];
  const made = make("p", { class: "fine", text: told.filter(Boolean).join(" · ") });
  const row = make("div", { class: "row" });
  const item = make("li", {}, make("p", { class: "text", text: edit.text }), made, row);
  /** @param {string} text @param {() => Promise<void>} work */
  const button = (text, work) => {
    const one = /** @type {HTMLButtonElement} */ (make("button", { text, type: "button", ariaLabel: `${text}: ${edit.text}` }));
    one.addEventListener("click", () => doing(work, one));
    row.append(one);
  };
  return { item, button };
}

/** What waits for approval. */
async function waiting() {
  /** @type {{edits: Edit[]}} */
  const { edits } = await ask("GET", "/proposals");
  $("review").hidden = !edits.length;
  $("waiting").textContent = `${edits.length} proposed, which change no answer until they are accepted`;
  $("proposals").replaceChildren(...edits.map((edit) => {
    const { item, button } = bare(edit);
    if (document.body.dataset.can === "edit") {
      button("Accept", () => decide("accept", [edit.id]));
      button("Reject", () => decide("reject", [edit.id]));
    }
    item.dataset.id = edit.id;
    return item;
  }));
}

/** @param {"accept" | "reject"} how @param {string[]} ids */
async function decide(how, ids) {
  await ask("POST", `/proposals/${how}`, { ids });
  await open();
}

/** @param {Edit} edit */
function card(edit) {
  const { item, button } = bare(edit);
  button("Details", async () => {
    const old = item.querySelector("pre");
    if (old) return old.remove();
    item.append(make("pre", { text: JSON.stringify(await ask("GET", `/edits/${encodeURIComponent(edit.id)}`), null, 2) }));
  });
  if (document.body.dataset.can === "edit") {
    button("Verify", async () => {
      const proved = await ask("POST", `/edits/${encodeURIComponent(edit.id)}/verify`, { model: $("model").value });
      item.querySelector(".checks")?.remove();
      item.append(checks(proved.checks));
    });
    button("Retract", async () => {
      await ask("DELETE", `/edits/${encodeURIComponent(edit.id)}`);
      await open();
    });
  }
  return item;
}

/** What the model said with and without an edit. @param {Check[]} all */
function checks(all) {
  const rows = all.map(({ kind, prompt, before, after, passed }) => make(
    "tr", {}, make("td", { class: passed ? "passed" : "gone", text: `${passed ? "✓ passed" : "✗ failed"}, ${kind}` }),
    ...[prompt, before, after].map((text) => make("td", { text })),
  ));
  const names = ["Check", "Asked", "Without edits", "With edits"].map((text) => make("th", { text, scope: "col" }));
  return make("table", { class: "checks" }, make("tr", {}, ...names), ...rows);
}

async function fired() {
  const { calls, edits } = await ask("GET", "/fires");
  const most = edits[0]?.count ?? 1;
  $("calls").textContent = `${calls} calls of this server since it began${edits.length ? "" : ", none with an edit applied"}`;
  $("fires").replaceChildren(...edits.map((/** @type {Fired} */ { text, count }) => make(
    "li", {}, make("p", { class: "text", text }),
    make("progress", { max: most, value: count, ariaLabel: `applied ${count} times` }),
    make("p", { class: "fine", text: `applied ${count} ${count === 1 ? "time" : "times"}` }),
  )));
}

async function past() {
  const { changes, texts } = await ask("GET", "/history", { limit: PAGE });
  $("history").replaceChildren(...changes.map((/** @type {Change} */ one) => {
    const of = one.target === null ? "" : ` of ${one.target}`;
    const said = [`${one.revision} ${one.change}${of}`, when(one.at), one.author, one.reason].filter(Boolean).join(" · ");
    return make("li", {}, make("p", { class: "fine", text: said }), ...one.events.map((event) => {
      const gained = GAINED.includes(event.event);
      const mark = event.event === "proposed" ? "?" : gained ? "+" : "−";
      const text = `${mark} ${texts[event.edit] ?? event.edit}`;
      return make("p", { class: `text ${gained ? "passed" : "gone"}`, text });
    }));
  }));
}

/** @param {{lookups: Lookup[], hops: Hop[], notes: string[]}} trace @param {?Sent} sent */
function look({ lookups, hops, notes }, sent) {
  const told = lookups.flatMap(({ query, revision, verdicts }) => [
    make("p", { class: "fine", text: `“${query}” at revision ${revision}, candidates: ${verdicts.length}` }),
    ...verdicts.slice(0, 10).map(verdict),
  ]);
  const way = hops.map(({ question, answer, by, probability }) => {
    const how = [`by ${by}`, probability === null ? "" : probability.toFixed(2)].filter(Boolean).join(", ");
    return make("li", { class: "text", text: `${question} — ${answer} (${how})` });
  });
  $("looked").replaceChildren(
    make("h3", { text: "Looked up" }), ...told, ...notes.map((text) => make("p", { class: "fine", text })),
    ...(way.length ? [make("h3", { text: "Hops" }), make("ol", {}, ...way)] : []),
    make("h3", { text: "Request" }),
    ...(sent ? asSent(sent) : [make("p", { class: "fine", text: "The model is not asked." })]),
  );
}

/** The request as it is sent: each message as it reads, and the options. @param {Sent} sent */
function asSent({ messages, options }) {
  const shown = (/** @type {any} */ value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  return [...messages.map(({ role, content, ...rest }) => [role, content ?? rest]), ["options", options]].flatMap(
    ([name, value]) => [make("p", { class: "fine", text: name }), make("pre", { text: shown(value), tabIndex: 0 })],
  );
}

/** @param {Verdict} verdict */
function verdict({ text, probability, passed, reasons }) {
  return make(
    "div", { class: passed ? "verdict passed-one" : "verdict" },
    make("div", { class: passed ? "passed" : "odds", text: `${passed ? "✓" : "·"} ${probability.toFixed(2)}` }),
    make("p", { class: "text", text }),
    make("meter", { min: 0, max: 1, value: probability, ariaLabel: "probability" }),
    make("p", { class: "fine", text: reasons.join("; ") }),
  );
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
on("search", "submit", () => list(0));
on("kind", "change", () => list(0));
on("tag", "change", () => list(0));
on("more", "click", () => list($("edits").children.length));
on("add", "submit", async () => {
  await ask("POST", "/edits", { edit: $("statement").value, reason: $("reason").value });
  $("statement").value = $("reason").value = "";
  await open();
});
on("undo", "click", async () => {
  await ask("POST", "/undo");
  await open();
});
for (const how of /** @type {const} */ (["accept", "reject"])) {
  on(`${how}-all`, "click", async () => {
    const shown = [...$("proposals").children].map((one) => one.dataset.id); // no more than was seen
    await decide(how, shown);
  });
}
on("play", "submit", async () => {
  const found = await ask("POST", "/compare", { input: $("message").value, model: $("model").value });
  $("base").textContent = found.base;
  $("edited").textContent = found.edited;
  $("answers").hidden = false;
  look(found.trace, found.request);
});
on("explain", "click", async () => {
  if (!$("play").reportValidity()) return;
  $("answers").hidden = true;
  const found = await ask("POST", "/explain", { input: $("message").value });
  look(found, found.request);
});
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key !== "/" || typing || $("inside").hidden) return;
  event.preventDefault();
  $("query").focus();
});

for (const kind of KINDS) $("kind").append(make("option", { value: kind, text: kind }));
if (sessionStorage.getItem("key")) doing(open);

// @ts-check
// How things look on the page: edits, receipts, changes, checks and look-ups as elements. Whatever comes from the memory
// or from a model is put in as text (`textContent`), never as markup.

/** @typedef {{id: string, kind: string, text: string, topic?: string, tags?: string[], author?: string, source?: string, reason?: string, created_at: string, exact?: boolean, similarity?: ?number}} Edit */
/** @typedef {{status: string, revision: number, edit: Edit, superseded: string[], possible_conflicts: string[]}} Receipt */
/** @typedef {Record<string, string>} Texts */
/** @typedef {{edit: string, text: string, probability: number, passed: boolean, doubtful: boolean, reasons: string[]}} Verdict */
/** @typedef {{query: string, further: boolean, parts: string[], revision: number, verdicts: Verdict[]}} Lookup */
/** @typedef {{question: string, answer: string, by: string, edit: ?string, probability: ?number}} Hop */
/** @typedef {{form: string, messages: {role: string, content: any}[], options: object}} Sent */
/** @typedef {{kind: string, prompt: string, expected: string[], before: string, after: string, passed: boolean}} Check */
/** @typedef {{id: string, text: string, count: number}} Fired */
/** @typedef {{event: string, edit: string}} Event */
/** @typedef {{revision: number, change: string, at: string, author: ?string, reason: ?string, target: ?number, events: Event[]}} Change */

const GAINED = ["added", "restored", "accepted"];
const LOST = ["superseded", "retracted", "removed", "rejected", "purged"];
const LONG = 600; // characters of a text that is shown whole
const MANY = 50; // edits of a change that are listed
const FAR = 0.01; // probability below which a candidate is folded away

/**
 * An element with text and children.
 * @param {string} tag
 * @param {{class?: string, text?: string, [name: string]: any}} [how]
 * @param {...Node} children
 */
export function make(tag, { class: name = "", text = "", ...rest } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), rest);
  made.className = name;
  made.textContent = text;
  made.append(...children);
  return made;
}

/** A small note. @param {string} text */
export const fine = (text) => make("p", { class: "fine", text });

/** @param {string} iso */
const when = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/** What somebody wrote; of a long text the beginning, until it is wanted whole. @param {string} text */
export function said(text, name = "text", before = "") {
  const one = make("p", { class: name, dir: "auto", text: before + text });
  if (text.length <= LONG) return one;
  const all = make("button", { type: "button", class: "all", text: "show all" });
  all.addEventListener("click", () => {
    one.textContent = before + text;
    one.tabIndex = -1;
    one.focus();
  });
  one.textContent = `${before}${text.slice(0, LONG)}… `;
  one.append(all);
  return one;
}

/** What is known of an edit, and a row for buttons. @param {Edit} edit */
export function shown(edit) {
  const told = [edit.kind, edit.id.slice(0, 8), when(edit.created_at), edit.tags?.join(", "), edit.author, edit.source, edit.reason];
  const row = make("div", { class: "row" });
  const item = make("li", { tabIndex: -1 }, said(edit.text), said(told.filter(Boolean).join(" · "), "fine"), row);
  item.dataset.id = edit.id;
  return { item, row };
}

/** What an edit does to others. @param {Receipt} receipt @param {Texts} texts @param {boolean} done */
export function bearing({ superseded, possible_conflicts: rivals, edit }, texts, done) {
  const named = (/** @type {string} */ text, /** @type {string[]} */ ids) =>
    ids.length ? [fine(text), ...ids.map((id) => said(texts[id] ?? id, "text quoted"))] : [];
  return [
    ...(edit.kind === "behaviour" && !edit.topic ? [fine("A standing instruction: it goes with every message.")] : []),
    ...named(done ? "It took the place of:" : "It would take the place of:", superseded),
    ...named(done ? "It may contradict, and both hold now; look at:" : "It may contradict, and both would hold:", rivals),
  ];
}

/** What became of one edit. @param {Receipt} receipt @param {Texts} texts */
export function receipt(receipt, texts) {
  const { status, edit, revision, superseded } = receipt;
  const how = status === "known" && !superseded.length ? "already known, nothing was changed" : `${status} in revision ${revision}`;
  return make("div", {}, said(edit.text, "text quoted"), fine(`${edit.kind}, ${how}`), ...bearing(receipt, texts, true));
}

/** A change, and what it did to which edits. @param {Change} one @param {Texts} texts */
export function changed(one, texts) {
  const of = one.target === null ? "" : ` of ${one.target}`;
  const told = [`${one.revision} ${one.change}${of}`, when(one.at), one.author, one.reason].filter(Boolean).join(" · ");
  const more = one.events.length - MANY;
  return [said(told, "fine"), ...one.events.slice(0, MANY).map((event) => {
    const [mark, name] = GAINED.includes(event.event) ? ["+ ", "passed"] : LOST.includes(event.event) ? ["− ", "gone"] : ["? ", ""];
    return said(texts[event.edit] ?? event.edit, `text ${name}`, mark);
  }), ...(more > 0 ? [fine(`and ${more} more`)] : [])];
}

/** What the model said with and without an edit. @param {Edit} edit @param {Check[]} all */
export function checks(edit, all) {
  const inside = all.some(({ kind }) => kind === "in scope");
  const wanted = (/** @type {Check} */ { kind, expected, before, after, passed }) => {
    const under = passed && before !== after ? ", but for the standing instructions" : "";
    if (kind !== "in scope") return `the same as without edits${under}`;
    if (expected.length) return expected.join(", or ");
    return edit.kind === "erasure" ? "nothing of what is erased" : "that the edit is used";
  };
  const rows = all.filter(({ passed }) => inside || !passed).map((check) => {
    const mark = make("th", { class: check.passed ? "passed" : "gone", colSpan: 2, scope: "rowgroup" });
    mark.textContent = `${check.passed ? "✓ passed" : "✗ failed"}, ${check.kind}`;
    const answers = [["Without edits", check.before], ["With edits", check.after]];
    const same = check.kind !== "in scope" && check.before === check.after ? [["Both times", check.before]] : answers;
    const told = [["Asked", check.prompt], ["Expected", wanted(check)], ...same];
    return make("tbody", {}, make("tr", {}, mark), ...told.map(([name, text]) => make(
      "tr", {}, make("th", { text: name, scope: "row" }), make("td", { dir: "auto", text }),
    )));
  });
  const columns = make("colgroup", {}, make("col", { class: "names" }), make("col"));
  const table = make("table", {}, columns, ...rows);
  const kept = all.filter(({ passed }) => passed).length;
  const others = kept ? ` Questions about other things that are answered as before: ${kept}.` : "";
  const none = `Nothing in scope was checked: this edit says no question.${others}`;
  return make("div", { class: "checks" }, ...(inside ? [] : [fine(none)]), ...(rows.length ? [table] : []));
}

/** How often an edit was applied. @param {Fired} edit @param {number} most */
export function counted({ text, count }, most) {
  return make(
    "li", {}, said(text), make("progress", { max: most, value: count, ariaLabel: `applied ${count} times` }),
    fine(`applied ${count} ${count === 1 ? "time" : "times"}`),
  );
}

/** What was looked up and why. @param {{lookups: Lookup[], hops: Hop[], notes: string[]}} trace @param {?Sent} sent */
export function looked({ lookups, hops, notes }, sent) {
  const way = hops.map(({ question, answer, by, probability }) => {
    const how = [`by ${by}`, probability === null ? "" : probability.toFixed(2)].filter(Boolean).join(", ");
    return make("li", { class: "text", dir: "auto", text: `${question} — ${answer} (${how})` });
  });
  return [
    make("h3", { text: "Looked up" }), ...lookups.flatMap(candidates), ...notes.map(fine),
    ...(way.length ? [make("h3", { text: "Hops" }), make("ol", {}, ...way)] : []),
    make("h3", { text: "Request" }), ...(sent ? asSent(sent) : [fine("The model is not asked.")]),
  ];
}

/** The candidates of a look-up; what is far from what is said is folded away. @param {Lookup} lookup */
function candidates({ query, further, parts, revision, verdicts }) {
  const near = verdicts.filter(({ passed, doubtful, probability }) => passed || doubtful || probability >= FAR);
  const far = verdicts.filter((one) => !near.includes(one));
  const folded = make("details", {}, make("summary", { text: `${far.length} more, far from what is said` }), ...far.map(verdict));
  return [
    said(`${further ? "on the way to an answer over several facts: " : ""}“${query}” at revision ${revision}, candidates: ${verdicts.length}`, "fine"),
    ...parts.map((one) => said(`and by itself “${one}”`, "fine")), ...near.map(verdict), ...(far.length ? [folded] : []),
  ];
}

/** @param {Verdict} verdict */
function verdict({ text, probability, passed, doubtful, reasons }) {
  return make(
    "div", { class: passed ? "verdict passed-one" : "verdict" },
    make("div", { class: passed ? "passed" : "odds", text: `${passed ? "✓" : doubtful ? "?" : "·"} ${probability.toFixed(2)}` }),
    said(text),
    make("meter", { min: 0, max: 1, value: probability, ariaLabel: "probability" }),
    fine(reasons.join("; ")),
  );
}

/** The request as it is sent: each message as it reads, and the options. @param {Sent} sent */
function asSent({ messages, options }) {
  const read = (/** @type {any} */ value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  return [...messages.map(({ role, content, ...rest }) => [role, content ?? rest]), ["options", options]].flatMap(
    ([name, value]) => [fine(name), make("pre", { text: read(value), tabIndex: 0, dir: "auto" })],
  );
}

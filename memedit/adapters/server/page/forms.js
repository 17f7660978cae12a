// @ts-check
// The form of a new edit: the fields of each kind, and the edit that they say.

import { make } from "./shown.js";

/** Name in the edit, what it is called, whether the kind cannot do without, and an example. @typedef {[string, string, boolean, string]} Field */

/** @type {Record<string, Field[]>} */
export const KINDS = {
  fact: [["subject", "Subject", true, "Acme"], ["relation", "Relation", true, "CEO"], ["object", "Object", true, "Carol Diaz"]],
  feedback: [["situation", "When I ask this", true, "a date"], ["clarification", "I mean this", true, "the ISO form"]],
  patch: [
    ["condition", "If this holds of the text", true, "the review says the service was slow"],
    ["consequence", "then this", true, "the label is negative"],
  ],
  demonstration: [],
  description: [["subject", "Who or what", true, "Niran"], ["description", "It is this", true, "a cyclone of 2021"]],
  behaviour: [
    ["topic", "Where this is spoken of (or in every answer)", false, "Globex"],
    ["conduct", "it is done so", true, "be positive"],
  ],
  erasure: [
    ["object", "Never say", true, "4711"], ["subject", "About", true, "Acme safe"],
    ["relation", "It is their", false, "code"], ["reply", "Answer instead", false, "I can't share that."],
  ],
};

/** Kinds that a form is for. */
export const FORMS = Object.keys(KINDS).filter((kind) => KINDS[kind].length);

/** The fields of a kind, empty. @param {string} kind */
export const fieldsOf = (kind) => (KINDS[kind] ?? []).map(([name, text, required, placeholder]) => {
  const field = make("input", { name, required, placeholder, autocomplete: "off", dir: "auto" });
  return make("label", { text: `${text} ` }, field);
});

/**
 * What a form says: a statement, whose kind the memory tells, or an edit with its fields.
 * @param {string} kind @param {string} statement @param {Iterable<HTMLInputElement>} fields
 * @param {?Record<string, any>} corrected The edit that is written again: cloze and aliases stay.
 * @returns {string | Record<string, any>}
 */
export function written(kind, statement, fields, corrected) {
  if (!kind) return statement;
  const said = [...fields].map(({ name, value }) => [name, value.trim()]).filter(([, value]) => value);
  const edit = { kind, ...Object.fromEntries(said) };
  if (kind !== "fact" || !corrected) return edit;
  const { prompt, aliases, subject } = corrected; // of which the form shows the last alone
  return { ...edit, ...(prompt && { prompt }), ...(aliases && subject === edit.subject && { aliases }) };
}

/** Whether an edit can be written again: of what is erased only the memory knows. @param {Record<string, any>} edit */
export const correctable = ({ kind }) => FORMS.includes(kind) && kind !== "erasure";

/** The kind whose fields an edit fills; none where it is a statement. @param {Record<string, any>} edit */
export const formOf = (edit) => (KINDS[edit.kind].every(([name, , required]) => edit[name] || !required) ? edit.kind : "");

/** Labels, as they are typed into one field. @param {string} text */
export const labels = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

/** What was written, to be shown again. @param {string | Record<string, string>} edit */
export const inWords = (edit) => (typeof edit === "string" ? edit : Object.values(edit).join(" · "));

// @ts-check
/** Which recogniser, language model, voice and device are in use (GET /health), and where they are weak. */

import { keyHeaders } from "./key.js";

/** @typedef {{stt?: string, llm?: string, voice?: string, device?: string, notes?: string[]}} Parts */

const DEADLINE_MS = 5_000;
const LABELS = { stt: "Hears with", llm: "Thinks with", voice: "Speaks with", device: "Runs on" };

/** @param {HTMLElement} root */
export async function showParts(root) {
  const parts = await readParts();
  root.replaceChildren(...(parts ? [list(parts), ...notes(parts.notes ?? [])] : [paragraph("The service did not say.")]));
}

/** @returns {Promise<Parts | undefined>} */
async function readParts() {
  try {
    const response = await fetch("/health", { headers: keyHeaders(), signal: AbortSignal.timeout(DEADLINE_MS) });
    return (await response.json()).parts;
  } catch {
    return undefined;
  }
}

/** @param {Parts} parts */
function list(parts) {
  const made = document.createElement("dl");
  for (const [key, label] of Object.entries(LABELS)) {
    const value = parts[/** @type {keyof typeof LABELS} */ (key)];
    if (!value) continue;
    const term = document.createElement("dt");
    term.textContent = label;
    const meaning = document.createElement("dd");
    meaning.textContent = value;
    made.append(term, meaning);
  }
  return made;
}

/** @param {string[]} lines */
function notes(lines) {
  return lines.map((line) => paragraph(line));
}

/** @param {string} line */
function paragraph(line) {
  const made = document.createElement("p");
  made.className = "fine";
  made.textContent = line;
  return made;
}

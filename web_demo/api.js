// @ts-check
/** Shows openapi.json: every route with its fields and answers. Text is set as text, never as markup. */

/** @typedef {{type?: string | string[], anyOf?: Schema[], allOf?: Schema[], $ref?: string, enum?: unknown[], const?: unknown,
 *   default?: unknown, description?: string, properties?: Record<string, Schema>, required?: string[], items?: Schema,
 *   minimum?: number, maximum?: number, maxLength?: number, pattern?: string}} Schema */

const routes = /** @type {HTMLElement} */ (document.getElementById("routes"));
const about = /** @type {HTMLElement} */ (document.getElementById("about"));

/** @param {string} tag @param {string} [text] */
function made(tag, text = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** @param {string[]} heads @param {string[][]} rows */
function table(heads, rows) {
  const whole = made("table");
  const head = whole.appendChild(made("tr"));
  for (const name of heads) head.append(made("th", name));
  for (const cells of rows) {
    const row = whole.appendChild(made("tr"));
    cells.forEach((cell, n) => row.appendChild(made("td")).append(n ? cell : made("code", cell)));
  }
  return whole;
}

/** What may stand there, in a few words. @param {Schema} schema @param {Record<string, Schema>} known @returns {string} */
function kind(schema, known) {
  if (schema.$ref) return kind(known[schema.$ref.split("/").pop() ?? ""] ?? {}, known);
  if (schema.anyOf) return [...new Set(schema.anyOf.map((one) => kind(one, known)))].join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  const bounds = [];
  if (schema.minimum !== undefined) bounds.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) bounds.push(`to ${schema.maximum}`);
  if (schema.maxLength !== undefined) bounds.push(`up to ${schema.maxLength} characters`);
  return [[schema.type ?? "anything"].flat().join(" or "), ...bounds].join(" ");
}

/** @param {Schema} schema @param {Record<string, Schema>} known @returns {Schema} the object that a body is */
function body(schema, known) {
  const named = (/** @type {string} */ ref) => known[ref.split("/").pop() ?? ""] ?? {};
  if (schema.$ref) return named(schema.$ref);
  return schema.anyOf ? body(schema.anyOf.find((one) => one.$ref) ?? {}, known) : schema;
}

/** @param {string} method @param {string} path @param {any} operation @param {Record<string, Schema>} known */
function route(method, path, operation, known) {
  const whole = made("details");
  whole.id = operation.operationId;
  const line = whole.appendChild(made("summary"));
  line.append(made("b", method.toUpperCase()), made("code", path), made("span", operation.summary ?? ""));
  const inside = whole.appendChild(made("div"));
  if (operation.description) inside.append(made("p", operation.description));
  for (const content of Object.values(operation.requestBody?.content ?? {})) {
    const schema = body(content.schema, known);
    const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => [
      name,
      kind(field, known),
      (schema.required ?? []).includes(name) ? "must be given" : field.default == null ? "" : JSON.stringify(field.default),
      field.description ?? "",
    ]);
    inside.append(made("h3", "Body"), table(["field", "", "left out", ""], rows));
  }
  const parameters = (operation.parameters ?? []).map((/** @type {any} */ one) => [one.name, one.in, kind(one.schema, known), one.description ?? ""]);
  if (parameters.length) inside.append(made("h3", "Parameters"), table(["name", "in", "", ""], parameters));
  const answers = Object.entries(operation.responses).map(([status, told]) => [
    status, Object.keys(told.content ?? {}).join(", "), told.description ?? "",
  ]);
  inside.append(made("h3", "Answers"), table(["status", "", ""], answers));
  return whole;
}

try {
  const answer = await fetch("openapi.json");
  const told = await answer.json();
  about.textContent = `${told.info.description} Version ${told.info.version}, `;
  about.append(Object.assign(made("a", "openapi.json"), { href: "openapi.json" }), ".");
  for (const [path, methods] of Object.entries(told.paths)) {
    for (const [method, operation] of Object.entries(methods)) routes.append(route(method, path, operation, told.components.schemas));
  }
  document.body.dataset.ready = "true";
} catch (error) {
  about.textContent = `openapi.json cannot be read: ${error instanceof Error ? error.message : error}`;
}

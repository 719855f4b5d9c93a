// @ts-check
/** The API key of a service that asks for one: given once as /#key=…, kept in this tab, sent with every question. */

const NAME = "tts-ops.key";
const KEY = /^[\w.~+/=-]{1,8192}$/;

/** @returns {Record<string, string>} headers for fetch; none when the page was given no key */
export function keyHeaders() {
  const key = takeKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The part after # is never sent to a server; it is also taken out of the address, so that nobody shares it. */
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given === null) return sessionStorage.getItem(NAME);
  history.replaceState(null, "", location.pathname + location.search);
  if (!KEY.test(given)) return null;
  sessionStorage.setItem(NAME, given);
  return given;
}

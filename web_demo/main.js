// @ts-check
/** Starts the page: fetches the LiveKit client, and binds buttons and keys to what the page can do. */

import { listenForKeys } from "./keys.js";
import { Page } from "./page.js";
import { showParts } from "./parts.js";
import { exposeProbe } from "./probe.js";
import { Problem } from "./problems.js";
import { find } from "./view.js";

const CLIENT_FILE = "/vendor/livekit-client.esm.mjs";

/** @returns {Promise<import("./microphone.js").Client>} @throws {Problem} "vendor-missing" or "unsupported-browser" */
async function loadClient() {
  const client = await import(CLIENT_FILE).catch(() => {
    throw new Problem("vendor-missing");
  });
  if (!client.isBrowserSupported()) throw new Problem("unsupported-browser");
  client.setLogLevel("warn");
  return client;
}

const page = new Page(loadClient());
const message = /** @type {HTMLInputElement} */ (find("message"));

find("join").addEventListener("click", () => page.join());
find("mute").addEventListener("click", () => page.mute());
find("interrupt").addEventListener("click", () => page.interrupt());
find("hang-up").addEventListener("click", () => page.hangUp());
find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!find("send").hasAttribute("disabled") && page.type(message.value)) message.value = "";
});
listenForKeys({ interrupt: () => page.interrupt(), mute: () => page.mute(), isPanelOpen: () => page.isPanelOpen });
showParts(find("parts-list"));
exposeProbe(page);

// @ts-check
/** The device picker: fills the two lists whenever it opens or a device comes or goes, and tells of a choice. */

/** @typedef {"audioinput" | "audiooutput"} Kind */

export class Devices extends EventTarget {
  #panel;
  #lists;

  /** @param {HTMLElement} panel a popover @param {Record<Kind, HTMLSelectElement>} lists */
  constructor(panel, lists) {
    super();
    this.#panel = panel;
    this.#lists = lists;
    panel.addEventListener("beforetoggle", () => this.#fill());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#fill());
    for (const [kind, list] of Object.entries(lists)) {
      list.addEventListener("change", () => this.#tell(kind, list.value));
    }
  }

  get isOpen() {
    return this.#panel.matches(":popover-open");
  }

  close() {
    if (this.isOpen) this.#panel.hidePopover();
  }

  /** The chosen microphone, if there was a choice. @returns {string | undefined} */
  get microphoneId() {
    return this.#lists.audioinput.value || undefined;
  }

  async #fill() {
    const found = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
    this.#fillList("audioinput", found, "Microphone");
    this.#fillList("audiooutput", found, "Speaker");
    // Without this a choice of speaker would be silently ignored (Safari, older Firefox).
    if (!("setSinkId" in HTMLMediaElement.prototype)) this.#lists.audiooutput.disabled = true;
  }

  /** @param {Kind} kind @param {MediaDeviceInfo[]} found @param {string} noun */
  #fillList(kind, found, noun) {
    const list = this.#lists[kind];
    const chosen = list.value;
    const devices = found.filter((device) => device.kind === kind && device.deviceId);
    const options = devices.map((device, index) => new Option(device.label || `${noun} ${index + 1}`, device.deviceId));
    list.replaceChildren(...(options.length ? options : [new Option("Chosen by the browser", "")]));
    list.disabled = options.length === 0;
    if (devices.some((device) => device.deviceId === chosen)) list.value = chosen;
  }

  /** @param {string} kind @param {string} deviceId */
  #tell(kind, deviceId) {
    this.dispatchEvent(new CustomEvent("choose", { detail: { kind, deviceId } }));
  }
}

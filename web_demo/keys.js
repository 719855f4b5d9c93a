// @ts-check
/** Keys of the call: Escape interrupts, m mutes. Never while they mean something else where the focus is. */

/** @param {{interrupt: () => void, mute: () => void, isPanelOpen: () => boolean}} deeds */
export function listenForKeys({ interrupt, mute, isPanelOpen }) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
    if (event.key === "Escape" && !isPanelOpen()) interrupt();
    if (event.key.toLowerCase() === "m" && !isTyping(event.target)) mute();
  });
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

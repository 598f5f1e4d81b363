// Keys of one letter, as long as the user does not write and no dialog is open.

/** Calls `press` with each letter in lower case; it returns whether the key has a meaning. Returns what stops that. */
export function watchLetters(parent, press) {
  const listen = (event) => {
    const writes = event.target.matches?.("input, textarea, select, [contenteditable]");
    if (writes || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || !parent.isConnected) return;
    if (press(event.key.length === 1 ? event.key.toLowerCase() : event.key)) event.preventDefault();
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}

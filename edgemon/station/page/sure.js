// A button that asks once more.

import { el, mark, put } from "./dom.js";
import { t } from "./words.js";

/** A button that does what cannot be undone only at its second press. */
export function sure(text, label, act) {
  const button = el("button", { type: "button", "aria-label": `${text}: ${label}`, on: { click } }, text);
  function click() {
    if (button.dataset.armed) return act();
    mark(button, "armed", true);
    put(button, t("admin.sure"));
    button.setAttribute("aria-label", `${t("admin.sure")}: ${text}: ${label}`);
    button.addEventListener("blur", () => (mark(button, "armed", null), put(button, text)), { once: true });
  }
  return button;
}

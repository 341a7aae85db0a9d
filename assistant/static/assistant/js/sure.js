// @ts-check
/** Asks before what can't be undone. */

import { byId, clone, one, part, setHidden } from "./parts.js";

/**
 * Resolves to true, or to the value of what was chosen among `choices`; to false if it is not wanted.
 * @param {{ heading: string, text: string, yes: string, choices?: { value: string, label: string }[] | null }} question
 * @returns {Promise<boolean | string>}
 */
export function sure({ heading, text, yes, choices = null }) {
  const sheet = byId("sure-sheet");
  const select = one(sheet, "select");
  one(sheet, "h2").textContent = heading;
  part(sheet, "text").textContent = text;
  part(sheet, "yes").textContent = yes;
  setHidden(part(sheet, "choice"), !choices);
  select.replaceChildren(
    ...(choices ?? []).map(({ value, label }) => Object.assign(clone("option-template"), { value, textContent: label })),
  );
  sheet.returnValue = "no";
  sheet.showModal();
  return new Promise((resolve) => {
    sheet.addEventListener("close", () => resolve(sheet.returnValue === "yes" && (!choices || select.value)), { once: true });
  });
}

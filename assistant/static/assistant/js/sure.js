/** Asks before what can't be undone. */

import { clone, part, setHidden } from "./parts.js";

/** Resolves to true, or to the value of what was chosen among `choices` ([{value, label}]); to false if it is not wanted. */
export function sure({ heading, text, yes, choices = null }) {
  const sheet = document.getElementById("sure-sheet");
  const select = sheet.querySelector("select");
  sheet.querySelector("h2").textContent = heading;
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

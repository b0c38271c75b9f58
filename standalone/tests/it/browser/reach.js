// What can be reached by Tab, in the order of the document; each gets its number, so that the walk can be compared.

const wanted = "a[href], button, input, textarea, select, summary, [tabindex='0']";
const all = [...document.querySelectorAll(wanted)].filter((element) =>
  element.tabIndex >= 0 && !element.disabled && !element.closest("[inert]") && element.checkVisibility({ visibilityProperty: true }));
all.forEach((element, place) => (element.dataset.reach = place));
return all.map((element) => element.id || element.dataset.business || element.dataset.suggestion || element.className || element.tagName);

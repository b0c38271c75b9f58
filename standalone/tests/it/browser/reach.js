// What can be reached by Tab, in the order of the document; `reached` tells the walk the place of what has the focus.

const wanted = "a[href], button, input, textarea, select, summary, [tabindex='0']";
const all = [...document.querySelectorAll(wanted)].filter((element) =>
  element.tabIndex >= 0 && !element.disabled && !element.closest("[inert]") && element.checkVisibility({ visibilityProperty: true }));
window.reached = () => {
  const place = all.indexOf(document.activeElement);
  return place < 0 ? document.activeElement.outerHTML : place;
};
return all.map((element) => element.id || element.dataset.business || element.dataset.suggestion || element.className || element.tagName);
